"""From when on the books are open."""

from datetime import datetime

from work.connections import cursor


def first_open_instant() -> datetime | None:
    """The instant from which on may be posted; None while no month is closed. In any scope.

    Until the caller's transaction ends, no month can be closed (a lock that those who post share).
    """
    with cursor() as db:
        db.execute("SELECT billing_books_open_from()")
        (instant,) = db.fetchone()
    found: datetime | None = instant
    return found
