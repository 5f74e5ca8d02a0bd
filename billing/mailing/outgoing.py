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
from billing.invoicing.models import Invoice, InvoiceFile
from billing.mailing.content import MailFacts, invoice_mail
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
    rows = list(found.select_related("tenant", "invoice__seller").order_by("id")[:_AT_A_TIME])
    files = {
        (file.invoice_id, file.language): file
        for file in InvoiceFile.objects.filter(
            invoice_id__in=[row.invoice_id for row in rows], media_type=PDF
        )
    }
    return [
        ReadyMail(
            id=row.id,
            tenant_id=row.tenant_id,
            planned_at=row.planned_at,
            message=_message(row, files),
        )
        for row in rows
    ]


def _message(row: DocumentMail, files: dict[tuple[UUID, str], InvoiceFile]) -> OutgoingMail | None:
    invoice = row.invoice
    if invoice is None or invoice.due_on is None:
        raise RuntimeError(f"mail {row.id} is of no issued invoice")
    language = document_language(invoice.language)
    file = files.get((invoice.id, language))
    if file is None:
        return None
    content = bytes(file.content)
    if hashlib.sha256(content).digest() != bytes(file.sha256):
        raise RuntimeError(f"the stored file of invoice {invoice.number} was changed")
    facts = _facts(row, invoice, language=language)
    said = invoice_mail(facts)
    return OutgoingMail(
        message_id=message_id(mail_id=row.id, copy=row.copy, domain=sender_domain()),
        sender=sender_named(facts.seller),
        to=row.address,
        subject=said.subject,
        text=said.text,
        html=said.html,
        filename=f"{invoice.number}.pdf",
        media_type=PDF,
        content=content,
        metadata={"mail": str(row.id), "tenant": str(row.tenant_id), "copy": str(row.copy)},
    )


def _facts(row: DocumentMail, invoice: Invoice, *, language: str) -> MailFacts:
    zone = ZoneInfo(invoice.timezone)
    if invoice.due_on is None:
        raise RuntimeError(f"invoice {invoice.id} has no due date")
    path = reverse("portal:invoice", args=[row.tenant.key, invoice.id])
    return MailFacts(
        language=language,
        number=str(invoice.number),
        seller=issuer_of(invoice).name,
        buyer=invoice.buyer.get("name", "") or row.tenant.name,
        total=Money(invoice.total_minor, invoice.currency),
        due=Money(invoice.total_minor - invoice.paid_minor, invoice.currency),
        due_on=invoice.due_on,
        first_day=local_day(invoice.period_starts_at, zone),
        last_day=local_day(invoice.period_ends_at - timedelta(microseconds=1), zone),
        url=f"{settings.PUBLIC_URL}{path}",
    )
