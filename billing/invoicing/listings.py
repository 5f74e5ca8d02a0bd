"""Invoices as the screens list and open them.

Each query runs inside the caller's scope, which decides whose rows it sees. `tenant_id` narrows to
one tenant as well, so that the filter and row security each are enough.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import DateField, DateTimeField, F, Func, Q, QuerySet, Sum, Value
from django.db.models.functions import Cast, Coalesce

from billing.invoicing.documents.transfer_code import transfer_address, transfer_for
from billing.invoicing.domain import (
    InvoiceStatus,
)
from billing.invoicing.drafting import Draft
from billing.invoicing.issuer import issuer_of
from billing.invoicing.line_taxes import TaxSum, stored_tax, tax_sums
from billing.invoicing.models import Invoice, InvoiceLine
from billing.taxes.domain.rules import LineTax
from kernel.errors import NotFound
from kernel.money import Money, total
from kernel.period import Period

OVERDUE: Final = "overdue"
"""Not a status of its own: an open invoice whose due day is over, in the invoice's zone."""


STATES: Final = (*(status.value for status in InvoiceStatus), OVERDUE)


_ORDER: Final = {
    "issued": ("issued_at", "created_at", "id"),
    "number": ("number", "id"),
    "tenant": ("tenant__name", "tenant__key", "issued_at", "id"),
    "due": ("due_on", "id"),
    "total": ("total_minor", "id"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceRow:
    """An invoice in a list. `state` is its status, or `overdue`.

    `is_opening`: it bills the beginning of its period and no arrears; the document at the period's
    end names the same period.
    """

    id: UUID
    number: str
    tenant_key: str
    tenant_name: str
    kind: str
    state: str
    total: Money
    outstanding: Money
    period: Period
    is_opening: bool
    timezone: str
    issued_at: datetime | None
    due_on: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceSums:
    """The sums of all invoices that a filter finds, in one currency."""

    total: Money
    outstanding: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicePage:
    """Some invoices, how many the filter finds in all, and their sums per currency."""

    rows: Sequence[InvoiceRow]
    total: int
    sums: Sequence[InvoiceSums]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRow:
    """One line with its whole working, and the plan version that priced it (none of what was charged by
    hand)."""

    position: int
    key: str
    kind: str
    timing: str
    app_key: str
    description: str
    quantity: Decimal
    unit_price: Decimal | None
    amount: Money
    discount: Money
    tax_terms: LineTax
    tax: Money
    period: Period
    plan_key: str
    plan_version: int | None
    plan_effective_from: date | None
    explanation: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceSection:
    """The lines of one subscription on an invoice that consolidates several, with the plan that it held
    last; of any other invoice all lines, with None. `subtotal` is before discounts and tax."""

    plan_document: Mapping[str, Any] | None
    subtotal: Money
    lines: Sequence[LineRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceDetail:
    """One invoice with its lines."""

    id: UUID
    number: str
    tenant_id: UUID
    tenant_key: str
    tenant_name: str
    seller_name: str
    seller_bank_details: str
    kind: str
    status: InvoiceStatus
    state: str
    currency: str
    timezone: str
    language: str
    period: Period
    created_at: datetime
    finalize_at: datetime
    issued_at: datetime | None
    due_on: date | None
    paid_at: datetime | None
    subtotal: Money
    discount: Money
    tax: Money
    total: Money
    paid: Money
    buyer: dict[str, Any]
    seller_account: str
    seller_bank: str
    sections: Sequence[InvoiceSection]

    @property
    def lines(self) -> Sequence[LineRow]:
        """All lines, in their order."""
        return tuple(line for section in self.sections for line in section.lines)

    @property
    def outstanding(self) -> Money:
        """What is still to be paid; zero unless the invoice is open."""
        return _outstanding(self.status, self.total, self.paid)

    @property
    def transfer_code(self) -> str:
        """The address of the image that banking apps read to pay what is outstanding; "" where there is none."""
        transfer = transfer_for(
            name=self.seller_name,
            account=self.seller_account,
            bank=self.seller_bank,
            amount=self.outstanding,
            reference=self.number,
        )
        return transfer_address(transfer) if transfer is not None else ""

    @property
    def taxes(self) -> tuple[TaxSum, ...]:
        """Tax for each rate."""
        return tax_sums(
            ((line.tax_terms, line.amount - line.discount, line.tax) for line in self.lines),
            currency=self.currency,
        )


def invoice_rows(
    *,
    now: datetime,
    tenant_id: UUID | None = None,
    search: str = "",
    state: str = "",
    issued_only: bool = False,
    sort: str = "issued",
    descending: bool = True,
    limit: int,
    offset: int = 0,
) -> InvoicePage:
    """Invoices whose number, or whose tenant's name or key, contains `search`.

    Drafts of nothing, which became void without a number, are left out; with `issued_only` all
    drafts are.
    """
    found = _issued() if issued_only else Invoice.objects.exclude(status="void", number=None)
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    if search:
        found = found.filter(
            Q(number__icontains=search)
            | Q(tenant__name__icontains=search)
            | Q(tenant__key__icontains=search)
        )
    if state == OVERDUE:
        found = found.filter(_is_overdue(now))
    elif state:
        found = found.filter(status=state)
    sums = [
        InvoiceSums(
            total=Money(row["total"] or 0, row["currency"]),
            outstanding=Money(row["outstanding"], row["currency"]),
        )
        for row in found.values("currency")
        .annotate(
            total=Sum("total_minor"),
            outstanding=Coalesce(
                Sum(F("total_minor") - F("paid_minor"), filter=Q(status="open")), Value(0)
            ),
        )
        .order_by("currency")
    ]
    order = _ORDER.get(sort, _ORDER["issued"])
    page = found.select_related("tenant").order_by(
        *(
            F(name).desc(nulls_first=True) if descending else F(name).asc(nulls_last=True)
            for name in order
        )
    )
    return InvoicePage(
        rows=tuple(_row(invoice, now=now) for invoice in page[offset : offset + limit]),
        total=found.count(),
        sums=sums,
    )


def invoice_detail(
    *, invoice_id: UUID, now: datetime, tenant_id: UUID | None = None, issued_only: bool = False
) -> InvoiceDetail:
    """One invoice with its lines. Raises NotFound `invoice_not_found`."""
    found = _issued() if issued_only else Invoice.objects.all()
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    invoice = found.select_related("tenant", "seller").filter(id=invoice_id).first()
    if invoice is None:
        raise NotFound("invoice_not_found", "There is no such invoice.", field="invoice")
    currency, issuer = invoice.currency, issuer_of(invoice)
    return InvoiceDetail(
        id=invoice.id,
        number=invoice.number or "",
        tenant_id=invoice.tenant_id,
        tenant_key=invoice.tenant.key,
        tenant_name=invoice.tenant.name,
        seller_name=issuer.name,
        seller_bank_details=issuer.bank_details,
        seller_account=issuer.iban,
        seller_bank=issuer.bic,
        kind=invoice.kind,
        status=InvoiceStatus(invoice.status),
        state=_state(invoice, now=now),
        currency=currency,
        timezone=invoice.timezone,
        language=invoice.language,
        period=Period(invoice.period_starts_at, invoice.period_ends_at),
        created_at=invoice.created_at,
        finalize_at=invoice.finalize_at,
        issued_at=invoice.issued_at,
        due_on=invoice.due_on,
        paid_at=invoice.paid_at,
        subtotal=Money(invoice.subtotal_minor, currency),
        discount=Money(invoice.discount_minor, currency),
        tax=Money(invoice.tax_minor, currency),
        total=Money(invoice.total_minor, currency),
        paid=Money(invoice.paid_minor, currency),
        buyer=invoice.buyer,
        sections=_sections(
            InvoiceLine.objects.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id)
            .select_related("plan_version__plan")
            .order_by("position"),
            currency=currency,
        ),
    )


def _sections(lines: Iterable[InvoiceLine], *, currency: str) -> tuple[InvoiceSection, ...]:
    """One after the other; the lines of a subscription stand together."""
    sections = []
    for subscription_id, found in groupby(lines, key=lambda line: line.subscription_id):
        rows = list(found)
        shown = tuple(_line(row, currency=currency) for row in rows)
        sections.append(
            InvoiceSection(
                plan_document=None
                if subscription_id is None
                else [row.plan_version.document for row in rows if row.plan_version][-1],
                subtotal=total((line.amount for line in shown), currency=currency),
                lines=shown,
            )
        )
    return tuple(sections)


def invoice_numbered(*, number: str) -> UUID | None:
    """The id of the invoice of that number; None when there is none."""
    return Invoice.objects.filter(number=number).values_list("id", flat=True).first()


def rows_of_draft(
    draft: Draft,
    *,
    plan_key: str = "",
    plan_version: int | None = None,
    plan_effective_from: date | None = None,
) -> tuple[LineRow, ...]:
    """The lines of a document that is stored nowhere, as those of a stored one are shown."""
    return tuple(
        LineRow(
            position=position,
            key=each.line.key,
            kind=each.line.kind.value,
            timing=each.timing,
            app_key=each.line.app_key or "",
            description=each.line.description,
            quantity=each.line.quantity,
            unit_price=each.line.unit_price,
            amount=each.line.amount,
            discount=settled.discount,
            tax_terms=each.tax,
            tax=settled.tax,
            period=each.line.period,
            plan_key=plan_key,
            plan_version=plan_version,
            plan_effective_from=plan_effective_from,
            explanation=each.working,
        )
        for position, (each, settled) in enumerate(
            zip(draft.lines, draft.settlement.lines, strict=True), start=1
        )
    )


def draft_count() -> int:
    """How many drafts there are in the caller's scope."""
    return Invoice.objects.filter(status=InvoiceStatus.DRAFT).count()


def _issued() -> QuerySet[Invoice]:
    return Invoice.objects.filter(number__isnull=False)


def _is_overdue(now: datetime) -> Q:
    here = Func(F("timezone"), Value(now), function="timezone", output_field=DateTimeField())
    return Q(status="open", due_on__lt=Cast(here, DateField()))


def _state(invoice: Invoice, *, now: datetime) -> str:
    today = now.astimezone(ZoneInfo(invoice.timezone)).date()
    is_late = invoice.due_on is not None and invoice.due_on < today
    return OVERDUE if is_late and invoice.status == InvoiceStatus.OPEN else invoice.status


def _outstanding(status: str, total: Money, paid: Money) -> Money:
    return total - paid if status == InvoiceStatus.OPEN else Money.zero(total.currency)


def _row(invoice: Invoice, *, now: datetime) -> InvoiceRow:
    total = Money(invoice.total_minor, invoice.currency)
    paid = Money(invoice.paid_minor, invoice.currency)
    return InvoiceRow(
        id=invoice.id,
        number=invoice.number or "",
        tenant_key=invoice.tenant.key,
        tenant_name=invoice.tenant.name,
        kind=invoice.kind,
        state=_state(invoice, now=now),
        total=total,
        outstanding=_outstanding(invoice.status, total, paid),
        period=Period(invoice.period_starts_at, invoice.period_ends_at),
        is_opening=invoice.boundary_at == invoice.period_starts_at,
        timezone=invoice.timezone,
        issued_at=invoice.issued_at,
        due_on=invoice.due_on,
    )


def _line(line: InvoiceLine, *, currency: str) -> LineRow:
    version = line.plan_version
    return LineRow(
        position=line.position,
        key=line.key,
        kind=line.kind,
        timing=line.timing,
        app_key=line.app_key,
        description=line.description,
        quantity=line.quantity,
        unit_price=line.unit_price,
        amount=Money(line.amount_minor, currency),
        discount=Money(line.discount_minor, currency),
        tax_terms=stored_tax(
            percent=line.tax_percent, code=line.tax_code, explanation=line.explanation
        ),
        tax=Money(line.tax_minor, currency),
        period=Period(line.period_starts_at, line.period_ends_at),
        plan_key=version.plan.key if version else "",
        plan_version=version.number if version else None,
        plan_effective_from=version.effective_from if version else None,
        explanation=line.explanation,
    )
