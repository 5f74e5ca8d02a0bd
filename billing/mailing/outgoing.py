"""From rows to messages: a batch's next mails with their printed documents, read in few queries."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse

from billing.invoicing.documents.content import PDF
from billing.invoicing.documents.words import document_language
from billing.invoicing.issuer import issuer_of
from billing.invoicing.models import CreditNote, CreditNoteFile, Invoice, InvoiceFile
from billing.mailing.content import CreditNoteFacts, MailFacts, credit_note_mail, invoice_mail
from billing.mailing.domain import MailState, message_id
from billing.mailing.gateways.configured import sender_domain, sender_named
from billing.mailing.gateways.port import OutgoingMail
from billing.mailing.models import DocumentMail
from kernel.money import Money
from kernel.period import local_day

_AT_A_TIME: Final = 50
"""Their files are in memory together: some 40 kB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyMail:
    """A mail and what leaves for it; no message while its document isn't printed."""

    id: UUID
    tenant_id: UUID
    planned_at: datetime
    message: OutgoingMail | None


def next_mails(*, batch: UUID, after: UUID | None) -> Sequence[ReadyMail]:
    """The next mails of the batch that wait, by id, in the caller's cross-tenant scope; none at the end."""
    found = DocumentMail.objects.filter(batch=batch, state=MailState.WAITING)
    if after is not None:
        found = found.filter(id__gt=after)
    rows = list(
        found.select_related(
            "tenant", "invoice__seller", "credit_note__seller", "credit_note__invoice"
        ).order_by("id")[:_AT_A_TIME]
    )
    files = _files(rows)
    return [
        ReadyMail(
            id=row.id,
            tenant_id=row.tenant_id,
            planned_at=row.planned_at,
            message=_message(row, files),
        )
        for row in rows
    ]


def _files(rows: Sequence[DocumentMail]) -> dict[tuple[UUID, str], InvoiceFile | CreditNoteFile]:
    """The papers of the rows' documents, by document and language."""
    invoices = [row.invoice_id for row in rows if row.invoice_id is not None]
    notes = [row.credit_note_id for row in rows if row.credit_note_id is not None]
    files: dict[tuple[UUID, str], InvoiceFile | CreditNoteFile] = {}
    if invoices:
        for paper in InvoiceFile.objects.filter(invoice_id__in=invoices, media_type=PDF):
            files[paper.invoice_id, paper.language] = paper
    if notes:
        for file in CreditNoteFile.objects.filter(credit_note_id__in=notes, media_type=PDF):
            files[file.credit_note_id, file.language] = file
    return files


def _message(
    row: DocumentMail, files: dict[tuple[UUID, str], InvoiceFile | CreditNoteFile]
) -> OutgoingMail | None:
    document = row.document
    language = document_language(document.language)
    file = files.get((document.id, language))
    if file is None:
        return None
    content = bytes(file.content)
    if hashlib.sha256(content).digest() != bytes(file.sha256):
        raise RuntimeError(f"the stored file of {document.number} was changed")
    seller = issuer_of(document).name
    if isinstance(document, Invoice):
        said = invoice_mail(_facts(row, document, seller=seller, language=language))
    else:
        said = credit_note_mail(_note_facts(row, document, seller=seller, language=language))
    return OutgoingMail(
        message_id=message_id(mail_id=row.id, copy=row.copy, domain=sender_domain()),
        sender=sender_named(seller),
        to=row.address,
        subject=said.subject,
        text=said.text,
        html=said.html,
        filename=f"{document.number}.pdf",
        media_type=PDF,
        content=content,
        metadata={"mail": str(row.id), "tenant": str(row.tenant_id), "copy": str(row.copy)},
    )


def _note_facts(
    row: DocumentMail, note: CreditNote, *, seller: str, language: str
) -> CreditNoteFacts:
    path = reverse("portal:credit_note", args=[row.tenant.key, note.id])
    return CreditNoteFacts(
        language=language,
        number=note.number,
        seller=seller,
        buyer=note.buyer.get("name", "") or row.tenant.name,
        invoice=(note.invoice.number or "") if note.invoice is not None else "",
        total=Money(note.total_minor, note.currency),
        to_receivable=Money(note.to_receivable_minor, note.currency),
        to_balance=Money(note.to_balance_minor, note.currency),
        url=f"{settings.PUBLIC_URL}{path}",
    )


def _facts(row: DocumentMail, invoice: Invoice, *, seller: str, language: str) -> MailFacts:
    zone = ZoneInfo(invoice.timezone)
    if invoice.due_on is None:
        raise RuntimeError(f"invoice {invoice.id} has no due date")
    path = reverse("portal:invoice", args=[row.tenant.key, invoice.id])
    return MailFacts(
        language=language,
        number=str(invoice.number),
        seller=seller,
        buyer=invoice.buyer.get("name", "") or row.tenant.name,
        total=Money(invoice.total_minor, invoice.currency),
        due=Money(invoice.total_minor - invoice.paid_minor, invoice.currency),
        due_on=invoice.due_on,
        first_day=local_day(invoice.period_starts_at, zone),
        last_day=local_day(invoice.period_ends_at - timedelta(microseconds=1), zone),
        url=f"{settings.PUBLIC_URL}{path}",
    )
