"""Print an issued invoice as PDF: rendered once in a language, then the same bytes for ever."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import groupby
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.catalog.queries import terms_of
from billing.exchange.domain import NationalTax
from billing.invoicing.documents import DocumentLine, InvoiceDocument, Party, render_invoice
from billing.invoicing.documents.content import PDF, DocumentSection, TaxLine
from billing.invoicing.documents.formats import country_name, date_text, money_text
from billing.invoicing.documents.render import document_texts
from billing.invoicing.documents.transfer_code import transfer_for
from billing.invoicing.documents.words import document_language, words_of
from billing.invoicing.documents.working import working_text
from billing.invoicing.issuer import Issuer, issuer_of
from billing.invoicing.line_names import line_name
from billing.invoicing.line_taxes import stored_tax, tax_sums
from billing.invoicing.models import Charge, Invoice, InvoiceFile, InvoiceLine, Proforma
from billing.parties.domain.party import Recipient
from billing.retention.queries import is_removed
from billing.taxes.domain.rules import TaxCode
from kernel.decimals import plain_text
from kernel.errors import Conflict, NotFound
from kernel.money import Money
from kernel.period import local_day
from tenants.models import User
from tenants.scope import staff_scope, tenant_scope


@dataclass(frozen=True, slots=True, kw_only=True)
class PrintedDocument:
    """The file to hand out; `sha256` is the hexadecimal digest of `content`."""

    number: str
    language: str
    content: bytes
    sha256: str

    @property
    def filename(self) -> str:
        return f"{self.number}.pdf"


def print_invoice(*, tenant_id: UUID, invoice_id: UUID, language: str = "") -> PrintedDocument:
    """The PDF of one of the tenant's invoices; opens its own scopes.

    `language` is that of the invoice unless given. Raises NotFound `invoice_not_found`, Conflict
    `invoice_not_issued` for a draft, `file_removed` where its retention was over.
    """
    return _print(
        partial(tenant_scope, tenant_id),
        tenant_id=tenant_id,
        invoice_id=invoice_id,
        language=language,
    )


def print_invoice_for_staff(*, user: User, invoice_id: UUID, language: str = "") -> PrintedDocument:
    """The same for one of the operator's people, whose access is recorded."""
    return _print(
        partial(staff_scope, user=user, purpose="print an invoice"),
        tenant_id=None,
        invoice_id=invoice_id,
        language=language,
    )


def paper_of(*, tenant_id: UUID, invoice_id: UUID) -> dict[str, Any]:
    """What the paper of an issued invoice says, in its order and language, for the page to print the same; in the
    caller's scope. Raises as `print_invoice` does."""
    invoice = _issued(invoice_id, tenant_id=tenant_id)
    return document_texts(_document(invoice, document_language(invoice.language)))


def _print(
    scope: Any, *, tenant_id: UUID | None, invoice_id: UUID, language: str
) -> PrintedDocument:
    opened: AbstractContextManager[None] = scope()
    with opened:
        invoice = _issued(invoice_id, tenant_id=tenant_id)
        written_in = document_language(language or invoice.language)
        stored = _stored(invoice, written_in)
        if stored is not None:
            return stored
        if is_removed(tenant_id=invoice.tenant_id, document_id=invoice.id):
            raise Conflict(
                "file_removed",
                "The file was removed when the time was over for which it had to be kept.",
                field="invoice",
            )
        document = _document(invoice, written_in)
    content = render_invoice(document=document)
    opened = scope()
    with opened:
        # Two readers at once may both have rendered it; the first one's bytes count.
        InvoiceFile.objects.bulk_create(
            [
                InvoiceFile(
                    tenant_id=invoice.tenant_id,
                    invoice_id=invoice.id,
                    media_type=PDF,
                    language=written_in,
                    content=content,
                    sha256=hashlib.sha256(content).digest(),
                )
            ],
            ignore_conflicts=True,
        )
        stored = _stored(invoice, written_in)
    if stored is None:
        raise RuntimeError(f"the file of invoice {invoice.number} was not stored")
    return stored


def _issued(invoice_id: UUID, *, tenant_id: UUID | None) -> Invoice:
    found = Invoice.objects.select_related("seller").filter(id=invoice_id)
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    invoice = found.first()
    if invoice is None:
        raise NotFound("invoice_not_found", "There is no such invoice.", field="invoice")
    if invoice.number is None:
        raise Conflict(
            "invoice_not_issued",
            "This invoice is a draft; it can be printed when it is issued.",
            field="invoice",
        )
    return invoice


def _stored(invoice: Invoice, language: str) -> PrintedDocument | None:
    """The stored file. Raises RuntimeError when its bytes are not the ones that were stored."""
    row = InvoiceFile.objects.filter(
        tenant_id=invoice.tenant_id, invoice_id=invoice.id, media_type=PDF, language=language
    ).first()
    if row is None:
        return None
    content = bytes(row.content)
    digest = hashlib.sha256(content)
    if digest.digest() != bytes(row.sha256):
        raise RuntimeError(f"the stored file of invoice {invoice.number} was changed")
    return PrintedDocument(
        number=str(invoice.number),
        language=language,
        content=content,
        sha256=digest.hexdigest(),
    )


def _document(invoice: Invoice, language: str) -> InvoiceDocument:
    """The invoice as it was issued: what was paid since is not on the paper."""
    currency, zone, issuer = invoice.currency, ZoneInfo(invoice.timezone), issuer_of(invoice)
    if invoice.issued_at is None or invoice.due_on is None or invoice.number is None:
        raise RuntimeError(f"invoice {invoice.id} has a number but no date")
    total = Money(invoice.total_minor, currency)
    buyer = Recipient.read(invoice.buyer)
    rows = list(
        InvoiceLine.objects.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id)
        .select_related("plan_version")
        .order_by("position")
    )
    return InvoiceDocument(
        number=invoice.number,
        language=language,
        zone=invoice.timezone,
        seller=seller_party(issuer),
        buyer=buyer_party(buyer),
        issued_at=invoice.issued_at,
        issued_on=local_day(invoice.issued_at, zone),
        due_on=invoice.due_on,
        first_day=local_day(invoice.period_starts_at, zone),
        last_day=local_day(invoice.period_ends_at - timedelta(microseconds=1), zone),
        currency=currency,
        lines=[_line(line, currency=currency, zone=zone, language=language) for line in rows],
        sections=_sections(rows, currency=currency, language=language),
        subtotal=Money(invoice.subtotal_minor, currency),
        discount=Money(invoice.discount_minor, currency),
        taxes=_taxes(rows, currency=currency, language=language),
        tax=Money(invoice.tax_minor, currency),
        total=total,
        paid=Money.zero(currency),
        due=total,
        transfer=transfer_for(
            name=issuer.name,
            account=issuer.iban,
            bank=issuer.bic,
            amount=total,
            reference=invoice.number,
        ),
        payment_instructions=payment_text(issuer, language=language),
        order_number=buyer.order_number,
        buyer_reference=buyer.reference,
        notes=[
            *(
                [buyer.exemption_reason]
                if buyer.exemption_reason
                and any(line.tax_code == TaxCode.EXEMPT.value for line in rows)
                else []
            ),
            *notes_by_law(issuer, invoice.national_tax, language=language),
            *_proformas_before(invoice, language=language),
        ],
    )


def seller_party(issuer: Issuer) -> Party:
    """The seller as a document prints it."""
    return Party(
        name=issuer.name,
        address=issuer.address,
        country=issuer.country,
        tax_id=issuer.tax_id,
        registration_id=issuer.registration_id,
        email=issuer.email,
    )


def buyer_party(buyer: Recipient) -> Party:
    """The buyer as a document prints it."""
    return Party(
        name=buyer.name,
        address=buyer.address,
        country=buyer.country,
        tax_id=buyer.tax_id,
        registration_id=buyer.registration_id,
        email=buyer.email,
        reference=buyer.key,
    )


def payment_text(issuer: Issuer, *, language: str) -> str:
    """What a transfer needs; the account too where the text does not name it already."""
    words = words_of(language)
    lines = [issuer.bank_details]
    if issuer.iban and issuer.iban not in issuer.bank_details:
        lines.append(words["account"].format(account=issuer.iban))
        if issuer.bic:
            lines.append(words["bank"].format(bank=issuer.bic))
    return "\n".join(line for line in lines if line)


def _proformas_before(invoice: Invoice, *, language: str) -> Iterator[str]:
    """The pro-formas that told of the invoice beforehand."""
    charge = Charge.objects.filter(tenant_id=invoice.tenant_id, invoice_id=invoice.id).first()
    if charge is None:
        return
    references = Proforma.objects.filter(tenant_id=invoice.tenant_id, charge_id=charge.id)
    told = list(references.order_by("created_at").values_list("reference", flat=True))
    if told:
        words = words_of(language)
        yield words["after_proforma"].format(references=words["comma"].join(told))


def notes_by_law(
    issuer: Issuer, national_tax: dict[str, Any] | None, *, language: str
) -> Iterator[str]:
    """What the law wants told of a representative, and of tax in another currency."""
    words = words_of(language)
    if issuer.has_representative:
        place = f"{issuer.representative_postal_code} {issuer.representative_city}".strip()
        country = country_name(issuer.representative_country, language=language)
        yield words["representative"].format(
            name=issuer.representative_name,
            address=", ".join(
                part for part in (issuer.representative_street, place, country) if part
            ),
            tax_id=issuer.representative_tax_id,
        )
    if national_tax is not None:
        told = NationalTax.read(national_tax)
        yield words["national_tax"].format(
            currency=told.tax.currency,
            amount=money_text(told.tax, language=language),
            base=told.rate.base,
            rate=plain_text(told.rate.rate),
            quote=told.rate.quote,
            source=told.rate.source,
            day=date_text(told.rate.on, language=language),
        )


def _sections(
    lines: Sequence[InvoiceLine], *, currency: str, language: str
) -> Sequence[DocumentSection]:
    """Of an invoice that consolidates several subscriptions, each by the plan that it held last."""
    found = []
    for subscription_id, of_one in groupby(lines, key=lambda line: line.subscription_id):
        rows = list(of_one)
        if subscription_id is not None:
            version = [row.plan_version for row in rows if row.plan_version][-1]
            found.append(
                DocumentSection(
                    title=terms_of(version_id=version.id, document=version.document).name(language),
                    lines=len(rows),
                    subtotal=Money(sum(row.amount_minor for row in rows), currency),
                )
            )
    return found


def _taxes(lines: Sequence[InvoiceLine], *, currency: str, language: str) -> Sequence[TaxLine]:
    return [
        TaxLine(
            rate_percent=each.tax.percent,
            code=each.tax.code.value,
            text=each.tax.text.get(language) or each.tax.text.get("en", ""),
            taxable=each.taxable,
            tax=each.amount,
        )
        for each in tax_sums(
            (
                (
                    stored_tax(
                        percent=line.tax_percent, code=line.tax_code, explanation=line.explanation
                    ),
                    Money(line.amount_minor - line.discount_minor, currency),
                    Money(line.tax_minor, currency),
                )
                for line in lines
            ),
            currency=currency,
        )
    ]


def _line(line: InvoiceLine, *, currency: str, zone: ZoneInfo, language: str) -> DocumentLine:
    return DocumentLine(
        description=line_name(line, language=language),
        detail=line.app_key,
        working=working_text(kind=line.kind, explanation=line.explanation, language=language),
        quantity=line.quantity,
        unit_price=line.unit_price,
        amount=Money(line.amount_minor, currency),
        discount=Money(line.discount_minor, currency),
        first_day=local_day(line.period_starts_at, zone),
        last_day=local_day(line.period_ends_at - timedelta(microseconds=1), zone),
    )
