"""Billing runs and what they do."""
