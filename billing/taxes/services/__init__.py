"""Bringing rates of tax into the database."""

from billing.taxes.services.load_taxes import LoadedRates, load_taxes

__all__ = ["LoadedRates", "load_taxes"]
