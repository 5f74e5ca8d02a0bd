"""Durations as ISO 8601 writes them (`PT24H`, `P7D`): lengths of time, not of the calendar."""

import re
from datetime import timedelta

from kernel.errors import Invalid

_WRITTEN = re.compile(
    r"P(?:(?P<weeks>[0-9]{1,4})W)?(?:(?P<days>[0-9]{1,5})D)?"
    r"(?:T(?:(?P<hours>[0-9]{1,6})H)?(?:(?P<minutes>[0-9]{1,8})M)?(?:(?P<seconds>[0-9]{1,9})S)?)?"
)


def parse_duration(value: object, *, field: str = "duration") -> timedelta:
    """The length that the text states in weeks, days (of 24 hours), hours, minutes, seconds.

    Raises Invalid `not_a_duration`; months and years, whose length varies, are refused too.
    """
    match = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    parts = {unit: int(n) for unit, n in match.groupdict().items() if n} if match else {}
    if not parts:
        raise Invalid(
            "not_a_duration",
            f"{field} is not a duration; write it as PT24H or P7D.",
            field=field,
        )
    return timedelta(**parts)


def duration_text(duration: timedelta) -> str:
    """The duration in ISO 8601, in hours, minutes and seconds: PT24H. Whole seconds only."""
    minutes, seconds = divmod(duration // timedelta(seconds=1), 60)
    hours, minutes = divmod(minutes, 60)
    parts = [f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n]
    return "PT" + ("".join(parts) or "0S")
