"""Print a credit note as PDF: rendered once in a language, then the same bytes for ever."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.invoicing.documents import (
    CorrectedInvoice,
    CreditNoteDocument,
    DocumentLine,
    TaxLine,
    render_credit_note,
)
from billing.invoicing.documents.content import PDF
from billing.invoicing.documents.credit_note import credit_note_texts
from billing.invoicing.documents.words import document_language
from billing.invoicing.issuer import issuer_of
from billing.invoicing.line_names import line_name
from billing.invoicing.line_taxes import stored_tax, tax_sums
from billing.invoicing.models import CreditNote, CreditNoteFile, CreditNoteLine, InvoiceLine
from billing.invoicing.services.print_invoice import (
    PrintedDocument,
    buyer_party,
    notes_by_law,
    seller_party,
)
from billing.parties.domain.party import Recipient
from billing.retention.queries import is_removed
from billing.taxes.domain.rules import TaxCode
from kernel.errors import Conflict, NotFound
from kernel.money import Money
from kernel.period import local_day
from tenants.models import User
from tenants.scope import staff_scope, system_scope, tenant_scope
from work.connections import cursor
from work.jobs import JobRequest, enqueue_many

KIND: Final = "billing.print_credit_note"
_AT_A_TIME: Final = 1000
_TICK: Final = timedelta(microseconds=1)

Scope = Callable[[], AbstractContextManager[None]]


def print_credit_note(
    *, tenant_id: UUID, credit_note_id: UUID, language: str = ""
) -> PrintedDocument:
    """The PDF of one of the tenant's credit notes; opens its own scopes.

    `language` is that of the note unless given. Raises NotFound `credit_note_not_found`, Conflict
    `file_removed` where its retention was over.
    """
    return _print(
        partial(tenant_scope, tenant_id),
        tenant_id=tenant_id,
        note_id=credit_note_id,
        language=language,
    )


def print_credit_note_for_staff(
    *, user: User, credit_note_id: UUID, language: str = ""
) -> PrintedDocument:
    """The same for one of the operator's people, whose access is recorded."""
    return _print(
        partial(staff_scope, user=user, purpose="print a credit note"),
        tenant_id=None,
        note_id=credit_note_id,
        language=language,
    )


def credit_note_paper(*, tenant_id: UUID, credit_note_id: UUID) -> dict[str, Any]:
    """What the paper says, in its order and language, for the page to print the same; in the caller's scope.
    Raises NotFound `credit_note_not_found`."""
    note = _found(credit_note_id, tenant_id=tenant_id)
    return credit_note_texts(_document(note, document_language(note.language)))


def print_unprinted(*, issued_before: datetime) -> int:
    """Ask for a job for each credit note of before then that has no paper in its language and never had one;
    gives how many are new. Opens its own scopes; asking twice asks once."""
    asked, after = 0, UUID(int=0)
    while True:
        with system_scope(purpose="credit notes without a paper"):
            languages = CreditNote.objects.values_list("language", flat=True).distinct()
            found = _unprinted({each: document_language(each) for each in languages},
                               issued_before=issued_before, after=after)  # fmt: skip
            asked += enqueue_many(
                JobRequest(
                    kind=KIND,
                    key=f"unprinted:{note_id}",
                    payload={"credit_note_id": str(note_id)},
                    tenant_id=tenant_id,
                )
                for tenant_id, note_id in found
            )
        if len(found) < _AT_A_TIME:
            return asked
        after = found[-1][1]


def _unprinted(
    languages: dict[str, str], *, issued_before: datetime, after: UUID
) -> list[tuple[UUID, UUID]]:
    if not languages:
        return []
    with cursor() as db:
        db.execute(
            """
            SELECT n.tenant_id, n.id FROM billing_creditnote n
              JOIN unnest(%(kept)s::text[], %(written)s::text[]) AS l(kept, written) ON l.kept = n.language
             WHERE n.issued_at < %(before)s AND n.id > %(after)s
               AND NOT EXISTS (SELECT 1 FROM billing_creditnotefile f
                                WHERE f.tenant_id = n.tenant_id AND f.credit_note_id = n.id
                                  AND f.media_type = %(pdf)s AND f.language = l.written)
               AND NOT EXISTS (SELECT 1 FROM billing_removedfile r
                                WHERE r.tenant_id = n.tenant_id AND r.document = n.id)
             ORDER BY n.id LIMIT %(limit)s
            """,
            {
                "kept": list(languages),
                "written": list(languages.values()),
                "before": issued_before,
                "after": after,
                "pdf": PDF,
                "limit": _AT_A_TIME,
            },
        )
        return [(UUID(str(tenant_id)), UUID(str(note_id))) for tenant_id, note_id in db.fetchall()]


def _print(
    scope: Scope, *, tenant_id: UUID | None, note_id: UUID, language: str
) -> PrintedDocument:
    with scope():
        note = _found(note_id, tenant_id=tenant_id)
        written_in = document_language(language or note.language)
        stored = _stored(note, written_in)
        if stored is not None:
            return stored
        if is_removed(tenant_id=note.tenant_id, document_id=note.id):
            raise Conflict(
                "file_removed",
                "The file was removed when the time was over for which it had to be kept.",
                field="credit_note",
            )
        document = _document(note, written_in)
    content = render_credit_note(document=document)
    with scope():
        # Two readers at once may both have rendered it; the first one's bytes count.
        CreditNoteFile.objects.bulk_create(
            [
                CreditNoteFile(
                    tenant_id=note.tenant_id,
                    credit_note_id=note.id,
                    media_type=PDF,
                    language=written_in,
                    content=content,
                    sha256=hashlib.sha256(content).digest(),
                )
            ],
            ignore_conflicts=True,
        )
        stored = _stored(note, written_in)
    if stored is None:
        raise RuntimeError(f"the file of credit note {note.number} was not stored")
    return stored


def _found(note_id: UUID, *, tenant_id: UUID | None) -> CreditNote:
    found = CreditNote.objects.select_related("seller", "invoice").filter(id=note_id)
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    note = found.first()
    if note is None:
        raise NotFound(
            "credit_note_not_found", "There is no such credit note.", field="credit_note"
        )
    return note


def _stored(note: CreditNote, language: str) -> PrintedDocument | None:
    """The stored file. Raises RuntimeError when its bytes are not the ones that were stored."""
    row = CreditNoteFile.objects.filter(
        tenant_id=note.tenant_id, credit_note_id=note.id, media_type=PDF, language=language
    ).first()
    if row is None:
        return None
    content = bytes(row.content)
    digest = hashlib.sha256(content)
    if digest.digest() != bytes(row.sha256):
        raise RuntimeError(f"the stored file of credit note {note.number} was changed")
    return PrintedDocument(
        number=note.number, language=language, content=content, sha256=digest.hexdigest()
    )


def _document(note: CreditNote, language: str) -> CreditNoteDocument:
    """The note as it was issued, in five queries at most."""
    zone, issuer, buyer = ZoneInfo(note.timezone), issuer_of(note), Recipient.read(note.buyer)
    rows = list(
        CreditNoteLine.objects.filter(tenant_id=note.tenant_id, credit_note_id=note.id).order_by(
            "position"
        )
    )
    names = _names(note, rows, language=language)
    starts_at = min(line.period_starts_at for line in rows)
    ends_at = max(line.period_ends_at for line in rows)
    exempt = any(line.tax_code == TaxCode.EXEMPT.value for line in rows)
    return CreditNoteDocument(
        number=note.number,
        language=language,
        zone=note.timezone,
        seller=seller_party(issuer),
        buyer=buyer_party(buyer),
        issued_at=note.issued_at,
        issued_on=local_day(note.issued_at, zone),
        first_day=local_day(starts_at, zone),
        last_day=local_day(max(ends_at - _TICK, starts_at), zone),
        currency=note.currency,
        corrects=_corrected(note),
        reason=note.reason,
        lines=[
            DocumentLine(
                description=name,
                quantity=None,
                unit_price=None,
                amount=Money(line.amount_minor, note.currency),
                first_day=local_day(line.period_starts_at, zone),
                last_day=local_day(max(line.period_ends_at - _TICK, line.period_starts_at), zone),
            )
            for line, name in zip(rows, names, strict=True)
        ],
        taxes=list(_taxes(rows, currency=note.currency, language=language)),
        tax=Money(note.tax_minor, note.currency),
        total=Money(note.total_minor, note.currency),
        to_receivable=Money(note.to_receivable_minor, note.currency),
        to_balance=Money(note.to_balance_minor, note.currency),
        order_number=buyer.order_number,
        buyer_reference=buyer.reference,
        notes=[
            *([buyer.exemption_reason] if buyer.exemption_reason and exempt else []),
            *notes_by_law(issuer, note.national_tax, language=language),
        ],
    )


def _corrected(note: CreditNote) -> CorrectedInvoice | None:
    invoice = note.invoice
    if invoice is None or invoice.number is None or invoice.issued_at is None:
        return None
    return CorrectedInvoice(
        number=invoice.number, issued_on=local_day(invoice.issued_at, ZoneInfo(invoice.timezone))
    )


def _names(note: CreditNote, lines: Sequence[CreditNoteLine], *, language: str) -> list[str]:
    """What the document that billed them calls the lines: the invoice, or the draft that was issued as this
    note; else what the note keeps."""
    taken_back = {line.invoice_line_id for line in lines if line.invoice_line_id is not None}
    billed = InvoiceLine.objects.filter(tenant_id=note.tenant_id).select_related("plan_version")
    by_id = {line.id: line for line in billed.filter(id__in=taken_back)} if taken_back else {}
    by_position = (
        {line.position: line for line in billed.filter(invoice_id=note.document_id)}
        if note.document_id is not None
        else {}
    )
    names = []
    for line in lines:
        source = by_id.get(line.invoice_line_id) if line.invoice_line_id is not None else None
        source = source or by_position.get(line.position)
        names.append(
            line_name(source, language=language)
            if source is not None
            else line.description or line.key
        )
    return names


def _taxes(lines: Sequence[CreditNoteLine], *, currency: str, language: str) -> Iterator[TaxLine]:
    for each in tax_sums(
        (
            (
                stored_tax(
                    percent=line.tax_percent, code=line.tax_code, explanation=line.explanation
                ),
                Money(line.amount_minor, currency),
                Money(line.tax_minor, currency),
            )
            for line in lines
        ),
        currency=currency,
    ):
        yield TaxLine(
            rate_percent=each.tax.percent,
            code=each.tax.code.value,
            text=each.tax.text.get(language) or each.tax.text.get("en", ""),
            taxable=each.taxable,
            tax=each.amount,
        )
