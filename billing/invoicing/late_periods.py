"""Finding late usage, set-based: billed periods whose days have corrections that no document rated.

A period is found by a count: each final document keeps how many corrections its days had when it was
rated, each settlement how many it rated. Corrections are only ever added, so a higher count is late
usage, whatever clocks said. A correction that was read but not counted, because it came in between, is
found again later and then changes nothing: amounts are always compared with what was billed.

A subscription that ended in the middle of a day passes the day on to the tenant's next one, where that
starts on it: what its final document billed of the day is given back as if the day had been corrected.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import F, Q

from billing.invoicing.contracts import load_usage, users_to_count
from billing.invoicing.domain import InvoiceKind, InvoiceStatus, LateUsageOutcome
from billing.invoicing.drafting import Contract, bills_usage
from billing.invoicing.late_usage import (
    Adjusted,
    Billed,
    BilledPeriod,
    LineName,
    adjusted_period,
    recorded_lines,
)
from billing.invoicing.models import Invoice, LateUsage
from billing.rating.usage import Usage, UsageKey
from billing.subscriptions.domain import LateUsagePolicy
from billing.subscriptions.models import Subscription
from kernel.errors import DomainError
from kernel.money import Money
from kernel.period import Period
from metering import queries as metering
from metering.queries import Span
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """The late usage of one subscription that is not settled yet, rated.

    `draft_ids` are its drafts, the one that is to be final first at the front: that one is its next
    invoice. `error` is set instead of `adjusted` where the terms can't rate the usage.
    """

    subscription: Subscription
    contract: Contract
    policy: LateUsagePolicy
    draft_ids: Sequence[UUID]
    adjusted: Sequence[Adjusted]
    error: DomainError | None = None

    @property
    def amount(self) -> Money:
        currency = self.contract.versions[0].terms.currency
        amount = Money.zero(currency)
        for each in self.adjusted:
            amount = amount + each.amount(currency)
        return amount

    def for_document(self, document_id: UUID | None) -> Sequence[Adjusted]:
        """What a document bills of it: all, when it is the next invoice and the policy says so.

        None stands for a document that is still to be drafted.
        """
        first = self.draft_ids[0] if self.draft_ids else None
        if self.policy is not LateUsagePolicy.NEXT_INVOICE or first != document_id:
            return ()
        if self.error is not None:
            raise self.error
        return self.adjusted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """An issued line of a late period, or, without an id, what was waived of it."""

    name: LineName
    amount_minor: int
    line_id: UUID | None = None
    quantity: Decimal = Decimal(0)
    working: Mapping[str, Any] = field(default_factory=dict)
    plan_version_id: UUID | None = None
    invoice: str = ""
    credited_minor: int = 0


def find_late(*, contracts: Mapping[UUID, Contract], lock: bool) -> dict[UUID, Late]:
    """Late usage of subscriptions, by their ids; those without are left out. In the caller's scope.

    One statement when no tenant has corrections, a few otherwise, whatever their number. With `lock`,
    subscriptions that have some are locked until the transaction ends, so that of two documents one
    bills it; a caller that will not write leaves them alone.
    """
    tenants = metering.tenants_with_corrections(
        tenant_ids=[contract.tenant_id for contract in contracts.values()]
    )
    contracts = {
        key: each
        for key, each in contracts.items()
        if each.tenant_id in tenants or each.passes_last_day
    }
    if not contracts:
        return {}
    late = _late_periods(contracts)
    if not late:
        return {}
    # In the order in which drafting locks them, so that the two don't wait for each other.
    rows = Subscription.objects.filter(
        tenant_id__in={contracts[key].tenant_id for key in late}, id__in=late
    ).order_by("tenant_id", "id")
    found = {row.id: row for row in (rows.select_for_update() if lock else rows)}
    if lock:
        # Settled by somebody who held the lock meanwhile, or still open: looked at again.
        late = _late_periods({key: contracts[key] for key in found})
        invoices = {each.invoice_id for periods in late.values() for each in periods}
        # Nobody credits a line of theirs while the difference to it is worked out.
        list(
            Invoice.objects.select_for_update()
            .filter(id__in=invoices)
            .order_by("id")
            .values_list("id")
        )
    drafts: dict[UUID, list[UUID]] = defaultdict(list)
    for subscription_id, draft_id in (
        Invoice.objects.filter(
            tenant_id__in={contracts[key].tenant_id for key in late},
            subscription_id__in=late,
            status=InvoiceStatus.DRAFT,
            kind=InvoiceKind.SUBSCRIPTION,
        )
        .order_by("finalize_at", "id")
        .values_list("subscription_id", "id")
    ):
        if subscription_id is not None:
            drafts[subscription_id].append(draft_id)
    rows_billed = _billed_rows(contracts, late)
    usage = load_usage(
        spans=[
            _span(contracts[key], each.period) for key, periods in late.items() for each in periods
        ],
        meters={meter for key in late for meter in contracts[key].meters},
        users=[
            each
            for key, periods in late.items()
            for each in users_to_count(contracts[key], _counted(contracts[key], periods))
        ],
    )
    return {
        key: _rated(
            found[key],
            contracts[key],
            periods,
            drafts=drafts[key],
            rows=rows_billed[key],
            usage=usage.get(contracts[key].tenant_id, {}),
        )
        for key, periods in late.items()
        if key in found
    }


def _counted(contract: Contract, periods: Sequence[BilledPeriod]) -> list[Period]:
    counted = [each.counted(contract.cadence.zone) for each in periods]
    return [period for period in counted if period is not None]


def correction_counts(*, periods: Sequence[tuple[Contract, Period]]) -> list[int]:
    """How many corrections each period's days have, in their order. One statement when no tenant has
    any, else two. To be read before the usage is."""
    tenants = metering.tenants_with_corrections(
        tenant_ids=[contract.tenant_id for contract, _ in periods]
    )
    asked = [place for place, (contract, _) in enumerate(periods) if contract.tenant_id in tenants]
    counts = [0] * len(periods)
    found = metering.correction_counts(spans=[_span(*periods[place]) for place in asked])
    for place, count in zip(asked, found, strict=True):
        counts[place] = count
    return counts


def settlement_rows(
    *,
    late: Late,
    adjusted: Sequence[Adjusted],
    document: Invoice | None,
    outcome: LateUsageOutcome,
    reason: str = "",
    now: datetime,
) -> list[LateUsage]:
    """The rows that tell how late usage was settled; a period in which nothing changes says so."""
    currency = late.contract.versions[0].terms.currency
    return [
        LateUsage(
            tenant_id=late.contract.tenant_id,
            subscription_id=late.contract.subscription_id,
            period_starts_at=each.billed.period.starts_at,
            period_ends_at=each.billed.period.ends_at,
            corrections=each.billed.corrections,
            outcome=outcome if each.lines else LateUsageOutcome.UNCHANGED,
            document=document if each.lines else None,
            currency=currency,
            amount_minor=each.amount(currency).minor,
            lines=recorded_lines(each),
            reason=reason,
            settled_at=now,
        )
        for each in adjusted
    ]


def _span(contract: Contract, period: Period) -> Span:
    zone = contract.cadence.zone
    return Span(
        tenant_id=contract.tenant_id,
        from_day=period.first_day(zone),
        to_day=period.end_day(zone),
    )


def _late_periods(contracts: Mapping[UUID, Contract]) -> dict[UUID, list[BilledPeriod]]:
    """Billed periods with more corrections than were rated, oldest first, by subscription."""
    tenant_ids = {contract.tenant_id for contract in contracts.values()}
    documents = list(
        Invoice.objects.filter(
            Q(kind=InvoiceKind.FINAL)
            | Q(kind=InvoiceKind.SUBSCRIPTION, boundary_at=F("period_ends_at")),
            tenant_id__in=tenant_ids,
            subscription_id__in=contracts,
        )
        .exclude(status=InvoiceStatus.DRAFT)
        # Taken back as a whole, for reasons of its own; late usage doesn't bring it back.
        .exclude(status=InvoiceStatus.VOID, number__isnull=False)
        .exclude(consolidated_into__status=InvoiceStatus.VOID)
        .select_related("subscription", "consolidated_into")
        .order_by("period_starts_at", "id")
    )
    known: dict[tuple[UUID, datetime], int] = defaultdict(int)
    for subscription_id, starts_at, corrections in LateUsage.objects.filter(
        tenant_id__in=tenant_ids, subscription_id__in=contracts
    ).values_list("subscription_id", "period_starts_at", "corrections"):
        known[subscription_id, starts_at] = max(known[subscription_id, starts_at], corrections)
    periods = []
    for document in documents:
        assert document.subscription is not None  # noqa: S101  # filtered by it
        contract = contracts[document.subscription.id]
        period = Period(document.period_starts_at, document.period_ends_at)
        if bills_usage(contract=contract, period=period):
            periods.append((document, contract, period))
    counts = metering.correction_counts(spans=[_span(*each[1:]) for each in periods])
    late: dict[UUID, list[BilledPeriod]] = defaultdict(list)
    for (document, contract, period), count in zip(periods, counts, strict=True):
        is_passed_on = contract.passes_last_day and document.kind == InvoiceKind.FINAL
        # Counts once for all, like a correction, and after any that came before.
        count += is_passed_on
        rated = max(document.corrections_counted, known[contract.subscription_id, period.starts_at])
        if count > rated:
            assert document.subscription is not None  # noqa: S101  # filtered by it
            late[contract.subscription_id].append(
                _period(
                    document,
                    document.subscription,
                    period,
                    corrections=count,
                    is_last_day_passed_on=is_passed_on,
                )
            )
    return dict(late)


def _period(
    document: Invoice,
    subscription: Subscription,
    period: Period,
    *,
    corrections: int,
    is_last_day_passed_on: bool,
) -> BilledPeriod:
    kind = InvoiceKind(document.kind)
    stored = subscription.last_day_usage if kind is InvoiceKind.FINAL else None
    return BilledPeriod(
        invoice_id=document.consolidated_into_id or document.id,
        invoice=(document.consolidated_into or document).number or "",
        kind=kind,
        boundary_at=document.boundary_at,
        period=period,
        corrections=corrections,
        is_last_day_passed_on=is_last_day_passed_on,
        last_day_usage=None
        if stored is None
        else {
            UsageKey(app=app, meter=meter, kind=kind_of_usage): Decimal(value)
            for app, meter, kind_of_usage, value in stored
        },
    )


def _rated(
    row: Subscription,
    contract: Contract,
    periods: Sequence[BilledPeriod],
    *,
    drafts: Sequence[UUID],
    rows: Sequence[_Row],
    usage: Usage,
) -> Late:
    adjusted: list[Adjusted] = []
    error = None
    currency = contract.versions[0].terms.currency
    try:
        adjusted = [
            adjusted_period(
                contract=contract,
                billed=period,
                lines=_billed(rows, period, currency=currency),
                usage=usage,
            )
            for period in periods
        ]
    except DomainError as fault:
        error = fault
    return Late(
        subscription=row,
        contract=contract,
        # What the next subscription bills is given back, whatever was agreed of late usage.
        policy=LateUsagePolicy.NOTE
        if any(each.is_last_day_passed_on for each in periods)
        else LateUsagePolicy(row.late_usage),
        draft_ids=drafts,
        adjusted=tuple(adjusted),
        error=error,
    )


def _billed(rows: Sequence[_Row], period: BilledPeriod, *, currency: str) -> dict[LineName, Billed]:
    """What was billed of a period by name, from rows in the order of their issue."""
    nothing = Money.zero(currency)
    billed: dict[LineName, Billed] = {}
    for row in rows:
        if not period.period.starts_at <= row.name.starts_at < period.period.ends_at:
            continue
        before = billed.get(row.name) or Billed(
            amount=nothing,
            waived=nothing,
            credited=nothing,
            quantity=Decimal(0),
            working={},
            plan_version_id=None,
            first_line=None,
            invoice="",
        )
        amount = Money(row.amount_minor, currency)
        if row.line_id is None:
            billed[row.name] = replace(before, waived=before.waived + amount)
        else:
            billed[row.name] = replace(
                before,
                amount=before.amount + amount,
                credited=before.credited + Money(row.credited_minor, currency),
                quantity=row.quantity,
                working=row.working,
                plan_version_id=row.plan_version_id,
                first_line=before.first_line or row.line_id,
                invoice=before.invoice or row.invoice,
            )
    return billed


def _billed_rows(
    contracts: Mapping[UUID, Contract], late: Mapping[UUID, Sequence[BilledPeriod]]
) -> dict[UUID, list[_Row]]:
    """Lines and waivers of the late periods by subscription, those billed first at the front."""
    found: dict[UUID, list[_Row]] = defaultdict(list)
    asked = [(key, each) for key, periods in late.items() for each in periods]
    if not asked:
        return found
    with cursor() as db:
        db.execute(
            """
            SELECT p.subscription_id, l.id, l.key, l.app_key, l.kind, l.period_starts_at,
                   l.period_ends_at, l.amount_minor - l.discount_minor, l.quantity, l.explanation, l.plan_version_id,
                   coalesce(i.number, ''),
                   coalesce((SELECT sum(c.amount_minor) FROM billing_creditnoteline c
                              WHERE c.tenant_id = l.tenant_id
                                AND c.invoice_line_id = l.id), 0)::bigint
              FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[], %s::timestamptz[])
                   AS p(tenant_id, subscription_id, starts_at, ends_at)
              JOIN billing_invoice i ON i.tenant_id = p.tenant_id
                   AND (i.subscription_id = p.subscription_id OR i.kind = 'consolidated')
              JOIN billing_invoiceline l ON l.tenant_id = i.tenant_id AND l.invoice_id = i.id
                   AND coalesce(l.subscription_id, i.subscription_id) = p.subscription_id
                   AND l.timing = 'in_arrears' AND l.period_starts_at >= p.starts_at
                   AND l.period_ends_at <= p.ends_at
             WHERE i.status NOT IN ('draft', 'void')
                OR i.status = 'void' AND i.number IS NULL AND (
                   l.amount_minor = 0 OR EXISTS (
                       SELECT 1 FROM billing_creditnote n
                        WHERE n.tenant_id = i.tenant_id AND n.document_id = i.id))
             ORDER BY p.subscription_id, (l.kind = 'adjustment'), i.boundary_at, l.position
            """,
            [
                [contracts[key].tenant_id for key, _ in asked],
                [key for key, _ in asked],
                [each.period.starts_at for _, each in asked],
                [each.period.ends_at for _, each in asked],
            ],
        )
        for row in db.fetchall():
            explanation = json.loads(row[9])
            adjusts = explanation.get("adjusts")
            found[row[0]].append(
                _Row(
                    name=LineName(
                        row[2], row[3], row[5], row[6], adjusts["kind"] if adjusts else row[4]
                    ),
                    amount_minor=row[7],
                    line_id=row[1],
                    quantity=Decimal(adjusts["quantity_now"]) if adjusts else row[8],
                    working=explanation["working"] if adjusts else explanation,
                    plan_version_id=row[10],
                    invoice=row[11],
                    credited_minor=row[12],
                )
            )
    for waived in LateUsage.objects.filter(
        tenant_id__in={contracts[key].tenant_id for key in late},
        subscription_id__in=late,
        outcome=LateUsageOutcome.WAIVED,
    ).order_by("settled_at", "id"):
        found[waived.subscription_id].extend(
            _Row(
                name=LineName(
                    line["key"],
                    line["app"],
                    datetime.fromisoformat(line["starts_at"]),
                    datetime.fromisoformat(line["ends_at"]),
                    line["kind"],
                ),
                amount_minor=line["amount_minor"],
            )
            for line in waived.lines
        )
    return found
