"""Closing months of the books, and opening them again: by two people, in order, when nothing hinders it.

Start reading at `domain.py` (what may hinder), then `queries.py` and `services/`. What the journal
itself refuses is in `billing.ledger`.
"""
