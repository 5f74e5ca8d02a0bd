"""Approve or refuse what somebody else asked of an issued invoice; or take one's own request back."""

from datetime import datetime
from typing import assert_never
from uuid import UUID

from billing.invoicing.creditable import refuse_beyond
from billing.invoicing.crediting import (
    TaxedCredit,
    creditable_lines,
    lock_issued,
    refuse_paid_top_up,
)
from billing.invoicing.domain import (
    InvoiceRequestState,
    InvoiceStatus,
    RequestedAction,
    check_transition,
)
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.request_models import InvoiceRequest, InvoiceRequestLine
from billing.invoicing.services.ask_of_invoice import owed_of_open
from billing.invoicing.services.credit_invoice import issue_on
from billing.ledger.domain import write_off_postings
from billing.ledger.services import NewTransaction, post_transaction
from kernel.errors import Conflict, Forbidden, Invalid, NotFound
from kernel.money import Money
from tenants import audit, two_people
from work import outbox


def approve_on_invoice(*, request_id: UUID, now: datetime, actor: str) -> InvoiceRequestState:
    """Do what was asked, once, in the caller's cross-tenant transaction: exactly those amounts.

    Gives `DONE`; or `EXPIRED`, and nothing is done, where the invoice has changed since so that it can't
    be done any more, or the request is older than 72 hours: what it held is free then. Raises NotFound
    `unknown_invoice_request`, Forbidden `same_person`, Conflict `already_decided`.
    """
    row, invoice = _locked(request_id)
    note: CreditNote | None = None
    try:
        two_people.refuse_unless_second(row, now=now, actor=actor)
        action = RequestedAction(row.action)
        match action:
            case RequestedAction.CREDIT:
                crediting = _still_there(row, invoice)
            case RequestedAction.WRITE_OFF:
                _refuse_other_debt(row, invoice)
            case _:
                assert_never(action)
    except Conflict as changed:
        _decide(
            row,
            invoice,
            InvoiceRequestState.EXPIRED,
            now=now,
            actor=actor,
            decided_reason=changed.message[:500],
        )
        return InvoiceRequestState.EXPIRED
    if action is RequestedAction.CREDIT:
        note = issue_on(invoice, crediting, reason=row.reason, now=now, actor=actor)
    else:
        _write_off(row, invoice, now=now)
    _decide(row, invoice, InvoiceRequestState.DONE, now=now, actor=actor, credit_note=note)
    return InvoiceRequestState.DONE


def refuse_on_invoice(*, request_id: UUID, reason: str, now: datetime, actor: str) -> None:
    """Nothing is done. Raises NotFound `unknown_invoice_request`; Conflict `already_decided`; Invalid
    `reason_missing`; Forbidden `same_person`: who asked takes it back instead."""
    row, invoice = _locked(request_id)
    if row.requested_by == actor:
        raise Forbidden("same_person", "Who asked for it takes it back instead.")
    if not reason.strip():
        raise Invalid("reason_missing", "Say why it is refused.", field="reason")
    _decide(
        row,
        invoice,
        InvoiceRequestState.REFUSED,
        now=now,
        actor=actor,
        decided_reason=reason.strip()[:500],
    )


def withdraw_on_invoice(*, request_id: UUID, now: datetime, actor: str) -> None:
    """Who asked takes it back. Raises NotFound `unknown_invoice_request`, Conflict `already_decided`,
    Forbidden `not_own_request`."""
    row, invoice = _locked(request_id)
    if row.requested_by != actor:
        raise Forbidden("not_own_request", "Only who asked can take it back; refuse it instead.")
    _decide(row, invoice, InvoiceRequestState.WITHDRAWN, now=now, actor=actor)


def expire_requests(*, now: datetime, actor: str) -> int:
    """Give free what requests hold that are too old to be approved; gives how many. In the caller's
    cross-tenant transaction."""
    oldest = now - two_people.GOOD_FOR
    expired = 0
    for request_id in InvoiceRequest.objects.filter(
        state="waiting", requested_at__lt=oldest
    ).values_list("id", flat=True):
        try:
            row, invoice = _locked(request_id)
        except Conflict:  # decided since the list was read
            continue
        _decide(row, invoice, InvoiceRequestState.EXPIRED, now=now, actor=actor)
        expired += 1
    return expired


def _locked(request_id: UUID) -> tuple[InvoiceRequest, Invoice]:
    """The waiting request and its invoice, the invoice first: as everywhere."""
    missing = NotFound("unknown_invoice_request", "There is no such request.", field="request")
    invoice_id = (
        InvoiceRequest.objects.filter(id=request_id).values_list("invoice_id", flat=True).first()
    )
    if invoice_id is None:
        raise missing
    invoice = lock_issued(invoice_id=invoice_id)
    row = two_people.lock_waiting(InvoiceRequest.objects.filter(id=request_id), missing=missing)
    return row, invoice


def _still_there(row: InvoiceRequest, invoice: Invoice) -> list[TaxedCredit]:
    asked = list(
        InvoiceRequestLine.objects.filter(tenant_id=row.tenant_id, request=row)
        .select_related("invoice_line")
        .order_by("position")
    )
    crediting = [
        TaxedCredit(
            line=each.invoice_line,
            amount=Money(each.amount_minor, row.currency),
            tax=Money(each.tax_minor, row.currency),
        )
        for each in asked
    ]
    refuse_paid_top_up(invoice, net=Money(row.total_minor - row.tax_minor, row.currency))
    refuse_beyond(
        [(each.line.position, each.amount, each.tax) for each in crediting],
        lines=creditable_lines(invoice, list(invoice.lines.all()), besides=row.id),
        currency=row.currency,
    )
    return crediting


def _refuse_other_debt(row: InvoiceRequest, invoice: Invoice) -> None:
    owed = owed_of_open(invoice)
    if owed.minor != row.total_minor:
        raise Conflict("invoice_changed", f"The invoice owes {owed} now; ask for it anew.")


def _write_off(row: InvoiceRequest, invoice: Invoice, *, now: datetime) -> None:
    check_transition(before=InvoiceStatus(invoice.status), after=InvoiceStatus.UNCOLLECTIBLE)
    invoice.status = InvoiceStatus.UNCOLLECTIBLE
    invoice.save(update_fields=["status"])
    post_transaction(
        transaction=NewTransaction(
            tenant_id=invoice.tenant_id,
            kind="write_off",
            reference=f"invoice:{invoice.id}",
            description=f"{invoice.number} is written off",
            postings=write_off_postings(lost=Money(row.total_minor, row.currency)),
        ),
        now=now,
    )
    outbox.publish(
        topic="invoice.uncollectible",
        key=str(invoice.id),
        payload={"invoice_id": str(invoice.id)},
        tenant_id=invoice.tenant_id,
    )


def _decide(
    row: InvoiceRequest,
    invoice: Invoice,
    state: InvoiceRequestState,
    *,
    now: datetime,
    actor: str,
    decided_reason: str = "",
    credit_note: CreditNote | None = None,
) -> None:
    two_people.decide(
        row,
        state=state,
        now=now,
        actor=actor,
        decided_reason=decided_reason,
        credit_note=credit_note,
    )
    audit.record(
        audit.Entry(
            tenant_id=row.tenant_id,
            actor=actor,
            action=f"invoice.{row.action}_{state}",
            target=f"invoice:{invoice.number}",
            after={
                "request": str(row.id),
                "total": f"{Money(row.total_minor, row.currency)}",
                "requested_by": row.requested_by,
                **({} if credit_note is None else {"credit_note": credit_note.number}),
            },
            reason=decided_reason or row.reason,
        ),
        now=now,
    )
