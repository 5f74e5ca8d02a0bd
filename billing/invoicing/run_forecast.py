"""When a billing run will be over, by what it has done so far. Pure."""

from datetime import datetime


def expected_end(
    *,
    parts: int,
    done: int,
    measured_from: datetime,
    measured_done: int,
    progressed_at: datetime,
) -> datetime | None:
    """The instant at which the last of `parts` is done, if the rest goes as fast as what was done since
    `measured_from`, when `measured_done` were; None while nothing was done since then, or all is.

    Parts are ranges of as many tenants each. `progressed_at` is when the last one was done: what is
    being done since then is not known yet.
    """
    since = done - measured_done
    left = parts - done
    if since <= 0 or left <= 0 or progressed_at <= measured_from:
        return None
    return progressed_at + (progressed_at - measured_from) / since * left
