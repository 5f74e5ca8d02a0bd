"""Double entry: every movement of money as a balanced, append-only journal transaction.

Start reading at `domain.py` (accounts, postings), then `services/post_transaction.py`.
"""
