"""`prorate`: the share of an amount that a part of a period makes up."""

from datetime import datetime
from zoneinfo import ZoneInfo

from billing.calculator.reading import Case
from billing.rating.proration import DayCount, Proration, proration
from kernel.decimals import exact, plain_text
from kernel.money import round_amount
from kernel.period import Period, local_midnight

_RATIO_PLACES = 18


def prorate(case: Case) -> dict[str, object]:
    """Amount x ratio, rounded once. The divisor is the full period, the ratio stays exact.

    Bounds are dates, from local midnight to local midnight of the zone and the end excluded; with
    `second` they are instants. An empty part is worth nothing; an empty period is refused.
    """
    currency = case.currency()
    amount = case.decimal("amount")
    day_count = case.choice(
        "day_count", DayCount, default=DayCount.ACTUAL, code="unknown_day_count"
    )
    by_instants = day_count is DayCount.SECOND
    zone = case.zone(is_required=not by_instants)
    part = _bounds(case, "part", by_instants=by_instants, zone=zone)
    whole = _bounds(case, "period", by_instants=by_instants, zone=zone)
    case.finish()

    share = _share(part, Period(*whole), zone=zone, day_count=day_count)
    prorated = exact(amount) * share.ratio
    return {
        "ratio": _with_all_places(plain_text(share.ratio, places=_RATIO_PLACES)),
        "amount": f"{round_amount(prorated, currency).amount:f}",
        "exact": plain_text(prorated),
    }


def _bounds(
    case: Case, name: str, *, by_instants: bool, zone: ZoneInfo
) -> tuple[datetime, datetime]:
    if not case.has(name):
        case.missing(name)
        case.finish_early()
    bounds = case.nested(name)
    suffix = "at" if by_instants else "on"
    starts, ends = f"starts_{suffix}", f"ends_{suffix}"
    if by_instants:
        starts_at, ends_at = bounds.instant(starts), bounds.instant(ends)
    else:
        starts_at = local_midnight(bounds.required_day(starts), zone)
        ends_at = local_midnight(bounds.required_day(ends), zone)
    bounds.refuse_unknown()
    if ends_at < starts_at:
        bounds.fault(ends, "end_before_start", f"is before {starts}; put them in order.")
    elif ends_at == starts_at and name == "period":
        bounds.fault(
            ends, "empty_period", f"is {starts} too, so the period is empty; move it later."
        )
    return starts_at, ends_at


def _share(
    part: tuple[datetime, datetime], whole: Period, *, zone: ZoneInfo, day_count: DayCount
) -> Proration:
    if part[0] < part[1]:
        return proration(part=Period(*part), whole=whole, zone=zone, day_count=day_count)
    entire = proration(part=whole, whole=whole, zone=zone, day_count=day_count)
    return Proration(part=0, whole=entire.whole, day_count=day_count)


def _with_all_places(number: str) -> str:
    whole, _, decimals = number.partition(".")
    return f"{whole}.{decimals.ljust(_RATIO_PLACES, '0')}"
