"""What plans come to for one period of somebody's usage, the fees of the period included."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo

from billing.rating.lines import RatedLine
from billing.rating.pipeline import rate_plan
from billing.rating.terms import PlanTerms, Timing
from billing.rating.usage import Usage, UsersNotCounted
from kernel.decimals import Exact
from kernel.errors import DomainError
from kernel.money import Money, total
from kernel.period import Period, shifted

_NOTHING_HELD: Final[Mapping[str, Exact]] = {}
_SAMPLE_STARTS_ON: Final = date(2026, 6, 1)
"""Of the calendar's periods from here, the month has 30 days and the year 365."""
_LONGEST_SAMPLE: Final = 366
UTC: Final = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a whole period costs before tax, or the code of why the terms can't rate the usage."""

    amount: Money | None
    lines: Sequence[RatedLine] = ()
    refusal: str = ""


def sample_period(terms: PlanTerms) -> Period | None:
    """A whole billing period of the plan, in UTC; None where it has more than 366 days, which is
    more than a preview works out."""
    ends_on = shifted(_SAMPLE_STARTS_ON, terms.interval, terms.interval_count)
    if (ends_on - _SAMPLE_STARTS_ON).days > _LONGEST_SAMPLE:
        return None
    return Period.of_days(_SAMPLE_STARTS_ON, ends_on, UTC)


def period_cost(
    *,
    terms: PlanTerms,
    period: Period,
    zone: ZoneInfo,
    usage: Usage,
    apps: Collection[str],
    version: int = 0,
    held: Mapping[str, Exact] = _NOTHING_HELD,
    counts_users: bool = False,
) -> Cost:
    """The period served whole: what is billed in advance for it, and in arrears after it.

    A caller that `counts_users` is told by UsersNotCounted which different users the terms price.
    """
    lines: list[RatedLine] = []
    try:
        for timing in (Timing.IN_ADVANCE, Timing.IN_ARREARS):
            lines += rate_plan(
                terms=terms,
                version=version,
                period=period,
                served=period,
                zone=zone,
                usage=usage,
                timing=timing,
                apps=apps,
                quantities=held,
            )
    except UsersNotCounted as refusal:
        if counts_users:
            raise
        return Cost(amount=None, refusal=refusal.code)
    except DomainError as refusal:
        return Cost(amount=None, refusal=refusal.code)
    return Cost(
        amount=total((line.amount for line in lines), currency=terms.currency),
        lines=tuple(lines),
    )
