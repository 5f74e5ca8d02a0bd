"""Roll-up: stored events become exact daily usage, a batch at a time, each batch once.

Start reading at `services/roll_up.py`.
"""
