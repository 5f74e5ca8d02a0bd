"""Verbs of electronic invoices."""
