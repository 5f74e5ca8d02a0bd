"""Bringing plans into the catalogue."""

from billing.catalog.services.load_plans import LoadedPlan, load_plans

__all__ = ["LoadedPlan", "load_plans"]
