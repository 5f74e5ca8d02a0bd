"""Daily certificates: that what was counted, what was billed and what was posted are one.

Start reading at `domain.py` (what a certificate says), then `queries.py` (the checks) and
`services/certify_day.py`.
"""
