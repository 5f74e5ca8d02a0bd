"""Record money that the bank statement shows; finance does this in the console."""

from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.payments.domain import Gateway, Method, bank_reference
from billing.payments.services.book_payment import (
    BookedPayment,
    Receipt,
    book_payment,
    lock_invoice,
    withdraw_open_attempts,
)
from kernel.errors import Conflict, Forbidden, Invalid
from kernel.money import Money
from kernel.period import local_day
from tenants.models import User
from tenants.permissions import StaffAction, staff_may
from tenants.scope import staff_scope


def record_bank_transfer(
    *,
    user: User,
    invoice_id: UUID,
    amount: Money,
    received_on: date,
    reference: str,
    note: str = "",
    now: datetime,
) -> BookedPayment:
    """Book one line of the bank statement against an invoice.

    Less than the invoice leaves it open with the rest; more settles it, and the surplus is the
    tenant's credit. `reference` is the statement's own; blanks and letter case in it don't count,
    and it is booked once in the whole deployment.

    Raises Forbidden `not_allowed`; NotFound `invoice_not_found`; Invalid `amount_not_positive`,
    `currency_mismatch`, `received_in_future`, `received_too_long_ago`, `invalid_bank_reference`;
    Conflict `invoice_not_open`, `bank_reference_taken`.
    """
    if not staff_may(role=user.staff_role, action=StaffAction.PAYMENTS_RECORD):
        raise Forbidden("not_allowed", "Your role may not record payments; ask finance.")
    external_id = bank_reference(reference)
    with staff_scope(user=user, purpose="record a bank transfer"):
        invoice = lock_invoice(invoice_id=invoice_id)
        today = local_day(now, ZoneInfo(invoice.timezone))
        _check_day(received_on, today=today)
        if invoice.currency != amount.currency:
            raise Invalid(
                "currency_mismatch",
                f"amount is in {amount.currency}, the invoice in {invoice.currency}; "
                "exchange it first.",
                field="amount",
            )
        if invoice.status not in {"open", "uncollectible"}:
            raise Conflict(
                "invoice_not_open",
                f"Invoice {invoice.number} is {invoice.status}; choose one that is open.",
                field="invoice",
                params={"status": invoice.status},
            )
        booked = book_payment(
            invoice=invoice,
            receipt=Receipt(
                method=Method.BANK_TRANSFER,
                gateway=Gateway.BANK,
                external_id=external_id,
                amount=amount,
                received_on=received_on,
                booked_by=f"user:{user.pk}",
                note=note,
            ),
            now=now,
        )
        if booked is None:
            raise Conflict(
                "bank_reference_taken",
                f"The bank's reference {external_id} is booked already; each is booked once.",
                field="reference",
                params={"reference": external_id},
            )
        withdraw_open_attempts(invoice=invoice)
        return booked


def _check_day(received_on: date, *, today: date) -> None:
    # The bank may be a day ahead of the invoice's zone.
    if received_on > today + timedelta(days=1):
        raise Invalid(
            "received_in_future",
            "received_on is after today; give the statement's day.",
            field="received_on",
        )
    if received_on < today - timedelta(days=3 * 366):
        raise Invalid(
            "received_too_long_ago",
            "received_on is over three years back; check the year.",
            field="received_on",
        )
