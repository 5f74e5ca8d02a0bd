"""An invoice that is to be credited: its lock, its lines, and what of them is left."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, Sum

from billing.invoicing.creditable import CreditableLine, credited_taxes
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.line_taxes import stored_tax
from billing.invoicing.models import CreditNoteLine, Invoice, InvoiceLine
from billing.invoicing.request_models import InvoiceRequestLine
from billing.rating.adjustments.tax import TaxRounding
from billing.taxes.domain.rules import LineTax
from kernel.errors import Conflict, Invalid, NotFound
from kernel.money import Money, total


@dataclass(frozen=True, slots=True, kw_only=True)
class LineCredit:
    """What to take back of the line at a position, counted from 1: after discounts, before tax."""

    position: int
    amount: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxedCredit:
    """The same with the line it is of and the tax that goes back."""

    line: InvoiceLine
    amount: Money
    tax: Money


def lock_issued(*, invoice_id: UUID) -> Invoice:
    """The issued invoice with its parties, held until the transaction ends.

    Raises NotFound `invoice_not_found`, Conflict `invoice_not_issued`.
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
    return invoice


def refuse_paid_top_up(invoice: Invoice, *, net: Money) -> None:
    """What was paid of a top-up is on the balance; credited as well, it would be there twice.

    Raises Conflict `top_up_paid`.
    """
    if invoice.kind != InvoiceKind.TOP_UP:
        return
    owed = 0
    if invoice.status in {InvoiceStatus.OPEN, InvoiceStatus.UNCOLLECTIBLE}:
        owed = invoice.total_minor - invoice.paid_minor
    if net.minor > owed:
        raise Conflict(
            "top_up_paid",
            "Of a top-up only what is not paid can be credited; what was paid is on the tenant's balance.",
            field="lines",
        )


def tax_of(line: InvoiceLine) -> LineTax:
    """The tax that the line was issued with."""
    return stored_tax(percent=line.tax_percent, code=line.tax_code, explanation=line.explanation)


def with_taxes(invoice: Invoice, wanted: Sequence[LineCredit]) -> list[TaxedCredit]:
    """What is wanted of an issued invoice with the tax that goes back: each line's own rate.

    All credits of a line together, those that wait for a second person included, are never above what it
    came to after discounts, with what late usage adjusted of it; and of a rate never above what the
    invoice billed. Raises NotFound `line_not_found`; Conflict `top_up_paid`, `above_line`, `above_invoice`,
    `above_invoice_tax`; Invalid `amount_not_positive`, `currency_mismatch`, `nothing_to_credit`.
    """
    lines = {
        line.position: line
        for line in InvoiceLine.objects.filter(tenant_id=invoice.tenant_id, invoice=invoice)
    }
    if not wanted:
        raise Invalid(
            "nothing_to_credit",
            "The lines sum to nothing; credit an amount above zero.",
            field="lines",
        )
    for each in wanted:
        if each.position not in lines:
            raise NotFound(
                "line_not_found", f"The invoice has no line {each.position}.", field="lines"
            )
        if each.amount.currency != invoice.currency:
            raise Invalid("currency_mismatch", f"The invoice is in {invoice.currency}.")
        if each.amount.minor <= 0:
            raise Invalid("amount_not_positive", "amount is not above zero.", field="lines")
    refuse_paid_top_up(
        invoice, net=total((each.amount for each in wanted), currency=invoice.currency)
    )
    taxes = credited_taxes(
        [(each.position, each.amount) for each in wanted],
        lines=creditable_lines(invoice, list(lines.values())),
        rounding=TaxRounding(invoice.seller.tax_rounding),
        currency=invoice.currency,
    )
    return [
        TaxedCredit(line=lines[each.position], amount=each.amount, tax=tax)
        for each, tax in zip(wanted, taxes, strict=True)
    ]


def creditable_lines(
    invoice: Invoice, lines: Sequence[InvoiceLine], *, besides: UUID | None = None
) -> list[CreditableLine]:
    """What credit notes, and requests for them that wait, have left of each line, and of the lines
    elsewhere that late usage adjusted. The request `besides` is left out."""
    firsts = {line.adjusts or line.id for line in lines}
    # An invoice that consolidates several is of no subscription; its lines are.
    subscriptions = {line.subscription_id or invoice.subscription_id for line in lines} - {None}
    issued = ~Q(invoice__status__in=[InvoiceStatus.DRAFT, InvoiceStatus.VOID]) | Q(
        invoice__issued_as__isnull=False
    )
    related = list(
        InvoiceLine.objects.filter(Q(id__in=firsts) | Q(adjusts__in=firsts), issued)
        .filter(
            Q(invoice=invoice)
            | Q(invoice__subscription__in=subscriptions)
            | Q(subscription__in=subscriptions),
            tenant_id=invoice.tenant_id,
        )
        .distinct()
    )
    taken = _taken(invoice.tenant_id, [line.id for line in related], besides=besides)
    return [
        CreditableLine(
            group=line.adjusts or line.id,
            position=line.position if line.invoice_id == invoice.id else 0,
            net=Money(line.amount_minor - line.discount_minor - net, invoice.currency),
            tax=Money(line.tax_minor - tax, invoice.currency),
            tax_terms=tax_of(line),
        )
        for line in related
        for net, tax in [taken.get(line.id, (0, 0))]
    ]


def _taken(
    tenant_id: UUID, line_ids: Sequence[UUID], *, besides: UUID | None
) -> dict[UUID, tuple[int, int]]:
    """By line, net and tax that were credited or are held."""
    credited = CreditNoteLine.objects.filter(tenant_id=tenant_id, invoice_line__in=line_ids)
    held = InvoiceRequestLine.objects.filter(
        tenant_id=tenant_id, invoice_line__in=line_ids, request__state="waiting"
    ).exclude(request_id=besides)
    taken: dict[UUID, tuple[int, int]] = {}
    for found in (credited, held):
        for line_id, net, tax in found.values_list("invoice_line_id").annotate(
            net=Sum("amount_minor"), tax=Sum("tax_minor")
        ):
            before_net, before_tax = taken.get(line_id, (0, 0))
            taken[line_id] = (before_net + net, before_tax + tax)
    return taken
