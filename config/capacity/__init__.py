"""``manage.py capacity``: many tenants' month billed while workers, schedulers, broker and database are
killed, and the proof that it came out as if nothing had been.

Start reading at `inside.py`.
"""
