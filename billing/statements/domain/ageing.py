"""How old what is owed is."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from kernel.money import Money, total


class AgeBucket(StrEnum):
    """Days since the due date, the youngest first."""

    NOT_DUE = "not_due"
    UP_TO_30 = "1_30"
    UP_TO_60 = "31_60"
    UP_TO_90 = "61_90"
    OVER_90 = "over_90"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenItem:
    """What is left to be paid of one invoice."""

    number: str
    due_on: date
    left: Money


_LIMITS = (
    (0, AgeBucket.NOT_DUE),
    (30, AgeBucket.UP_TO_30),
    (60, AgeBucket.UP_TO_60),
    (90, AgeBucket.UP_TO_90),
)


def bucket_of(*, due_on: date, on: date) -> AgeBucket:
    """An invoice is not overdue on its due date itself: the day after is the first."""
    days = (on - due_on).days
    return next((bucket for limit, bucket in _LIMITS if days <= limit), AgeBucket.OVER_90)


def aged(items: Iterable[OpenItem], *, on: date, currency: str) -> Mapping[AgeBucket, Money]:
    """What is open at the end of the local day `on`, by age; every bucket is there."""
    found: dict[AgeBucket, list[Money]] = {bucket: [] for bucket in AgeBucket}
    for item in items:
        found[bucket_of(due_on=item.due_on, on=on)].append(item.left)
    return {bucket: total(parts, currency=currency) for bucket, parts in found.items()}
