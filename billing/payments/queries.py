"""Payments as screens and API show them. Each query runs inside the caller's scope."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.db.models import Q

from billing.payments.domain import OPEN_STATES, AttemptState, Method
from billing.payments.models import GatewayEvent, Payment, PaymentAllocation, PaymentAttempt
from kernel.money import Money
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class SettledInvoice:
    """An invoice that a payment settled, wholly or in part."""

    id: UUID
    number: str
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRow:
    """Money that came in, and what it settled."""

    id: UUID
    tenant_id: UUID
    tenant_key: str
    tenant_name: str
    method: Method
    external_id: str
    amount: Money
    allocated: Money
    credited: Money
    received_on: date
    booked_at: datetime
    booked_by: str
    note: str
    invoices: Sequence[SettledInvoice]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentPage:
    """Some payments, newest first, and how many the filter finds in all."""

    rows: Sequence[PaymentRow]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRow:
    """An attempt to pay by card, and what the payer met last."""

    id: UUID
    number: int
    amount: Money
    state: AttemptState
    intent_id: str
    error_code: str
    error_message: str
    requested_at: datetime
    concluded_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """A gateway's event and what came of it; staff only."""

    event_id: str
    kind: str
    api_version: str
    object_id: str
    occurred_at: datetime
    received_at: datetime
    worked_at: datetime | None
    outcome: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentDrift:
    """A payment and its posting that disagree, in minor units."""

    payment_id: UUID
    allocated_minor: int
    credited_minor: int
    posted_allocated_minor: int
    posted_credited_minor: int


def payments_of_invoice(*, tenant_id: UUID, invoice_id: UUID) -> list[PaymentRow]:
    """The payments that settled an invoice, oldest first."""
    found = Payment.objects.filter(tenant_id=tenant_id, allocations__invoice_id=invoice_id)
    return _rows(list(found.select_related("tenant").order_by("booked_at", "id")))


def payment_rows(
    *, tenant_id: UUID | None = None, search: str = "", limit: int, offset: int = 0
) -> PaymentPage:
    """Payments, newest first; `search` looks at tenant, external id and invoice number."""
    found = Payment.objects.all()
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    if search:
        numbered = PaymentAllocation.objects.filter(invoice__number__icontains=search)
        found = found.filter(
            Q(external_id__icontains=search)
            | Q(tenant__key__icontains=search)
            | Q(tenant__name__icontains=search)
            | Q(id__in=numbered.values("payment_id"))
        )
    page = found.select_related("tenant").order_by("-booked_at", "-id")
    return PaymentPage(rows=_rows(list(page[offset : offset + limit])), total=found.count())


def payment_page(*, tenant_id: UUID, after: UUID | None, limit: int) -> list[PaymentRow]:
    """Up to `limit` of the tenant's payments, newest first, those after the payment `after`."""
    found = Payment.objects.filter(tenant_id=tenant_id)
    if after is not None:
        found = found.filter(id__lt=after)
    return _rows(list(found.select_related("tenant").order_by("-id")[:limit]))


def attempts_of_invoice(*, tenant_id: UUID, invoice_id: UUID) -> list[AttemptRow]:
    """The attempts to pay an invoice by card, newest first."""
    return [
        AttemptRow(
            id=row.id,
            number=row.number,
            amount=Money(row.amount_minor, row.currency),
            state=AttemptState(row.state),
            intent_id=row.intent_id or "",
            error_code=row.error_code,
            error_message=row.error_message,
            requested_at=row.requested_at,
            concluded_at=row.concluded_at,
        )
        for row in PaymentAttempt.objects.filter(
            tenant_id=tenant_id, invoice_id=invoice_id
        ).order_by("-number")
    ]


def recent_gateway_events(*, limit: int) -> list[EventRow]:
    """The newest events of the gateway; needs a cross-tenant scope."""
    return [
        EventRow(
            event_id=row.event_id,
            kind=row.kind,
            api_version=row.api_version,
            object_id=row.object_id,
            occurred_at=row.occurred_at,
            received_at=row.received_at,
            worked_at=row.worked_at,
            outcome=row.outcome,
            error=row.error,
        )
        for row in GatewayEvent.objects.order_by("-received_at", "-id")[:limit]
    ]


def first_payment_drift() -> PaymentDrift | None:
    """The first payment whose posting does not say what the payment says; needs a cross-tenant scope.

    Its allocated part must stand on the receivable, its credited part on the tenant's credit.
    """
    with cursor() as db:
        db.execute(
            """
            SELECT p.id, p.allocated_minor, p.credited_minor,
                   -coalesce(sum(e.amount_minor) FILTER (WHERE e.account = 'receivable'), 0)::bigint,
                   -coalesce(sum(e.amount_minor)
                             FILTER (WHERE e.account = 'customer_credit'), 0)::bigint
              FROM billing_payment p
              LEFT JOIN billing_journaltransaction t ON t.tenant_id = p.tenant_id
                   AND t.kind = 'payment' AND t.reference = 'payment:' || p.id
              LEFT JOIN billing_journalentry e ON e.tenant_id = t.tenant_id
                   AND e.transaction_id = t.id AND e.currency = p.currency
             GROUP BY p.id, p.allocated_minor, p.credited_minor
            HAVING p.allocated_minor <>
                       -coalesce(sum(e.amount_minor) FILTER (WHERE e.account = 'receivable'), 0)
                OR p.credited_minor <>
                       -coalesce(sum(e.amount_minor) FILTER (WHERE e.account = 'customer_credit'), 0)
             ORDER BY p.id LIMIT 1
            """
        )
        row = db.fetchone()
    if row is None:
        return None
    return PaymentDrift(
        payment_id=row[0],
        allocated_minor=row[1],
        credited_minor=row[2],
        posted_allocated_minor=row[3],
        posted_credited_minor=row[4],
    )


def _rows(payments: Sequence[Payment]) -> list[PaymentRow]:
    settled: dict[UUID, list[SettledInvoice]] = {payment.id: [] for payment in payments}
    for part in (
        PaymentAllocation.objects.filter(
            tenant_id__in={payment.tenant_id for payment in payments}, payment_id__in=settled
        )
        .select_related("invoice")
        .order_by("payment_id", "invoice__number")
    ):
        settled[part.payment_id].append(
            SettledInvoice(
                id=part.invoice_id,
                number=part.invoice.number or "",
                amount=Money(part.amount_minor, part.invoice.currency),
            )
        )
    return [
        PaymentRow(
            id=row.id,
            tenant_id=row.tenant_id,
            tenant_key=row.tenant.key,
            tenant_name=row.tenant.name,
            method=Method(row.method),
            external_id=row.external_id,
            amount=Money(row.amount_minor, row.currency),
            allocated=Money(row.allocated_minor, row.currency),
            credited=Money(row.credited_minor, row.currency),
            received_on=row.received_on,
            booked_at=row.booked_at,
            booked_by=row.booked_by,
            note=row.note,
            invoices=tuple(settled[row.id]),
        )
        for row in payments
    ]
