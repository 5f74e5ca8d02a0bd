"""Taxes: dated rates as data, and which of them a line bears.

Start reading at `domain/rules.py` (what decides), then `models.py`.
"""
