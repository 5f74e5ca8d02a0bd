"""Values that every room shares: money, exact numbers, periods, ids, errors, the clock.

Standard library only; imports nothing of Summit. Start reading at `money.py`, then `period.py`.
"""
