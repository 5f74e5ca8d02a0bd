"""What was asked of issued invoices, what can still be credited, and what a credit would do.

All need a cross-tenant scope: none of it is for tenants, who see the credit notes that came of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from billing.invoicing.creditable import left_to_credit
from billing.invoicing.crediting import (
    LineCredit,
    TaxedCredit,
    creditable_lines,
    tax_of,
    with_taxes,
)
from billing.invoicing.domain import InvoiceRequestState, InvoiceStatus, RequestedAction
from billing.invoicing.line_taxes import TaxSum, tax_sums
from billing.invoicing.models import Invoice
from billing.invoicing.request_models import InvoiceRequest, InvoiceRequestLine
from kernel.errors import NotFound
from kernel.money import Money, total


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRow:
    """A request as lists show it; people as the audit trail names them."""

    id: UUID
    invoice_id: UUID
    invoice_number: str
    tenant_key: str
    tenant_name: str
    action: RequestedAction
    state: InvoiceRequestState
    tax: Money
    total: Money
    reason: str
    requested_by: str
    requested_at: datetime
    decided_by: str
    decided_at: datetime | None
    decided_reason: str
    credit_note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPage:
    """Some requests, newest first, and how many there are."""

    rows: Sequence[RequestRow]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftLine:
    """What of a line can still be credited: after discounts, and the tax that would go back with it."""

    position: int
    description: str
    billed: Money
    net: Money
    tax: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditedLine:
    """What of a line is credited."""

    position: int
    description: str
    net: Money
    tax: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditPreview:
    """What a credit note comes to: its lines, its tax for each rate, where it goes, and what can be
    credited after it."""

    lines: Sequence[CreditedLine]
    taxes: Sequence[TaxSum]
    net: Money
    tax: Money
    total: Money
    to_receivable: Money
    to_balance: Money
    left_after: Money


def request_rows(*, state: str = "", limit: int, offset: int = 0) -> RequestPage:
    """Requests over all tenants, of one state where it is given."""
    found = _rows()
    if state:
        found = found.filter(state=state)
    return RequestPage(
        rows=[
            _row(each) for each in found.order_by("-requested_at", "-id")[offset : offset + limit]
        ],
        total=found.count(),
    )


def requests_of_invoice(*, tenant_id: UUID, invoice_id: UUID) -> list[RequestRow]:
    """All that was asked of one invoice, newest first."""
    found = _rows().filter(tenant_id=tenant_id, invoice_id=invoice_id)
    return [_row(each) for each in found.order_by("-requested_at", "-id")]


def invoice_request(*, request_id: UUID) -> tuple[RequestRow, CreditPreview | None]:
    """One request, and what the credit note comes to that it asks for.

    Raises NotFound `unknown_invoice_request`.
    """
    row = _rows().select_related("invoice__seller").filter(id=request_id).first()
    if row is None:
        raise NotFound("unknown_invoice_request", "There is no such request.", field="request")
    if row.action != RequestedAction.CREDIT:
        return _row(row), None
    asked = InvoiceRequestLine.objects.filter(tenant_id=row.tenant_id, request=row)
    credited = [
        TaxedCredit(
            line=each.invoice_line,
            amount=Money(each.amount_minor, row.currency),
            tax=Money(each.tax_minor, row.currency),
        )
        for each in asked.select_related("invoice_line").order_by("position")
    ]
    return _row(row), _preview(row.invoice, credited, held_too=row.state == "waiting")


def creditable(*, invoice_id: UUID) -> list[LeftLine]:
    """What of each line of an issued invoice can still be credited; nothing of one that is not issued.

    Raises NotFound `invoice_not_found`.
    """
    return _left(_issued(invoice_id))


def preview_credit(*, invoice_id: UUID, lines: Sequence[LineCredit]) -> CreditPreview:
    """What a credit note on these amounts would come to. Raises as `with_taxes`, and NotFound
    `invoice_not_found`."""
    invoice = _issued(invoice_id)
    return _preview(invoice, with_taxes(invoice, lines), held_too=False)


def _issued(invoice_id: UUID) -> Invoice:
    found = Invoice.objects.select_related("subscription", "seller")
    invoice = found.filter(id=invoice_id, number__isnull=False).first()
    if invoice is None:
        raise NotFound("invoice_not_found", "There is no such invoice.", field="invoice")
    return invoice


def _left(invoice: Invoice) -> list[LeftLine]:
    lines = list(invoice.lines.order_by("position"))
    left = left_to_credit(creditable_lines(invoice, lines), currency=invoice.currency)
    return [
        LeftLine(
            position=line.position,
            description=line.description,
            billed=Money(line.amount_minor - line.discount_minor, invoice.currency),
            net=net,
            tax=tax,
        )
        for line in lines
        for net, tax in [left[line.position]]
    ]


def _preview(invoice: Invoice, credited: Sequence[TaxedCredit], *, held_too: bool) -> CreditPreview:
    """With `held_too` what can be credited is without these amounts already."""
    currency = invoice.currency
    net = total((each.amount for each in credited), currency=currency)
    tax = total((each.tax for each in credited), currency=currency)
    is_owed = invoice.status in {InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE}
    owed = Money(invoice.total_minor - invoice.paid_minor if is_owed else 0, currency)
    to_receivable = min(net + tax, owed)
    left = total((each.net + each.tax for each in _left(invoice)), currency=currency)
    return CreditPreview(
        lines=[
            CreditedLine(
                position=each.line.position,
                description=each.line.description,
                net=each.amount,
                tax=each.tax,
            )
            for each in credited
        ],
        taxes=tax_sums(
            ((tax_of(each.line), each.amount, each.tax) for each in credited), currency=currency
        ),
        net=net,
        tax=tax,
        total=net + tax,
        to_receivable=to_receivable,
        to_balance=net + tax - to_receivable,
        left_after=left if held_too else left - net - tax,
    )


def _rows() -> QuerySet[InvoiceRequest]:
    return InvoiceRequest.objects.select_related("invoice", "tenant", "credit_note")


def _row(row: InvoiceRequest) -> RequestRow:
    return RequestRow(
        id=row.id,
        invoice_id=row.invoice_id,
        invoice_number=row.invoice.number or "",
        tenant_key=row.tenant.key,
        tenant_name=row.tenant.name,
        action=RequestedAction(row.action),
        state=InvoiceRequestState(row.state),
        tax=Money(row.tax_minor, row.currency),
        total=Money(row.total_minor, row.currency),
        reason=row.reason,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        decided_reason=row.decided_reason,
        credit_note=row.credit_note.number if row.credit_note is not None else "",
    )
