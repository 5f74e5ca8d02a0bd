"""Drafts, grace, finalising with gapless numbers, documents.

Start reading at `services/run_billing.py`; what an invoice may become is in `domain.py`.
"""
