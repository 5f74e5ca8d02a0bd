"""What a subscription prices from when to when, and whether two of a tenant do so at once. Pure.

A tenant may hold several subscriptions. What is used is priced once: of those that serve at one time no
two hold the same plan, and no two price the same meter, for any app.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.rating.terms import PlanTerms
from kernel.errors import Conflict
from kernel.ids import public_id
from kernel.period import local_midnight

_NO_MORE: Final[Mapping[str, frozenset[str]]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """From `starts_at` to `ends_at` (None: open) one plan is held, and its meters are priced."""

    starts_at: datetime
    ends_at: datetime | None
    plan_key: str
    meters: frozenset[str]

    def meets(self, other: "Stretch") -> bool:
        """Whether both are held at some time."""
        return (other.ends_at is None or self.starts_at < other.ends_at) and (
            self.ends_at is None or other.starts_at < self.ends_at
        )

    def prices_with(self, other: "Stretch") -> bool:
        """Whether both price the same: they are of one plan, or have a meter in common."""
        return self.plan_key == other.plan_key or not self.meters.isdisjoint(other.meters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """What one subscription prices, by ascending instants; `is_active`: it has not ended."""

    subscription_id: UUID
    is_active: bool
    ends_at: datetime | None
    stretches: Sequence[Stretch]


def meters_of(terms: PlanTerms) -> frozenset[str]:
    """The meters that a plan prices, those of add-ons that nobody holds included."""
    return frozenset(price.metering.meter for price in terms.prices if price.metering is not None)


def stretches_of(
    *,
    phases: Iterable[tuple[date, PlanTerms]],
    starts_at: datetime,
    ends_at: datetime | None,
    zone: ZoneInfo,
    agreed: Mapping[str, frozenset[str]] = _NO_MORE,
) -> tuple[Stretch, ...]:
    """The stretches of a subscription that holds plans from days on, by ascending days.

    The first counts from `starts_at`, whenever it bills first. `agreed` are meters that a contract's own
    prices have, by plan; they count as long as the plan is held.
    """
    found = list(phases)
    instants: list[datetime | None] = [
        starts_at,
        *(local_midnight(starts_on, zone) for starts_on, _ in found[1:]),
        ends_at,
    ]
    stretches = []
    for (first, following), (_, terms) in zip(pairwise(instants), found, strict=True):
        assert first is not None  # noqa: S101  # only the last may be open
        end = following if ends_at is None or following is None else min(following, ends_at)
        if end is None or first < end:
            stretches.append(
                Stretch(
                    starts_at=first,
                    ends_at=end,
                    plan_key=terms.key,
                    meters=meters_of(terms) | agreed.get(terms.key, frozenset()),
                )
            )
    return tuple(stretches)


def refuse_overlap(own: Sequence[Stretch], others: Iterable[Priced]) -> None:
    """Raises Conflict where another subscription of the tenant prices at one time what `own` prices:
    `already_subscribed` for the same plan, `meter_priced_twice` for a meter, `subscriptions_overlap`
    where the other one has ended."""
    for other in others:
        for theirs in other.stretches:
            for mine in own:
                if mine.meets(theirs) and mine.prices_with(theirs):
                    raise _refusal(mine, theirs, other)


def _refusal(mine: Stretch, theirs: Stretch, other: Priced) -> Conflict:
    if not other.is_active and other.ends_at is not None:
        return Conflict(
            "subscriptions_overlap",
            f"The tenant's subscription {public_id('sub', other.subscription_id)} ended at "
            f"{other.ends_at.isoformat()}; start no earlier.",
            field="starts_at",
        )
    if mine.plan_key == theirs.plan_key:
        return Conflict(
            "already_subscribed",
            "The tenant has a subscription to this plan that has not ended; change that one instead.",
            field="tenant",
        )
    meter = min(mine.meters & theirs.meters)
    held = public_id("sub", other.subscription_id)
    return Conflict(
        "meter_priced_twice",
        f"The meter {meter} is priced by the tenant's subscription {held} to {theirs.plan_key} already; "
        f"end that one first, or take a plan without {meter}.",
        field="plan",
        params={"meter": meter, "subscription": held, "plan": theirs.plan_key},
    )
