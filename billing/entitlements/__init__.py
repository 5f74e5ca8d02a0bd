"""What a tenant may use now: what its plan and add-ons allow, less what was used.

Start reading at `domain.py`, then `queries.py`.
"""
