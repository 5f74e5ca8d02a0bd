"""What a change would bill, before it is made: decided as the change itself is, stored nowhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.invoicing.changes import following_documents
from billing.invoicing.contracts import counting_users, load_contracts
from billing.invoicing.drafting import Contract, Draft, HeldVersion
from billing.invoicing.late_periods import find_late
from billing.invoicing.late_usage import Adjusted
from billing.invoicing.listings import LineRow
from billing.invoicing.services.decide_change import (
    Decided,
    decide_change,
    find_subscription,
    refuse_hidden_plan,
)
from billing.subscriptions.domain import AskedChange
from kernel.money import Money
from kernel.period import Period, local_day


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewedDocument:
    """A document that is not made yet; what it bills stands in `lines`.

    A credit note shows its amounts as it would be issued: positive in the tenant's favour. `issued_at` is
    the earliest instant at which it would be issued.
    """

    is_credit_note: bool
    issued_at: datetime
    timezone: str
    period: Period
    total: Money
    lines: Sequence[LineRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePreview:
    """What a change would do: `documents` at once, then `following` by the billing, if no more is used.

    `plan_key` and `plan_version` are what is held from now on, `period` is the one that runs then.
    """

    subscription_id: UUID
    plan_key: str
    plan_version: int
    period: Period | None
    ends_at: datetime | None
    timezone: str
    documents: Sequence[PreviewedDocument]
    following: Sequence[PreviewedDocument]


def preview_change(
    *,
    tenant_id: UUID,
    asked: AskedChange,
    now: datetime,
    subscription_id: UUID | None = None,
    for_staff: bool = False,
) -> ChangePreview:
    """The documents that `change_subscription` would issue at `now`, line by line the same.

    Reads in the caller's scope, with tax; private plans that were not offered to the tenant are shown
    to staff only; usage counts as far as it is rolled up. Raises as
    `change_subscription`, but for `billing_due`: what has just fallen due counts as drafted.
    """
    row = find_subscription(tenant_id=tenant_id, subscription_id=subscription_id, lock=False)
    if not for_staff:
        refuse_hidden_plan(tenant_id=tenant_id, asked=asked)
    decided = decide_change(
        row=row, contract=load_contracts([row], with_taxes=True)[row.id], asked=asked, now=now
    )
    after = decided.decision.after
    zone = after.cadence.zone
    day = local_day(now, zone)
    held = after.version_on(day)
    is_served = after.cadence.starts_on <= day and (
        after.cadence.ends_on is None or day < after.cadence.ends_on
    )
    contracts = (decided.before, after)
    late = _late(decided)
    return ChangePreview(
        subscription_id=row.id,
        plan_key=held.terms.key,
        plan_version=held.number,
        period=after.cadence.period_of(day).served if is_served else None,
        ends_at=decided.decision.ends_at,
        timezone=zone.key,
        documents=tuple(
            _document(each.draft, contracts, issued_at=now, credit=each.is_credit_note)
            for each in decided.decision.documents
            if not each.draft.is_empty
        ),
        following=tuple(
            _document(draft, contracts, issued_at=draft.finalize_at, credit=False)
            for draft in counting_users(
                tenant_id=tenant_id,
                usage=decided.usage,
                rate=lambda usage: following_documents(
                    decision=decided.decision, now=now, usage=usage, adjusted=late
                ),
            )
        ),
    )


def _late(decided: Decided) -> Sequence[Adjusted]:
    """Late usage of earlier periods that the first of the following documents bills."""
    late = find_late(contracts={decided.row.id: decided.before}, lock=False).get(decided.row.id)
    if late is None:
        return ()
    first = late.draft_ids[0] if late.draft_ids else None
    if (first is None) != (decided.decision.draft_at is None):
        return ()  # a draft that the change leaves alone bills it
    return late.for_document(first)


def _document(
    draft: Draft, contracts: Iterable[Contract], *, issued_at: datetime, credit: bool
) -> PreviewedDocument:
    versions: dict[UUID | None, HeldVersion] = {
        held.plan_version_id: held for contract in contracts for held in contract.versions
    }
    zone = next(iter(contracts)).cadence.zone
    return PreviewedDocument(
        is_credit_note=credit,
        issued_at=issued_at,
        timezone=zone.key,
        period=draft.period,
        total=-draft.total if credit else draft.total,
        lines=tuple(
            LineRow(
                position=position,
                key=each.line.key,
                kind=each.line.kind.value,
                timing=each.timing,
                app_key=each.line.app_key or "",
                description=each.line.description,
                quantity=each.line.quantity,
                unit_price=each.line.unit_price,
                amount=-each.line.amount if credit else each.line.amount,
                discount=-settled.discount if credit else settled.discount,
                tax_terms=each.tax,
                tax=-settled.tax if credit else settled.tax,
                period=each.line.period,
                plan_key=versions[each.plan_version_id].terms.key,
                plan_version=versions[each.plan_version_id].number,
                plan_effective_from=versions[each.plan_version_id].terms.effective_from,
                explanation=each.working,
            )
            for position, (each, settled) in enumerate(
                zip(draft.lines, draft.settlement.lines, strict=True), start=1
            )
        ),
    )
