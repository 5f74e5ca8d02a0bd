"""`periods`: the billing periods that follow from an anchor."""

from itertools import islice
from zoneinfo import ZoneInfo

from billing.calculator.reading import Case
from kernel import period
from kernel.errors import Invalid
from kernel.period import Interval, Period

_MOST_PERIODS = 10_000
_HIGHEST_INTERVAL_COUNT = 1000


def periods(case: Case) -> dict[str, object]:
    """The first `count` periods from the anchor, or the first on or after `from`.

    Instants carry the zone's offset; `days` counts the local days.
    """
    anchor = case.required_day("anchor")
    interval = case.choice("interval", Interval, default=None, code="unknown_interval")
    interval_count = case.whole_number(
        "interval_count", default=1, lowest=1, highest=_HIGHEST_INTERVAL_COUNT
    )
    zone = case.zone()
    count = case.whole_number("count", default=None, lowest=1, highest=_MOST_PERIODS)
    from_on = case.optional_day("from")
    case.finish()

    endless = period.periods(
        anchor=anchor,
        interval=interval,
        zone=zone,
        interval_count=interval_count,
        from_on=from_on,
    )
    try:
        found = list(islice(endless, count))
    except Invalid as refusal:
        if refusal.code != "date_out_of_range":
            raise
        raise Invalid(
            "date_out_of_range",
            "count reaches periods beyond the year 2999; write a lower one.",
            field="count",
        ) from None
    return {"periods": [_told(each, zone) for each in found]}


def _told(each: Period, zone: ZoneInfo) -> dict[str, object]:
    return {
        "starts_at": each.starts_at.astimezone(zone).isoformat(),
        "ends_at": each.ends_at.astimezone(zone).isoformat(),
        "days": each.day_count(zone),
    }
