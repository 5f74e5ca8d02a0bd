"""Which tenant holds which plan version, and which of its periods are due.

Start reading at `domain.py` (boundaries), then `models.py`.
"""
