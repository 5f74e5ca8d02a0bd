"""Charges as screens and API show them: drafts with what they come to now, concluded ones with their invoice.

Each query runs inside the caller's scope, which decides whose rows it sees; `tenant_id` narrows to one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from billing.invoicing.charges.domain import ChargeState
from billing.invoicing.charges.drafts import drafts_of
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.drafting import Draft
from billing.invoicing.line_taxes import TaxSum, tax_sums
from billing.invoicing.listings import LineRow, rows_of_draft
from billing.invoicing.models import Charge
from kernel.errors import DomainError, NotFound
from kernel.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRow:
    """A charge in a list. `total`, with tax, is its invoice's, or what a draft comes to now (None where it
    can't be billed, as `fault_*` tell)."""

    id: UUID
    tenant_key: str
    tenant_name: str
    timezone: str
    kind: InvoiceKind
    reference: str
    currency: str
    state: ChargeState
    total: Money | None
    issue_at: datetime | None
    days_to_pay: int
    lines: Sequence[Mapping[str, Any]]
    invoice_id: UUID | None
    invoice_number: str
    fault_code: str
    fault_detail: str
    created_by: str
    created_at: datetime
    concluded_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargePage:
    """Some charges, newest first, and how many the filter finds."""

    rows: Sequence[ChargeRow]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargePreview:
    """The invoice that a draft would be if it were issued now."""

    lines: Sequence[LineRow]
    subtotal: Money
    discount: Money
    taxes: Sequence[TaxSum]
    tax: Money
    total: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeDetail:
    """One charge, and of a draft what it comes to (None where it can't be billed)."""

    charge: ChargeRow
    tenant_id: UUID
    preview: ChargePreview | None


def charge_rows(
    *,
    now: datetime,
    tenant_id: UUID | None = None,
    kind: str = "",
    state: str = "",
    search: str = "",
    after: UUID | None = None,
    limit: int,
    offset: int = 0,
) -> ChargePage:
    """Charges by kind, state, and a part of their reference or of their tenant's key; with `after`, those
    that come after that one."""
    found = Charge.objects.select_related("tenant", "invoice").order_by("-id")
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    if kind:
        found = found.filter(kind=kind)
    if state:
        found = found.filter(state=state)
    if search:
        found = found.filter(reference__icontains=search) | found.filter(
            tenant__key__icontains=search
        )
    if after is not None:
        found = found.filter(id__lt=after)
    rows = list(found[offset : offset + limit])
    drafts = drafts_of([row for row in rows if row.state == ChargeState.DRAFT], at=now)
    return ChargePage(
        rows=tuple(_row(row, drafts.get(row.id)) for row in rows), total=found.count()
    )


def charge_detail(*, charge_id: UUID, now: datetime, tenant_id: UUID | None = None) -> ChargeDetail:
    """One charge. Raises NotFound `charge_not_found`."""
    found = Charge.objects.select_related("tenant", "invoice").filter(id=charge_id)
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    row = found.first()
    if row is None:
        raise NotFound("charge_not_found", "There is no such charge.", field="charge")
    draft = None
    if row.state == ChargeState.DRAFT:
        draft = drafts_of([row], at=now)[row.id]
    return ChargeDetail(
        charge=_row(row, draft),
        tenant_id=row.tenant_id,
        preview=_preview(draft) if isinstance(draft, Draft) else None,
    )


def draft_charges(*, tenant_id: UUID | None = None) -> int:
    """How many charges are drafts."""
    found = Charge.objects.filter(state=ChargeState.DRAFT)
    return (found if tenant_id is None else found.filter(tenant_id=tenant_id)).count()


def _preview(draft: Draft) -> ChargePreview:
    lines, settled = rows_of_draft(draft), draft.settlement
    return ChargePreview(
        lines=lines,
        subtotal=settled.subtotal,
        discount=settled.discount_total,
        taxes=tax_sums(
            ((line.tax_terms, line.amount - line.discount, line.tax) for line in lines),
            currency=draft.currency,
        ),
        tax=settled.tax_total,
        total=settled.total,
    )


def _row(row: Charge, draft: Draft | DomainError | None) -> ChargeRow:
    total = None
    if row.invoice is not None:
        total = Money(row.invoice.total_minor, row.currency)
    elif isinstance(draft, Draft):
        total = draft.total
    elif row.state == ChargeState.NOTHING_DUE:
        total = Money.zero(row.currency)
    fault = draft if isinstance(draft, DomainError) else None
    return ChargeRow(
        id=row.id,
        tenant_key=row.tenant.key,
        tenant_name=row.tenant.name,
        timezone=row.tenant.timezone,
        kind=InvoiceKind(row.kind),
        reference=row.reference,
        currency=row.currency,
        state=ChargeState(row.state),
        total=total,
        issue_at=row.issue_at,
        days_to_pay=row.days_to_pay,
        lines=tuple(row.lines),
        invoice_id=row.invoice_id,
        invoice_number=(row.invoice.number or "") if row.invoice is not None else "",
        # What keeps it from being billed now counts, not what did when it was last tried.
        fault_code=fault.code if fault else "",
        fault_detail=fault.message if fault else "",
        created_by=row.created_by,
        created_at=row.created_at,
        concluded_at=row.concluded_at,
    )
