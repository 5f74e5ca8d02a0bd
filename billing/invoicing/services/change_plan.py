"""Change the plan of a subscription, at once or when its period ends (contract section 4)."""

from datetime import date, datetime
from uuid import UUID

from billing.catalog.queries import StoredVersion, version_in_force
from billing.invoicing.contracts import load_contracts
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.drafting import Contract, Draft, DraftLine, HeldVersion, rated_lines
from billing.invoicing.lines import line_rows
from billing.invoicing.models import Invoice, InvoiceLine
from billing.invoicing.overrides import on_day
from billing.invoicing.services.draft_due import invoice_row
from billing.invoicing.services.issue_credit_note import (
    CreditLine,
    NewCreditNote,
    issue_credit_note,
)
from billing.invoicing.services.issue_documents import Issuable, issue_documents
from billing.rating.lines import LineKind
from billing.rating.terms import Timing
from billing.rating.unused import unused_lines
from billing.subscriptions.domain import EffectiveWhen, ServicePeriod, SubscriptionStatus
from billing.subscriptions.models import Subscription, SubscriptionPhase
from kernel import ids
from kernel.errors import Conflict, Invalid, NotFound
from kernel.period import Period, local_day
from tenants import audit

SELLER = "default"


def change_plan(
    *, tenant_id: UUID, plan_key: str, when: EffectiveWhen, now: datetime, actor: str
) -> None:
    """Let the tenant's subscription hold another plan, in the caller's cross-tenant scope.

    At the period's end: its next document bills the new plan's advance. Now: the change day belongs to
    the new plan, and one document is issued at once, with a negative line for the unused days of each
    price and a charge line; the anchor stays. Where it comes out negative it is a credit note, and its
    amount goes to the cash balance. What the old plan metered is billed at the period's end by the old
    plan, what the new one does by the new. While the document that opens the period is still a draft,
    a change on the period's first day only changes that draft.

    A change that was planned for later is replaced. Raises NotFound `no_subscription`,
    `plan_not_found`; Invalid `currency_mismatch`, `interval_differs`; Conflict `same_plan`,
    `subscription_ends`, `billing_due`.
    """
    row, contract = held_subscription(tenant_id=tenant_id, now=now)
    zone = contract.cadence.zone
    day = local_day(now, zone)
    new = version_in_force(plan_key=plan_key, day=day)
    held = contract.version_on(day)
    if new.terms.currency != held.terms.currency:
        raise Invalid(
            "currency_mismatch",
            f"{plan_key} is in {new.terms.currency}, the subscription in {held.terms.currency}; "
            "end it and subscribe anew.",
            field="plan",
        )
    if when is EffectiveWhen.PERIOD_END:
        _plan_change(row, contract, new, held=held, now=now)
    elif day < row.starts_on:
        # On trial nothing was billed yet: it simply holds the other plan.
        SubscriptionPhase.objects.filter(subscription=row).delete()
        _hold(row, new)
    else:
        _change_now(row, contract, new, held=held, day=day, now=now, actor=actor)
    audit.record(
        audit.Entry(
            tenant_id=tenant_id,
            actor=actor,
            action="subscription.plan_changed",
            target=f"subscription:{row.id}",
            before={"plan": held.terms.key, "version": held.number},
            after={"plan": plan_key, "version": new.number, "when": when.value},
        ),
        now=now,
    )


def held_subscription(*, tenant_id: UUID, now: datetime) -> tuple[Subscription, Contract]:
    """The running subscription, locked. Raises NotFound `no_subscription`, Conflict `billing_due`."""
    row = (
        Subscription.objects.select_for_update(of=("self",))
        .select_related("plan_version", "tenant")
        .filter(tenant_id=tenant_id, status=SubscriptionStatus.ACTIVE)
        .first()
    )
    if row is None:
        raise NotFound("no_subscription", "The tenant has no running subscription.", field="tenant")
    if row.next_boundary_at is not None and row.next_boundary_at <= now:
        raise Conflict(
            "billing_due",
            "A period of the subscription ended and is not billed yet; run the billing first.",
        )
    return row, load_contracts([row])[row.id]


def opening_draft(row: Subscription, service: ServicePeriod) -> Invoice | None:
    """The document that bills the period's advance, while it is a draft."""
    return Invoice.objects.filter(
        tenant_id=row.tenant_id,
        subscription=row,
        kind=InvoiceKind.SUBSCRIPTION,
        status=InvoiceStatus.DRAFT,
        boundary_at=service.served.starts_at,
    ).first()


def unused_draft_lines(
    contract: Contract, held: HeldVersion, *, period: Period, unused: Period
) -> list[DraftLine]:
    """The negative lines for what the version billed in advance and is not used."""
    return [
        DraftLine(timing=Timing.IN_ADVANCE.value, line=line, plan_version_id=held.plan_version_id)
        for line in held.explained(
            unused_lines(
                terms=held.terms,
                version=held.number,
                period=period,
                unused=unused,
                zone=contract.cadence.zone,
            )
        )
    ]


def credit_unused(
    row: Subscription, contract: Contract, draft: Draft, *, reason: str, now: datetime, actor: str
) -> None:
    """Issue a draft that came out negative as a credit note, its amount to the cash balance."""
    billed = {
        (line.key, line.plan_version_id): line
        for line in InvoiceLine.objects.filter(
            tenant_id=row.tenant_id,
            invoice__subscription=row,
            invoice__number__isnull=False,
            timing=Timing.IN_ADVANCE.value,
            kind=LineKind.RECURRING,
            period_starts_at__lte=draft.period.starts_at,
            period_ends_at__gt=draft.period.starts_at,
        )
        .select_related("invoice")
        .order_by("invoice__issued_at", "invoice__number")
    }
    lines = []
    invoice = None
    for each in draft.lines:
        source = None
        if each.line.kind is LineKind.CREDIT:
            source = billed.get((each.line.key, each.plan_version_id))
            invoice = invoice or (source.invoice if source is not None else None)
        lines.append(
            CreditLine(
                key=each.line.key,
                description=each.line.description,
                amount=-each.line.amount,
                period=each.line.period,
                timing=Timing(each.timing),
                invoice_line_id=source.id if source is not None else None,
                explanation=dict(each.line.explanation),
            )
        )
    issue_credit_note(
        note=NewCreditNote(
            tenant=row.tenant,
            seller=SELLER,
            timezone=contract.cadence.zone.key,
            currency=draft.currency,
            lines=lines,
            reason=reason,
            invoice=invoice,
            settles=False,
            subscription=row,
        ),
        now=now,
        actor=actor,
    )


def issue_at_once(
    row: Subscription,
    contract: Contract,
    draft: Draft,
    *,
    kind: InvoiceKind,
    now: datetime,
    corrections: int = 0,
) -> Invoice:
    """Write a document outside the boundaries and issue it as of now; one of nothing gets no number.

    `corrections` is how many corrections its days had before their usage was read.
    """
    invoice = invoice_row(contract, draft, seller=SELLER, at=now, kind=kind)
    invoice.tenant = row.tenant
    invoice.corrections_counted = corrections
    invoice.save(force_insert=True)
    InvoiceLine.objects.bulk_create(
        line_rows(invoice_id=invoice.id, contract=contract, draft=draft)
    )
    if draft.is_empty:
        Invoice.objects.filter(id=invoice.id).update(status=InvoiceStatus.VOID)
    else:
        issue_documents(documents=[Issuable(invoice=invoice, draft=draft)], at=now)
    return invoice


def _plan_change(
    row: Subscription, contract: Contract, new: StoredVersion, *, held: HeldVersion, now: datetime
) -> None:
    if row.ends_at is not None or row.next_boundary_at is None:
        raise Conflict("subscription_ends", "The subscription ends with its period.")
    starts_on = local_day(row.next_boundary_at, contract.cadence.zone)
    following = SubscriptionPhase.objects.filter(subscription=row, starts_on__gte=starts_on)
    following.delete()
    if new.id != held.plan_version_id:
        _add_phase(row, new, starts_on=starts_on, now=now)


def _change_now(
    row: Subscription,
    contract: Contract,
    new: StoredVersion,
    *,
    held: HeldVersion,
    day: date,
    now: datetime,
    actor: str,
) -> None:
    if new.id == held.plan_version_id:
        raise Conflict(
            "same_plan", "The subscription holds this version of the plan already.", field="plan"
        )
    if (new.terms.interval, new.terms.interval_count) != (
        held.terms.interval,
        held.terms.interval_count,
    ):
        raise Invalid(
            "interval_differs",
            "The plans have periods of different length; change when the period ends.",
            field="when",
        )
    service = contract.cadence.period_of(day)
    unused = Period.of_days(
        day, service.served.end_day(contract.cadence.zone), contract.cadence.zone
    )
    SubscriptionPhase.objects.filter(subscription=row, starts_on__gt=day).delete()
    _add_phase(row, new, starts_on=day, now=now)
    _hold(row, new)
    if unused == service.served and opening_draft(row, service) is not None:
        return
    taking = on_day(
        HeldVersion(starts_on=day, plan_version_id=new.id, number=new.number, terms=new.terms),
        contract.overrides,
        day=day,
    )
    draft = Draft(
        boundary_at=now,
        finalize_at=now,
        period=unused,
        currency=new.terms.currency,
        lines=(
            *unused_draft_lines(contract, held, period=service.full, unused=unused),
            *rated_lines(
                contract,
                taking,
                period=service.full,
                served=unused,
                usage={},
                timing=Timing.IN_ADVANCE,
            ),
        ),
        waits_for_usage=False,
    )
    if draft.is_empty:
        return
    if draft.subtotal.minor < 0:
        reason = f"Change from {held.terms.key} to {new.terms.key}"
        credit_unused(row, contract, draft, reason=reason, now=now, actor=actor)
    else:
        issue_at_once(row, contract, draft, kind=InvoiceKind.CHANGE, now=now)


def _hold(row: Subscription, version: StoredVersion) -> None:
    row.plan_version_id = version.id
    row.save(update_fields=["plan_version"])


def _add_phase(
    row: Subscription, version: StoredVersion, *, starts_on: date, now: datetime
) -> None:
    if not SubscriptionPhase.objects.filter(subscription=row).exists():
        SubscriptionPhase.objects.create(
            id=ids.new_id(),
            tenant_id=row.tenant_id,
            subscription=row,
            starts_on=row.starts_on,
            plan_version_id=row.plan_version_id,
            changed_at=now,
        )
    SubscriptionPhase.objects.update_or_create(
        tenant_id=row.tenant_id,
        subscription=row,
        starts_on=starts_on,
        defaults={"plan_version_id": version.id, "changed_at": now},
        create_defaults={
            "id": ids.new_id(),
            "plan_version_id": version.id,
            "changed_at": now,
        },
    )
