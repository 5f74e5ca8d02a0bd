"""From terms and what is held of them to what is allowed; from that and usage to yes or no. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from billing.rating.terms import Entitlement, PlanTerms, PriceTerms, QuotaKind
from kernel.decimals import Exact, exact, exact_sum, rounded_decimal


class Denial(StrEnum):
    """Why something is not allowed."""

    NO_SUBSCRIPTION = "no_subscription"
    """The tenant holds no plan now."""
    PAUSED = "paused"
    """Its subscription rests: nothing is served, as nothing is billed."""
    SUSPENDED = "suspended"
    """The tenant is suspended or closed."""
    NOT_GRANTED = "not_granted"
    """Neither the plan nor anything held names the feature."""
    NOT_INCLUDED = "not_included"
    """The plan names the feature and leaves it out."""
    LIMIT_REACHED = "limit_reached"
    """So much more would be above a hard limit."""
    GRACE_OVER = "grace_over"
    """The limit was passed before this window began, and the grace was over with it."""


class UsageWindow(StrEnum):
    """Over which time the usage of a limit is counted."""

    DAY = "day"
    """The local day: daily users, a peak."""
    PERIOD = "period"
    """The billing period so far: messages, different users of the period."""
    LEVEL = "level"
    """None: the value in force, such as storage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What allows a feature: the plan (`price_key` empty), or so many of a price that is held."""

    price_key: str
    held: Decimal
    entitlement: Entitlement


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What is allowed of one feature now. `kind` is there where `value` is a limit."""

    feature: str
    value: bool | str | Decimal
    kind: QuotaKind | None
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether it is allowed. `left` is what remains before more is used, 0 from the limit on, None
    where nothing is counted; `is_over` where this goes above a limit that lets it through."""

    is_allowed: bool
    denial: Denial | None = None
    left: Decimal | None = None
    is_over: bool = False


YES: Final = Decimal(1)


def granted_by(terms: PlanTerms, *, held: Callable[[PriceTerms], Exact]) -> dict[str, Granted]:
    """What is allowed, by feature: the plan's own entitlements and those of what is held.

    `held` tells how much is held of a price. Of several limits the highest holds, with its kind;
    what adds to a limit comes on top, once for each unit. A feature that any of them includes is
    included, without bounds. Of several texts the last in the plan's order holds.
    """
    sources: dict[str, list[Source]] = {}
    for entitlement in terms.entitlements:
        source = Source(price_key="", held=YES, entitlement=entitlement)
        sources.setdefault(entitlement.feature, []).append(source)
    for price in terms.prices:
        count = exact(held(price)) if price.entitlements else Fraction(0)
        if count <= 0:
            continue
        for entitlement in price.entitlements:
            source = Source(
                price_key=price.key, held=rounded_decimal(count), entitlement=entitlement
            )
            sources.setdefault(entitlement.feature, []).append(source)
    return {feature: _granted(feature, found) for feature, found in sorted(sources.items())}


def _granted(feature: str, sources: list[Source]) -> Granted:
    values = [source.entitlement.value for source in sources]
    texts = [value for value in values if isinstance(value, str)]
    bounds = [
        (source, source.entitlement.value)
        for source in sources
        if isinstance(source.entitlement.value, Decimal)
    ]
    value: bool | str | Decimal = False
    kind = None
    if any(each is True for each in values):
        value = True
    elif texts:
        value = texts[-1]
    elif bounds:
        own = [(bound, source) for source, bound in bounds if not source.entitlement.adds]
        added = [
            rounded_decimal(exact(bound) * exact(source.held))
            for source, bound in bounds
            if source.entitlement.adds
        ]
        highest, decisive = max(own, key=lambda each: each[0], default=(Decimal(0), bounds[0][0]))
        value = exact_sum([highest, *added])
        kind = decisive.entitlement.kind or QuotaKind.HARD
    return Granted(feature=feature, value=value, kind=kind, sources=tuple(sources))


_LENIENCE: Final = {QuotaKind.HARD: 0, QuotaKind.GRACE: 1, QuotaKind.SOFT: 2}


def grants(granted: Granted | None) -> bool:
    """Whether anything at all is allowed of the feature."""
    return granted is not None and granted.value is not False


def generosity(granted: Granted | None) -> tuple[int, Decimal, int]:
    """By which several subscriptions of a tenant are compared, the highest first: what is included
    without bounds, then the highest limit (of equal ones the more lenient kind), then a text, then what is
    left out, then what isn't named. Limits of several subscriptions are not added up."""
    if granted is None:
        return (0, Decimal(0), 0)
    match granted.value:
        case True:
            return (4, Decimal(0), 0)
        case Decimal() as limit:
            return (3, limit, _LENIENCE[granted.kind or QuotaKind.HARD])
        case str():
            return (2, Decimal(0), 0)
        case _:
            return (1, Decimal(0), 0)


def decide(
    granted: Granted | None, *, quantity: Decimal, used: Decimal | None, was_over: bool = False
) -> Decision:
    """Whether `quantity` more is allowed where `used` was used of it; None where nothing is counted,
    so that `quantity` alone is held against a limit (the size of a group).

    A hard limit lets through what stays within it. A soft one lets everything through and says that
    it is passed. One with grace does so until its window ends: not where it `was_over` when the
    window began.
    """
    if granted is None:
        return Decision(is_allowed=False, denial=Denial.NOT_GRANTED)
    if not isinstance(granted.value, Decimal):
        if granted.value is False:
            return Decision(is_allowed=False, denial=Denial.NOT_INCLUDED)
        return Decision(is_allowed=True)
    limit = exact(granted.value)
    free = limit - exact(used or Decimal(0))
    left = None if used is None else max(rounded_decimal(free), Decimal(0))
    if exact(quantity) <= free:
        return Decision(is_allowed=True, left=left)
    if granted.kind is QuotaKind.HARD:
        return Decision(is_allowed=False, denial=Denial.LIMIT_REACHED, left=left, is_over=True)
    if granted.kind is QuotaKind.GRACE and was_over:
        return Decision(is_allowed=False, denial=Denial.GRACE_OVER, left=left, is_over=True)
    return Decision(is_allowed=True, left=left, is_over=True)
