"""Reading invoices with their lines, as the command line and the API show them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import DateField, DateTimeField, F, Func, QuerySet
from django.db.models.functions import Cast
from django.db.models.lookups import GreaterThanOrEqual, LessThan

from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.line_taxes import TaxSum, stored_tax, tax_sums
from billing.invoicing.models import Invoice, InvoiceLine
from kernel.errors import NotFound
from kernel.money import Money
from kernel.period import Period, local_day

_CHUNK: Final = 500
_STARTS_ON: Final = Cast(
    Func(F("timezone"), F("period_starts_at"), function="timezone", output_field=DateTimeField()),
    DateField(),
)
"""The local day of the invoice's own zone on which its period starts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceFilter:
    """Which invoices: of one tenant, and by the local day on which their period starts.

    `period_from` is included, `period_to` excluded; None is no bound.
    """

    tenant_key: str = ""
    period_from: date | None = None
    period_to: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceRow:
    """An invoice without its lines; `number` is empty for a draft."""

    id: UUID
    number: str
    tenant_id: UUID
    tenant_key: str
    kind: InvoiceKind
    status: InvoiceStatus
    currency: str
    zone: ZoneInfo
    period: Period
    issued_at: datetime | None
    due_on: date | None
    subtotal: Money
    discount: Money
    tax: Money
    total: Money
    paid: Money

    @property
    def due(self) -> Money:
        """What is still to be paid; nothing of a void or paid invoice."""
        if self.status in {InvoiceStatus.VOID, InvoiceStatus.PAID}:
            return Money.zero(self.currency)
        return self.total - self.paid


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRow:
    """One line with its working, and the plan version by which it was billed (none of what was charged by
    hand)."""

    key: str
    kind: str
    app_key: str
    description: str
    quantity: Decimal
    unit_price: Decimal | None
    amount: Money
    discount: Money
    tax_percent: Decimal
    tax_code: str
    tax: Money
    period: Period
    plan_key: str
    plan_version: int | None
    effective_from: date | None
    subscription_id: UUID | None
    explanation: dict[str, Any]

    @property
    def taxable(self) -> Money:
        """What tax is worked out from."""
        return self.amount - self.discount


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceDetail:
    """An invoice with its lines, in their order."""

    invoice: InvoiceRow
    lines: Sequence[LineRow]

    @property
    def sections(self) -> Sequence[Sequence[int]]:
        """The places of the lines of each subscription, from 0, on an invoice that consolidates several; none
        on any other."""
        found: dict[UUID, list[int]] = {}
        for place, line in enumerate(self.lines):
            if line.subscription_id is not None:
                found.setdefault(line.subscription_id, []).append(place)
        return tuple(found.values())


def tax_table(lines: Sequence[LineRow], *, currency: str) -> tuple[TaxSum, ...]:
    """Tax for each rate, worked out from the lines as they stand."""
    return tax_sums(
        (
            (
                stored_tax(
                    percent=line.tax_percent, code=line.tax_code, explanation=line.explanation
                ),
                line.taxable,
                line.tax,
            )
            for line in lines
        ),
        currency=currency,
    )


def all_invoices(*, wanted: InvoiceFilter) -> Iterator[InvoiceDetail]:
    """The invoices of the filter by issue, tenant and number, drafts last; two queries a chunk.

    Drafts of nothing, which became void without a number, are left out.
    """
    found = Invoice.objects.exclude(status=InvoiceStatus.VOID, number=None)
    if wanted.tenant_key:
        found = found.filter(tenant__key=wanted.tenant_key)
    # A local day begins within a day of the UTC one; the exact test follows, in the invoice's zone.
    if wanted.period_from is not None:
        found = found.filter(period_starts_at__date__gte=wanted.period_from - timedelta(days=1))
    if wanted.period_to is not None:
        found = found.filter(period_starts_at__date__lte=wanted.period_to)
    order = (F("issued_at").asc(nulls_last=True), F("tenant__key"), F("number"), F("id"))
    invoices = [
        row
        for row in map(_row, found.select_related("tenant").order_by(*order))
        if _is_wanted(row, wanted)
    ]
    for start in range(0, len(invoices), _CHUNK):
        yield from _with_lines(invoices[start : start + _CHUNK])


def invoice_page(
    *,
    tenant_id: UUID,
    wanted: InvoiceFilter,
    status: InvoiceStatus | None = None,
    after: UUID | None = None,
    limit: int,
) -> Sequence[InvoiceRow]:
    """Up to `limit` of the tenant's invoices, newest first, those after the invoice `after`."""
    found = _shown(tenant_id)
    if status is not None:
        found = found.filter(status=status)
    if wanted.period_from is not None:
        found = found.filter(GreaterThanOrEqual(_STARTS_ON, wanted.period_from))
    if wanted.period_to is not None:
        found = found.filter(LessThan(_STARTS_ON, wanted.period_to))
    if after is not None:
        found = found.filter(id__lt=after)
    return tuple(map(_row, found.select_related("tenant").order_by("-id")[:limit]))


def invoice_of(*, tenant_id: UUID, invoice_id: UUID) -> InvoiceDetail:
    """One of the tenant's invoices with its lines. Raises NotFound `invoice_not_found`."""
    invoice = _shown(tenant_id).select_related("tenant").filter(id=invoice_id).first()
    if invoice is None:
        raise NotFound("invoice_not_found", "There is no such invoice.", field="invoice")
    return next(_with_lines([_row(invoice)]))


def _shown(tenant_id: UUID) -> QuerySet[Invoice]:
    """All of a tenant's but drafts of nothing, which became void without a number."""
    return Invoice.objects.filter(tenant_id=tenant_id).exclude(
        status=InvoiceStatus.VOID, number=None
    )


def _is_wanted(row: InvoiceRow, wanted: InvoiceFilter) -> bool:
    starts_on = local_day(row.period.starts_at, row.zone)
    if wanted.period_from is not None and starts_on < wanted.period_from:
        return False
    return wanted.period_to is None or starts_on < wanted.period_to


def _with_lines(invoices: Sequence[InvoiceRow]) -> Iterator[InvoiceDetail]:
    currencies = {invoice.id: invoice.currency for invoice in invoices}
    lines: dict[UUID, list[LineRow]] = defaultdict(list)
    for line in (
        InvoiceLine.objects.filter(
            tenant_id__in={invoice.tenant_id for invoice in invoices}, invoice_id__in=currencies
        )
        .annotate(
            plan_key=F("plan_version__plan__key"),
            plan_number=F("plan_version__number"),
            effective_from=F("plan_version__effective_from"),
        )
        .order_by("invoice_id", "position")
    ):
        lines[line.invoice_id].append(_line(line, currency=currencies[line.invoice_id]))
    for invoice in invoices:
        yield InvoiceDetail(invoice=invoice, lines=tuple(lines[invoice.id]))


def _row(invoice: Invoice) -> InvoiceRow:
    currency = invoice.currency
    return InvoiceRow(
        id=invoice.id,
        number=invoice.number or "",
        tenant_id=invoice.tenant_id,
        tenant_key=invoice.tenant.key,
        kind=InvoiceKind(invoice.kind),
        status=InvoiceStatus(invoice.status),
        currency=currency,
        zone=ZoneInfo(invoice.timezone),
        period=Period(invoice.period_starts_at, invoice.period_ends_at),
        issued_at=invoice.issued_at,
        due_on=invoice.due_on,
        subtotal=Money(invoice.subtotal_minor, currency),
        discount=Money(invoice.discount_minor, currency),
        tax=Money(invoice.tax_minor, currency),
        total=Money(invoice.total_minor, currency),
        paid=Money(invoice.paid_minor, currency),
    )


def _line(line: Any, *, currency: str) -> LineRow:
    """`line` is an InvoiceLine with what `_with_lines` annotates."""
    return LineRow(
        key=line.key,
        kind=line.kind,
        app_key=line.app_key,
        description=line.description,
        quantity=line.quantity,
        unit_price=line.unit_price,
        amount=Money(line.amount_minor, currency),
        discount=Money(line.discount_minor, currency),
        tax_percent=line.tax_percent,
        tax_code=line.tax_code,
        tax=Money(line.tax_minor, currency),
        period=Period(line.period_starts_at, line.period_ends_at),
        plan_key=line.plan_key or "",
        plan_version=line.plan_number,
        effective_from=line.effective_from,
        subscription_id=line.subscription_id,
        explanation=line.explanation,
    )
