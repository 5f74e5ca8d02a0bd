"""Work that is due: the jobs table, schedules with their slots, the outbox, and what drives them.

Owns `Job`, `Slot` and `OutboxMessage`; knows no business. May import `kernel` only.
Start reading at `jobs.py` (the life of a job), then `schedules.py` and `outbox.py`.
"""
