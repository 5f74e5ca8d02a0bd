"""Fapiao as people see them: asked for, issued, failed; and the credit notes that still want a red one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from billing.fapiao.domain.composing import CNY
from billing.fapiao.domain.states import FapiaoColor, FapiaoKind, FapiaoState, RedReason
from billing.fapiao.models import Fapiao, FapiaoFile, FapiaoProductName
from kernel.errors import NotFound
from kernel.money import Money
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class FapiaoRow:
    """One request. `number` and `issued_on` are there once it is issued, `failure` where it failed; `has_file` is of
    the XML, `has_paper` of the PDF."""

    id: UUID
    tenant_key: str
    tenant_name: str
    invoice_id: UUID
    invoice_number: str
    color: FapiaoColor
    kind: FapiaoKind
    buyer: str
    reason: RedReason | None
    net: Money
    tax: Money
    total: Money
    state: FapiaoState
    number: str
    issued_on: date | None
    requested_at: datetime
    failure: str
    has_file: bool
    has_paper: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FapiaoPage:
    """Some rows of all that there are."""

    rows: Sequence[FapiaoRow]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenNote:
    """A credit note whose invoice has an issued fapiao, of which nothing was taken back for it yet."""

    id: UUID
    number: str
    tenant_key: str
    tenant_name: str
    fapiao_id: UUID
    fapiao_number: str
    total: Money
    issued_at: datetime


def fapiao_may_be_asked(
    *, invoice_state: str, currency: str, requests: Sequence[FapiaoRow]
) -> bool:
    """Whether a fapiao may be asked for an invoice with these requests: it is due or paid, in CNY, and no
    blue one stands that no red one took back."""
    stands = sum(
        row.total.minor if row.color is FapiaoColor.BLUE else -row.total.minor
        for row in requests
        if row.state is FapiaoState.ISSUED
        or (row.color is FapiaoColor.BLUE and row.state is not FapiaoState.FAILED)
    )
    return currency == CNY and invoice_state in {"open", "overdue", "paid"} and stands <= 0


def fapiao_rows(
    *,
    tenant_id: UUID | None = None,
    invoice_id: UUID | None = None,
    state: FapiaoState | None = None,
    limit: int,
    offset: int = 0,
) -> FapiaoPage:
    """Requests of the scope, the newest first."""
    found: QuerySet[Fapiao] = Fapiao.objects.all()
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    if invoice_id is not None:
        found = found.filter(invoice_id=invoice_id)
    if state is not None:
        found = found.filter(state=state)
    rows = (
        found.select_related("tenant", "invoice")
        .annotate(has_file=_has("application/xml"), has_paper=_has("application/pdf"))
        .order_by("-requested_at", "-id")[offset : offset + limit]
    )
    return FapiaoPage(rows=[_row(row) for row in rows], total=found.count())


def _has(media_type: str) -> Exists:
    return Exists(
        FapiaoFile.objects.filter(
            tenant_id=OuterRef("tenant_id"), fapiao_id=OuterRef("id"), media_type=media_type
        )
    )


def open_credit_notes(*, limit: int = 100) -> list[OpenNote]:
    """Credit notes that want a red fapiao: their invoice's issued blue one didn't take them off, and
    nothing took back for them. The oldest first, in a cross-tenant scope."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT note.id, note.number, tenant.key, tenant.name, blue.id, blue.number,
                   note.total_minor, note.currency, note.issued_at
              FROM billing_fapiao blue
              JOIN billing_creditnote note
                ON note.tenant_id = blue.tenant_id AND note.invoice_id = blue.invoice_id
              JOIN tenants_tenant tenant ON tenant.id = blue.tenant_id
             WHERE blue.color = 'blue' AND blue.state = 'issued'
               AND NOT jsonb_exists(blue.nets, note.id::text)
               AND NOT EXISTS (
                   SELECT 1 FROM billing_fapiao red
                    WHERE red.tenant_id = blue.tenant_id AND red.of_id = blue.id
                      AND red.state <> 'failed'
                      AND (red.credit_note_id IS NULL OR red.credit_note_id = note.id))
             ORDER BY note.issued_at, note.id LIMIT %s
            """,
            [limit],
        )
        return [
            OpenNote(
                id=note_id,
                number=number,
                tenant_key=tenant_key,
                tenant_name=tenant_name,
                fapiao_id=fapiao_id,
                fapiao_number=fapiao_number,
                total=Money(total, currency),
                issued_at=issued_at,
            )
            for (
                note_id,
                number,
                tenant_key,
                tenant_name,
                fapiao_id,
                fapiao_number,
                total,
                currency,
                issued_at,
            ) in execution.fetchall()
        ]


def fapiao_file(
    *, fapiao_id: UUID, tenant_id: UUID | None = None, media_type: str = "application/xml"
) -> tuple[str, bytes]:
    """The number of an issued fapiao and its file. Raises NotFound `fapiao_not_found`."""
    found = FapiaoFile.objects.select_related("fapiao").filter(
        fapiao_id=fapiao_id, media_type=media_type
    )
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    row = found.first()
    if row is None:
        raise NotFound("fapiao_not_found", "There is no such file of a fapiao.", field="fapiao")
    return str(row.fapiao.number), bytes(row.content)


def product_rows(*, seller: str = "default") -> list[FapiaoProductName]:
    """The seller's products, the one for all other categories first."""
    return list(FapiaoProductName.objects.filter(seller_id=seller).order_by("category"))


def requested_at(*, fapiao_id: UUID) -> datetime:
    """When it was asked for."""
    return Fapiao.objects.values_list("requested_at", flat=True).get(id=fapiao_id)


def _row(row: Fapiao) -> FapiaoRow:
    return FapiaoRow(
        id=row.id,
        tenant_key=row.tenant.key,
        tenant_name=row.tenant.name,
        invoice_id=row.invoice_id,
        invoice_number=row.invoice.number or "",
        color=FapiaoColor(row.color),
        kind=FapiaoKind(row.content["kind"]),
        buyer=row.content["buyer"]["name"],
        reason=RedReason(row.reason) if row.reason else None,
        net=Money(row.net_minor, row.currency),
        tax=Money(row.tax_minor, row.currency),
        total=Money(row.total_minor, row.currency),
        state=FapiaoState(row.state),
        number=row.number or "",
        issued_on=row.issued_on,
        requested_at=row.requested_at,
        failure=f"{row.failure_code}: {row.failure_detail}" if row.failure_code else "",
        has_file=row.has_file,  # type: ignore[attr-defined]  # annotated
        has_paper=row.has_paper,  # type: ignore[attr-defined]  # annotated
    )
