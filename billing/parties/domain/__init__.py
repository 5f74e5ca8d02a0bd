"""Parties of an invoice as plain values. Pure. Start reading at `party.py`."""
