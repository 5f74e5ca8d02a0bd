"""Verbs of the parties' data."""
