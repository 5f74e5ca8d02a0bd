"""Verbs of exchange rates."""
