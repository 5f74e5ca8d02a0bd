"""From a subscription's boundary and usage to the content of a document. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from billing.rating.lines import RatedLine
from billing.rating.pipeline import rate_plan
from billing.rating.terms import PlanTerms, Timing
from billing.rating.usage import Usage
from billing.subscriptions.domain import Boundary, Cadence
from kernel.money import Money
from kernel.period import Period

DEFAULT_GRACE = timedelta(hours=24)
"""How long a draft that bills usage waits for late events (contract section 2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What drafting must know of a subscription and its tenant."""

    subscription_id: UUID
    tenant_id: UUID
    tenant_key: str
    language: str
    plan_version_id: UUID
    plan_version: int
    terms: PlanTerms
    cadence: Cadence
    apps: Sequence[str]

    @property
    def grace(self) -> timedelta:
        return DEFAULT_GRACE if self.terms.grace is None else self.terms.grace

    @property
    def meters(self) -> frozenset[str]:
        """The meters whose usage the plan prices."""
        return frozenset(
            price.metering.meter for price in self.terms.prices if price.metering is not None
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftLine:
    """A rated line and whether it bills a period ahead of or after its service."""

    timing: str
    line: RatedLine


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The content of one document, before it has a number.

    `period` is the ended one if the document bills arrears, else the one it opens.
    """

    boundary_at: datetime
    finalize_at: datetime
    period: Period
    currency: str
    lines: tuple[DraftLine, ...]
    waits_for_usage: bool

    @property
    def subtotal(self) -> Money:
        total = Money.zero(self.currency)
        for each in self.lines:
            total = total + each.line.amount
        return total

    @property
    def is_empty(self) -> bool:
        """Whether all lines are zero: such a document is not issued."""
        return not any(each.line.amount for each in self.lines)


def draft_document(*, contract: Contract, boundary: Boundary, usage: Usage) -> Draft | None:
    """The document of a boundary: arrears of the period that ended, advance of the one that opens.

    None when the plan bills nothing there. It waits for the grace if it bills usage, else it is
    issued at once (contract section 4). Raises DomainError when the terms can't rate the usage.
    """
    lines: list[DraftLine] = []
    bills_arrears = False
    for timing, service in (
        (Timing.IN_ARREARS, boundary.ended),
        (Timing.IN_ADVANCE, boundary.opened),
    ):
        if service is None or not contract.terms.bills_at(timing):
            continue
        bills_arrears = bills_arrears or timing is Timing.IN_ARREARS
        lines.extend(
            DraftLine(timing=timing.value, line=line)
            for line in rate_plan(
                terms=contract.terms,
                version=contract.plan_version,
                period=service.full,
                served=service.served,
                zone=contract.cadence.zone,
                usage=usage,
                apps=contract.apps,
                timing=timing,
            )
        )
    waits = bills_arrears and any(
        price.metering is not None and price.timing is Timing.IN_ARREARS
        for price in contract.terms.prices
    )
    if not lines and not waits:
        return None
    billed = boundary.ended if bills_arrears else boundary.opened
    assert billed is not None  # noqa: S101  # one of both, since some price is due
    return Draft(
        boundary_at=boundary.at,
        finalize_at=boundary.at + contract.grace if waits else boundary.at,
        period=billed.served,
        currency=contract.terms.currency,
        lines=tuple(lines),
        waits_for_usage=waits,
    )
