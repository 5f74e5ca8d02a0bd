"""Writing many drafts at once, and telling whether one says something else now."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.invoicing.domain import InvoiceKind
from billing.invoicing.drafting import Contract, Draft
from billing.invoicing.models import Invoice
from kernel import ids
from kernel.array_literals import plain_array, text_array
from kernel.period import Period
from work.bulk import insert_columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A draft with its row."""

    invoice: Invoice
    draft: Draft


def content_hash(draft: Draft) -> bytes:
    """SHA-256 of all that the document says: equal content, equal hash."""
    digest = hashlib.sha256(json.dumps([draft.currency, *_bounds(draft.period)]).encode())
    for each, settled, working in zip(
        draft.lines, draft.settlement.lines, draft.workings, strict=True
    ):
        line = each.line
        said = [
            each.timing,
            str(each.plan_version_id),
            line.key,
            line.kind,
            line.app_key,
            line.description,
            str(line.quantity),
            str(line.unit_price),
            *_bounds(line.period),
            line.amount.minor,
            settled.discount.minor,
            settled.tax.minor,
        ]
        # One JSON text after the other: where one ends is never in doubt.
        digest.update(json.dumps(said).encode())
        digest.update(working.encode())
    return digest.digest()


def invoice_row(
    contract: Contract,
    draft: Draft,
    *,
    seller: str,
    at: datetime,
    kind: InvoiceKind = InvoiceKind.SUBSCRIPTION,
) -> Invoice:
    """The row of a draft, without its lines."""
    totals = draft.settlement
    return Invoice(
        id=ids.new_id(),
        tenant_id=contract.tenant_id,
        seller_id=seller,
        subscription_id=contract.subscription_id,
        kind=kind,
        currency=draft.currency,
        timezone=contract.cadence.zone.key,
        language=contract.language,
        boundary_at=draft.boundary_at,
        period_starts_at=draft.period.starts_at,
        period_ends_at=draft.period.ends_at,
        finalize_at=draft.finalize_at,
        subtotal_minor=totals.subtotal.minor,
        discount_minor=totals.discount_total.minor,
        tax_minor=totals.tax_total.minor,
        total_minor=totals.total.minor,
        content_hash=content_hash(draft),
        created_at=at,
    )


def store_documents(documents: Sequence[Document]) -> None:
    """Write drafts with their lines, in the caller's scope. Two statements."""
    if not documents:
        return
    rows = [each.invoice for each in documents]
    insert_columns(
        "billing_invoice",
        {
            "id": ("uuid", plain_array(row.id for row in rows)),
            "tenant_id": ("uuid", plain_array(row.tenant_id for row in rows)),
            "seller_id": ("text", text_array(row.seller_id for row in rows)),
            "subscription_id": ("uuid", plain_array(row.subscription_id for row in rows)),
            "kind": ("text", text_array(row.kind for row in rows)),
            "status": ("text", text_array(row.status for row in rows)),
            "currency": ("text", text_array(row.currency for row in rows)),
            "timezone": ("text", text_array(row.timezone for row in rows)),
            "zone_data": ("text", text_array(row.zone_data for row in rows)),
            "language": ("text", text_array(row.language for row in rows)),
            "boundary_at": _instants(row.boundary_at for row in rows),
            "period_starts_at": _instants(row.period_starts_at for row in rows),
            "period_ends_at": _instants(row.period_ends_at for row in rows),
            "finalize_at": _instants(row.finalize_at for row in rows),
            "subtotal_minor": ("bigint", plain_array(row.subtotal_minor for row in rows)),
            "discount_minor": ("bigint", plain_array(row.discount_minor for row in rows)),
            "tax_minor": ("bigint", plain_array(row.tax_minor for row in rows)),
            "total_minor": ("bigint", plain_array(row.total_minor for row in rows)),
            "paid_minor": ("bigint", plain_array(row.paid_minor for row in rows)),
            "buyer": ("jsonb", text_array(json.dumps(row.buyer) for row in rows)),
            "content_hash": ("bytea", text_array(f"\\x{_digest(row).hex()}" for row in rows)),
            "corrections_counted": ("bigint", plain_array(row.corrections_counted for row in rows)),
            "created_at": _instants(row.created_at for row in rows),
        },
    )
    store_lines(documents)


def store_lines(documents: Iterable[Document]) -> None:
    """Write the lines of drafts whose rows are there, in the caller's scope. One statement."""
    _store_lines((each.invoice, each.draft, None) for each in documents)


def store_consolidated(documents: Iterable[tuple[Invoice, Draft, Sequence[UUID]]]) -> None:
    """The same for invoices that consolidate others; with the subscription of each line."""
    _store_lines(documents)


def _store_lines(documents: Iterable[tuple[Invoice, Draft, Sequence[UUID] | None]]) -> None:
    written = list(documents)
    found = [
        (invoice, position, *line)
        for invoice, draft, _ in written
        for position, line in enumerate(
            zip(draft.lines, draft.settlement.lines, draft.workings, strict=True), start=1
        )
    ]
    if not found:
        return
    subscriptions: list[UUID | None] = []
    for _, draft, of_lines in written:
        subscriptions += [None] * len(draft.lines) if of_lines is None else of_lines
    rows = [each for _, _, each, _, _ in found]
    settled = [each for _, _, _, each, _ in found]
    lines = [each.line for each in rows]
    insert_columns(
        "billing_invoiceline",
        {
            "id": ("uuid", plain_array(ids.new_id() for _ in found)),
            "tenant_id": ("uuid", plain_array(invoice.tenant_id for invoice, *_ in found)),
            "invoice_id": ("uuid", plain_array(invoice.id for invoice, *_ in found)),
            "subscription_id": ("uuid", plain_array(subscriptions)),
            "position": ("integer", plain_array(position for _, position, *_ in found)),
            "key": ("text", text_array(line.key for line in lines)),
            "kind": ("text", text_array(line.kind for line in lines)),
            "timing": ("text", text_array(each.timing for each in rows)),
            "app_key": ("text", text_array(line.app_key or "" for line in lines)),
            "description": ("text", text_array(line.description[:300] for line in lines)),
            "quantity": ("numeric", plain_array(line.quantity for line in lines)),
            "unit_price": ("numeric", plain_array(line.unit_price for line in lines)),
            "amount_minor": ("bigint", plain_array(line.amount.minor for line in lines)),
            "discount_minor": ("bigint", plain_array(each.discount.minor for each in settled)),
            "tax_percent": ("numeric", plain_array(each.tax.percent for each in rows)),
            "tax_code": ("text", text_array(each.tax.code for each in rows)),
            "tax_minor": ("bigint", plain_array(each.tax.minor for each in settled)),
            "period_starts_at": _instants(line.period.starts_at for line in lines),
            "period_ends_at": _instants(line.period.ends_at for line in lines),
            "plan_version_id": ("uuid", plain_array(each.plan_version_id for each in rows)),
            "adjusts": ("uuid", plain_array(each.adjusts for each in rows)),
            "explanation": ("jsonb", text_array(working for *_, working in found)),
        },
    )


def _instants(values: Iterable[datetime]) -> tuple[str, str]:
    return ("timestamptz", plain_array(each.isoformat() for each in values))


def _bounds(period: Period) -> tuple[str, str]:
    return (period.starts_at.isoformat(), period.ends_at.isoformat())


def _digest(row: Invoice) -> bytes:
    return bytes(row.content_hash or b"")
