"""Take back amounts of an issued invoice's lines by a credit note."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db.models import Q, Sum

from billing.invoicing.creditable import CreditableLine, credited_taxes
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.line_taxes import stored_tax
from billing.invoicing.models import CreditNoteLine, Invoice, InvoiceLine
from billing.invoicing.crediting import LineCredit, TaxedCredit, lock_issued, tax_of, with_taxes
from billing.invoicing.models import CreditNote, Invoice
from billing.invoicing.services.issue_credit_note import (
    CreditLine,
    NewCreditNote,
    issue_credit_note,
)
from billing.rating.terms import Timing
from kernel.period import Period


def credit_invoice(
    *, invoice_id: UUID, lines: Sequence[LineCredit], reason: str, now: datetime, actor: str
) -> str:
    """Issue a credit note on an invoice at once, in the caller's scope; gives its number.

    What the invoice still owes comes down first; the rest, which was paid, becomes cash of the balance.
    All credits of a line together are never above what it came to after discounts, with what
    late usage adjusted of it. Tax goes back by the
    line's own rate, and of a rate never more than the invoice charged. Raises NotFound
    `invoice_not_found`, `line_not_found`; Conflict `invoice_not_issued`, `above_line`,
    `above_invoice_tax`, `top_up_paid`; Invalid `amount_not_positive`, `currency_mismatch`, `nothing_to_credit`.
    """
    invoice = (
        Invoice.objects.select_for_update(of=("self",))
        .select_related("tenant", "subscription", "seller")
        .filter(id=invoice_id)
        .first()
    )
    if invoice is None:
        raise NotFound("invoice_not_found", "There is no such invoice.", field="invoice")
    if invoice.number is None or invoice.status in {InvoiceStatus.DRAFT, InvoiceStatus.VOID}:
        raise Conflict(
            "invoice_not_issued",
            "Only an invoice that was issued and is not void can be credited.",
            field="invoice",
        )
    found = {
        line.position: line
        for line in InvoiceLine.objects.filter(tenant_id=invoice.tenant_id, invoice=invoice)
    }
    for wanted in lines:
        if wanted.position not in found:
            raise NotFound(
                "line_not_found", f"The invoice has no line {wanted.position}.", field="lines"
            )
        if wanted.amount.currency != invoice.currency:
            raise Invalid("currency_mismatch", f"The invoice is in {invoice.currency}.")
        if wanted.amount.minor <= 0:
            raise Invalid("amount_not_positive", "amount is not above zero.", field="lines")
    _refuse_paid_top_up(invoice, lines)
    note_lines = _with_taxes(invoice, found, lines)
    _refuse_above_invoice_tax(invoice, found, note_lines)
    note = issue_credit_note(
    People ask for one instead (`request_credit`), and another approves. What the invoice still owes comes
    down first; the rest, which was paid, becomes cash of the balance. Raises as `lock_issued` and
    `with_taxes`.
    """
    invoice = lock_issued(invoice_id=invoice_id)
    note = issue_on(invoice, with_taxes(invoice, lines), reason=reason, now=now, actor=actor)
    return note.number


def issue_on(
    invoice: Invoice, crediting: Sequence[TaxedCredit], *, reason: str, now: datetime, actor: str
) -> CreditNote:
    """Issue a credit note on a locked invoice for amounts that were checked."""
    return issue_credit_note(
        note=NewCreditNote(
            tenant=invoice.tenant,
            seller=invoice.seller_id,
            timezone=invoice.timezone,
            currency=invoice.currency,
            lines=[
                CreditLine(
                    key=line.key,
                    description=line.description,
                    amount=each.amount,
                    period=Period(line.period_starts_at, line.period_ends_at),
                    timing=Timing(line.timing),
                    tax=each.tax,
                    tax_terms=tax_of(line),
                    invoice_line_id=line.id,
                    explanation={"invoice": invoice.number, "line": line.position},
                )
                for each in crediting
                for line in [each.line]
            ],
            reason=reason,
            invoice=invoice,
            subscription=invoice.subscription,
        ),
        now=now,
        actor=actor,
    )
    return note.number


def _refuse_paid_top_up(invoice: Invoice, lines: Sequence[LineCredit]) -> None:
    """What was paid of a top-up is on the balance; credited as well, it would be there twice."""
    if invoice.kind != InvoiceKind.TOP_UP:
        return
    owed = 0
    if invoice.status in {InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE}:
        owed = invoice.total_minor - invoice.paid_minor
    if sum(each.amount.minor for each in lines) > owed:
        raise Conflict(
            "top_up_paid",
            "Of a top-up only what is not paid can be credited; what was paid is on the tenant's balance.",
            field="lines",
        )


def _with_taxes(
    invoice: Invoice, lines: dict[int, InvoiceLine], wanted: Sequence[LineCredit]
) -> list[CreditLine]:
    taxes = credited_taxes(
        [(each.position, each.amount) for each in wanted],
        lines=_creditable(invoice, lines),
        rounding=TaxRounding(invoice.seller.tax_rounding),
        currency=invoice.currency,
    )
    return [
        CreditLine(
            key=line.key,
            description=line.description,
            amount=each.amount,
            period=Period(line.period_starts_at, line.period_ends_at),
            timing=Timing(line.timing),
            tax=tax,
            tax_terms=_tax_of(line),
            invoice_line_id=line.id,
            explanation={"invoice": invoice.number, "line": line.position},
        )
        for each, tax in zip(wanted, taxes, strict=True)
        for line in [lines[each.position]]
    ]


def _tax_of(line: InvoiceLine) -> LineTax:
    """The tax that the line was issued with."""
    return stored_tax(percent=line.tax_percent, code=line.tax_code, explanation=line.explanation)


def _refuse_above_invoice_tax(
    invoice: Invoice, lines: dict[int, InvoiceLine], crediting: Sequence[CreditLine]
) -> None:
    """Of each rate no more tax goes back than the invoice charged, its own credit lines counted."""
    left: dict[Decimal, int] = defaultdict(int)
    for line in lines.values():
        left[line.tax_percent] += line.tax_minor
    for percent, credited in (
        CreditNoteLine.objects.filter(
            tenant_id=invoice.tenant_id, invoice_line__in=list(lines.values())
        )
        .values_list("tax_percent")
        .annotate(credited=Sum("tax_minor"))
    ):
        left[percent] -= credited
    for each in crediting:
        left[each.tax_terms.percent] -= each.tax.minor
        if each.tax and left[each.tax_terms.percent] < 0:
            raise Conflict(
                "above_invoice_tax",
                f"The invoice has less tax of {each.tax_terms.percent.normalize():f} percent left "
                "than goes back with these amounts; credit less.",
                field="lines",
            )


def _creditable(invoice: Invoice, lines: dict[int, InvoiceLine]) -> list[CreditableLine]:
    """What credit notes have left of each line, and of the lines elsewhere that late usage adjusted."""
    firsts = {line.adjusts or line.id for line in lines.values()}
    issued = ~Q(invoice__status__in=[InvoiceStatus.DRAFT, InvoiceStatus.VOID]) | Q(
        invoice__issued_as__isnull=False
    )
    related = list(
        InvoiceLine.objects.filter(Q(id__in=firsts) | Q(adjusts__in=firsts), issued)
        .filter(tenant_id=invoice.tenant_id, invoice__subscription=invoice.subscription)
        .distinct()
    )
    credited: dict[UUID | None, tuple[int, int]] = {
        line_id: (net, tax)
        for line_id, net, tax in CreditNoteLine.objects.filter(
            tenant_id=invoice.tenant_id, invoice_line__in=[line.id for line in related]
        )
        .values_list("invoice_line_id")
        .annotate(net=Sum("amount_minor"), tax=Sum("tax_minor"))
    }
    return [
        CreditableLine(
            group=line.adjusts or line.id,
            position=line.position if line.invoice_id == invoice.id else 0,
            net=Money(line.amount_minor - line.discount_minor - net, invoice.currency),
            tax=Money(line.tax_minor - tax, invoice.currency),
            tax_terms=_tax_of(line),
        )
        for line in related
        for net, tax in [credited.get(line.id, (0, 0))]
    ]
