"""Book money that came in: payment, allocation, ledger and invoice in the caller's transaction."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from billing.invoicing.domain import InvoiceKind, InvoiceStatus, check_transition
from billing.invoicing.models import Invoice
from billing.invoicing.services.recover_bad_debt import recover_bad_debt
from billing.ledger.domain import BalanceKind, top_up_postings
from billing.ledger.services import NewTransaction, add_to_balance, post_transaction
from billing.payments.domain import (
    OPEN_STATES,
    Gateway,
    Method,
    payment_postings,
    split,
)
from billing.payments.models import Payment, PaymentAllocation, PaymentAttempt
from kernel import ids
from kernel.errors import NotFound
from kernel.money import Money
from tenants import audit
from work import outbox
from work.jobs import JobRequest, enqueue_many

_SETTLED_BY_PAYMENT = {InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Money that came in from outside; (gateway, external id) names it for ever."""

    method: Method
    gateway: Gateway
    external_id: str
    amount: Money
    received_on: date
    booked_by: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookedPayment:
    """`allocated` settles the invoice, `credited` is the surplus that stays the tenant's credit."""

    payment_id: UUID
    amount: Money
    allocated: Money
    credited: Money
    outstanding: Money
    invoice_is_paid: bool


def lock_invoice(*, invoice_id: UUID, tenant_id: UUID | None = None) -> Invoice:
    """The invoice, held until the transaction ends; everything about paying it begins here.

    Raises NotFound `invoice_not_found`.
    """
    found = Invoice.objects.select_for_update(of=("self",)).filter(id=invoice_id)
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    invoice = found.first()
    if invoice is None or invoice.number is None:
        raise NotFound("invoice_not_found", "There is no such invoice.", field="invoice")
    return invoice


def outstanding_of(invoice: Invoice) -> Money:
    """What a payment can still settle; nothing of a paid, void or draft invoice."""
    if invoice.status not in _SETTLED_BY_PAYMENT:
        return Money.zero(invoice.currency)
    return Money(max(0, invoice.total_minor - invoice.paid_minor), invoice.currency)


def book_payment(*, invoice: Invoice, receipt: Receipt, now: datetime) -> BookedPayment | None:
    """Book the receipt against the locked invoice; None when it was booked before, by anybody. What settles a
    top-up becomes the tenant's cash balance with it.

    What is more than the invoice needs is credited to the tenant, so that received money is always
    allocated plus credited. Raises Invalid `amount_not_positive`, `currency_mismatch`.
    """
    outstanding = outstanding_of(invoice)
    parts = split(received=receipt.amount, outstanding=outstanding)
    payment = Payment(
        id=ids.new_id(),
        tenant_id=invoice.tenant_id,
        method=receipt.method,
        gateway=receipt.gateway,
        external_id=receipt.external_id,
        currency=receipt.amount.currency,
        amount_minor=receipt.amount.minor,
        allocated_minor=parts.allocated.minor,
        credited_minor=parts.credited.minor,
        received_on=receipt.received_on,
        booked_at=now,
        booked_by=receipt.booked_by[:200],
        note=receipt.note[:500],
    )
    # The key is unique over all tenants, whose rows this role may not see; so the insert decides.
    Payment.objects.bulk_create([payment], ignore_conflicts=True)
    if not Payment.objects.filter(id=payment.id).exists():
        return None
    recover_bad_debt(invoice=invoice, amount=parts.allocated, settled_by=payment.id, now=now)
    is_paid = _settle(invoice, payment, amount=parts.allocated, now=now)
    post_transaction(
        transaction=NewTransaction(
            tenant_id=invoice.tenant_id,
            kind="payment",
            reference=f"payment:{payment.id}",
            description=f"Payment of {invoice.number}",
            postings=payment_postings(method=receipt.method, parts=parts),
        ),
        now=now,
    )
    add_to_balance(
        tenant_id=invoice.tenant_id,
        kind=BalanceKind.CASH,
        amount=parts.credited,
        source=f"payment:{payment.id}",
        now=now,
    )
    _top_up(invoice, payment, paid=parts.allocated, now=now)
    _tell(invoice, payment, is_paid=is_paid, now=now)
    return BookedPayment(
        payment_id=payment.id,
        amount=receipt.amount,
        allocated=parts.allocated,
        credited=parts.credited,
        outstanding=outstanding - parts.allocated,
        invoice_is_paid=is_paid,
    )


def withdraw_open_attempts(*, invoice: Invoice) -> None:
    """Ask for the end of attempts that would pay the invoice a second time."""
    attempts = PaymentAttempt.objects.filter(
        tenant_id=invoice.tenant_id, invoice_id=invoice.id, state__in=sorted(OPEN_STATES)
    )
    enqueue_many(
        JobRequest(
            kind="payments.withdraw_attempt",
            key=str(attempt_id),
            payload={"attempt_id": str(attempt_id)},
            tenant_id=invoice.tenant_id,
        )
        for attempt_id in attempts.values_list("id", flat=True)
    )


def _settle(invoice: Invoice, payment: Payment, *, amount: Money, now: datetime) -> bool:
    """Allocate to the invoice; it is paid when, and only when, nothing of its total is left."""
    if not amount:
        return False
    PaymentAllocation.objects.create(
        tenant_id=invoice.tenant_id,
        payment=payment,
        invoice_id=invoice.id,
        amount_minor=amount.minor,
        allocated_at=now,
    )
    invoice.paid_minor += amount.minor
    is_paid = invoice.paid_minor == invoice.total_minor
    if is_paid:
        check_transition(before=InvoiceStatus(invoice.status), after=InvoiceStatus.PAID)
        invoice.status = InvoiceStatus.PAID
        invoice.paid_at = now
    invoice.save(update_fields=["paid_minor", "status", "paid_at"])
    return is_paid


def _top_up(invoice: Invoice, payment: Payment, *, paid: Money, now: datetime) -> None:
    """What settles a top-up is the tenant's cash balance from now on, as far as it came in."""
    if invoice.kind != InvoiceKind.TOP_UP or not paid:
        return
    post_transaction(
        transaction=NewTransaction(
            tenant_id=invoice.tenant_id,
            kind="top_up",
            reference=f"top_up:{payment.id}",
            description=f"Top-up {invoice.number}",
            postings=top_up_postings(paid=paid),
        ),
        now=now,
    )
    add_to_balance(
        tenant_id=invoice.tenant_id,
        kind=BalanceKind.CASH,
        amount=paid,
        source=f"top_up:{payment.id}",
        now=now,
    )


def _tell(invoice: Invoice, payment: Payment, *, is_paid: bool, now: datetime) -> None:
    audit.record(
        audit.Entry(
            tenant_id=invoice.tenant_id,
            actor=payment.booked_by,
            action="payment.booked",
            target=f"invoice:{invoice.number}",
            after={
                "payment": str(payment.id),
                "method": payment.method,
                "amount": f"{Money(payment.amount_minor, payment.currency)}",
                "allocated": f"{Money(payment.allocated_minor, payment.currency)}",
                "credited": f"{Money(payment.credited_minor, payment.currency)}",
                "external_id": payment.external_id,
                "received_on": payment.received_on.isoformat(),
            },
        ),
        now=now,
    )
    outbox.publish(
        topic="payment.booked",
        key=str(payment.id),
        payload={"payment_id": str(payment.id), "invoice_id": str(invoice.id)},
        tenant_id=invoice.tenant_id,
    )
    if is_paid:
        outbox.publish(
            topic="invoice.paid",
            key=str(invoice.id),
            payload={"invoice_id": str(invoice.id)},
            tenant_id=invoice.tenant_id,
        )
