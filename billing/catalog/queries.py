"""Reading the catalogue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol, TypeVar
from uuid import UUID

from django.db.models import QuerySet

from billing.catalog.domain import parse_plan, parse_plan_price
from billing.catalog.models import Plan, PlanVersion
from billing.rating.terms import PlanTerms, PriceTerms
from kernel.errors import NotFound
from metering.queries import known_meters


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """A plan version with its terms parsed."""

    id: UUID
    plan_key: str
    number: int
    effective_from: date | None
    created_at: datetime
    document: dict[str, Any]
    terms: PlanTerms


class Dated(Protocol):
    """What tells from when a version of a plan holds."""

    @property
    def number(self) -> int: ...
    @property
    def effective_from(self) -> date | None: ...
    @property
    def created_at(self) -> datetime: ...


Effective = TypeVar("Effective", bound=Dated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """A plan's version and the days on which it is the one in force: from `starts_on` (None: since
    ever) to the day before `ends_on` (None: until further notice)."""

    version: StoredVersion
    starts_on: date | None
    ends_on: date | None


_parsed: dict[UUID, PlanTerms] = {}
_parsed_prices: dict[UUID, PriceTerms] = {}


def terms_of(*, version_id: UUID, document: dict[str, Any]) -> PlanTerms:
    """The parsed terms of a version; a version never changes, so each is parsed once a process."""
    terms = _parsed.get(version_id)
    if terms is None:
        terms = parse_plan(document, known_meters=known_meters())
        _parsed[version_id] = terms
    return terms


def price_of(*, price_id: UUID, document: Mapping[str, Any]) -> PriceTerms:
    """The parsed terms of a stored price of a contract, which never changes either."""
    terms = _parsed_prices.get(price_id)
    if terms is None:
        terms = parse_plan_price(document, known_meters=known_meters())
        _parsed_prices[price_id] = terms
    return terms


def versions_of(*, plan_key: str) -> list[StoredVersion]:
    """All versions of a plan, oldest first; empty when there is no such plan."""
    return [
        stored_version(row)
        for row in PlanVersion.objects.filter(plan__key=plan_key)
        .select_related("plan")
        .order_by("number")
    ]


def effective_dates(versions: Sequence[Effective]) -> list[tuple[date, Effective]]:
    """From when each of a plan's versions holds, the first to hold at the front; of two that hold from
    one day the later one. `versions` are all of the plan's, oldest first.

    One without a date takes the place of the one that was in force on the day it was loaded; where
    none was, it holds since ever.
    """
    last: dict[date, Effective] = {}
    for each in versions:
        starts_on = each.effective_from
        if starts_on is None:
            loaded_on = each.created_at.date()
            starts_on = max((day for day in last if day <= loaded_on), default=date.min)
        last[starts_on] = each
    return sorted(last.items(), key=lambda found: found[0])


def in_force(versions: Sequence[Effective], *, day: date) -> Effective:
    """The version whose date is the latest not after the day, of equal dates the higher version; before
    the first date, the one of that date. `versions` are all of the plan's, oldest first."""
    (_, found), *others = effective_dates(versions)
    for starts_on, each in others:
        if starts_on <= day:
            found = each
    return found


def wording_on(versions: Sequence[StoredVersion], *, day: date) -> Wording:
    """A plan's version in force on a day, and for how long; `versions` are all of the plan's."""
    dated = effective_dates(versions)
    index = max((i for i, (starts_on, _) in enumerate(dated) if starts_on <= day), default=0)
    return Wording(
        version=dated[index][1],
        starts_on=dated[index][0] if index else None,
        ends_on=dated[index + 1][0] if index + 1 < len(dated) else None,
    )


def version_in_force(*, plan_key: str, day: date) -> StoredVersion:
    """The plan's version in force on a local day. Raises NotFound `plan_not_found`."""
    versions = versions_of(plan_key=plan_key)
    if not versions:
        raise NotFound(
            "plan_not_found", f"There is no plan {plan_key!r}; load it first.", field="plan"
        )
    return in_force(versions, day=day)


def version_numbers(*, limit: int) -> list[tuple[str, int]]:
    """Plan key and number of every version, newest first within a plan; without their terms."""
    return list(
        PlanVersion.objects.order_by("plan__key", "-number").values_list("plan__key", "number")[
            :limit
        ]
    )


def version_numbered(*, plan_key: str, number: int) -> StoredVersion:
    """One version of a plan. Raises NotFound `plan_not_found`."""
    row = (
        PlanVersion.objects.filter(plan__key=plan_key, number=number).select_related("plan").first()
    )
    if row is None:
        raise NotFound(
            "plan_not_found", f"There is no version {number} of {plan_key!r}.", field="plan"
        )
    return stored_version(row)


def latest_version(*, plan_key: str) -> StoredVersion:
    """The newest version of a plan. Raises NotFound `plan_not_found`."""
    row = (
        PlanVersion.objects.filter(plan__key=plan_key)
        .select_related("plan")
        .order_by("-number")
        .first()
    )
    if row is None:
        raise NotFound("plan_not_found", f"There is no plan {plan_key!r}.", field="plan")
    return stored_version(row)


def latest_versions(
    *, limit: int, after_key: str = "", plans: QuerySet[Plan] | None = None
) -> list[StoredVersion]:
    """The newest version of each plan, by plan key, a page at a time; of `plans` only, if given."""
    versions = PlanVersion.objects.filter(plan__key__gt=after_key)
    if plans is not None:
        versions = versions.filter(plan__in=plans)
    rows = (
        versions.select_related("plan")
        .order_by("plan__key", "-number")
        .distinct("plan__key")[:limit]
    )
    return [stored_version(row) for row in rows]


def stored_version(row: PlanVersion) -> StoredVersion:
    """The version of a row that was read with its plan."""
    return StoredVersion(
        id=row.id,
        plan_key=row.plan.key,
        number=row.number,
        effective_from=row.effective_from,
        created_at=row.created_at,
        document=row.document,
        terms=terms_of(version_id=row.id, document=row.document),
    )
