"""One at a time: who sets a hold and who removes files wait for each other."""

from work.connections import cursor


def lock_retention() -> None:
    """Held until the caller's transaction ends."""
    with cursor() as db:
        db.execute("SELECT pg_advisory_xact_lock(hashtextextended('retention', 0))")
