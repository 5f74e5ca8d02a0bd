"""Billing jobs."""
