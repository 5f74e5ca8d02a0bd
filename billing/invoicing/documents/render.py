"""Setting an invoice: values in, PDF bytes out."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, cast

from billing.invoicing.documents.content import DocumentLine, InvoiceDocument, Party, TaxLine
from billing.invoicing.documents.formats import (
    amount_text,
    country_name,
    date_text,
    days_text,
    literal,
    locale_of,
    money_text,
    quantity_text,
    unit_price_text,
)
from billing.invoicing.documents.transfer_code import transfer_address, transfer_svg
from billing.invoicing.documents.typesetting import typeset
from billing.invoicing.documents.words import ENGLISH, document_language, words_of

LAYOUT: Final = Path(__file__).with_name("invoice.typ")
"""Of invoices, pro-formas and credit notes."""


def render_invoice(*, document: InvoiceDocument) -> bytes:
    """The invoice as PDF/A-2a and PDF/UA-1; equal documents give equal bytes.

    Takes some ten milliseconds after the first call of a process, which also opens the fonts.
    """
    return render_texts(texts=document_texts(document), dated=document.issued_at)


def render_texts(*, texts: Mapping[str, Any], dated: datetime) -> bytes:
    """The same of what `document_texts` gave."""
    return cast(bytes, typeset(layout=LAYOUT, data=texts, dated=dated, format="pdf"))


def preview_pages(*, document: InvoiceDocument, dots_per_inch: int = 110) -> list[bytes]:
    """The pages as PNG, for people and tests that look at the layout."""
    pages = typeset(
        layout=LAYOUT,
        data=document_texts(document),
        dated=document.issued_at,
        format="png",
        ppi=dots_per_inch,
    )
    return [pages] if isinstance(pages, bytes) else pages


def document_texts(document: InvoiceDocument) -> dict[str, Any]:
    """All that the paper says, as texts in the document's language, in its order; the page that is printed
    says the same (`ui/_paper.html`)."""
    language = document_language(document.language)
    words, locale = words_of(language), locale_of(language)
    money = {
        name: money_text(amount, language=language)
        for name, amount in (
            ("subtotal", document.subtotal),
            ("discount", -document.discount),
            ("tax", document.tax),
            ("total", document.total),
            ("paid", -document.paid),
            ("due", document.due),
        )
    }
    shown = [{"label": words["subtotal"], "amount": money["subtotal"]}]
    if document.discount:
        shown.append({"label": words["discount"], "amount": money["discount"]})
    if document.discount and (document.tax or document.taxes):
        net = document.subtotal - document.discount
        shown.append({"label": words["net"], "amount": money_text(net, language=language)})
    if document.tax or document.taxes:
        shown.append({"label": words["tax"], "amount": money["tax"]})
        shown.append({"label": words["total"], "amount": money["total"]})
    elif document.paid:
        shown.append({"label": words["total"], "amount": money["total"]})
    if document.paid:
        shown.append({"label": words["paid"], "amount": money["paid"]})
    if document.is_proforma:
        words = {**words, "title": words["proforma"], "number": words["proforma_number"]}
        words["due_on"] = words["proforma_valid"]
    payment = [words["no_payment"]]
    if document.is_proforma:
        payment = [
            words["proforma_notice"],
            literal(document.payment_instructions, breakable=False),
        ]
    elif document.due.minor > 0:
        payment = [
            words["pay_by"].format(
                amount=money["due"], day=date_text(document.due_on, language=language)
            ),
            literal(document.payment_instructions, breakable=False),
            words["payment_reference"].format(number=literal(document.number)),
        ]
    return {
        "lang": language,
        "language": locale.language,
        "region": region_of(language),
        "words": dict(words),
        "number": literal(document.number),
        "facts": [
            [words["number"], literal(document.number)],
            [words["issued_on"], date_text(document.issued_on, language=language)],
            [words["due_on"], date_text(document.due_on, language=language)],
            [
                words["period"],
                days_text(document.first_day, document.last_day, language=language),
            ],
            [words["zone"], literal(document.zone)],
            *(
                [words[name], literal(value)]
                for name, value in (
                    ("order_number", document.order_number),
                    ("buyer_reference", document.buyer_reference),
                )
                if value
            ),
        ],
        "seller": party_block(document.seller, language=language),
        "buyer": party_block(document.buyer, language=language),
        "has_quantities": True,
        "lines": list(_rows(document, language=language)),
        "amounts_in": words["amounts_in"].format(currency=document.currency),
        "sums": shown,
        "due": money["due"],
        "payment": [paragraph for paragraph in payment if paragraph],
        "transfer_code": _transfer_code(document, words=words, language=language),
        "taxes": [tax_texts(each, language=language) for each in document.taxes],
        "notes": [*tax_notes(document.taxes, language=language), *map(literal, document.notes)],
    }


def _transfer_code(
    document: InvoiceDocument, *, words: Mapping[str, str], language: str
) -> dict[str, str] | None:
    transfer = document.transfer
    if transfer is None:
        return None
    return {
        "svg": transfer_svg(transfer),
        "address": transfer_address(transfer),
        "says": words["transfer_code_says"].format(
            amount=money_text(transfer.amount, language=language), iban=transfer.iban
        ),
        "caption": words["transfer_code"],
    }


def _rows(document: InvoiceDocument, *, language: str) -> Iterator[dict[str, Any]]:
    """The lines; where there are sections each between its title and its subtotal."""
    lines = [line_texts(line, language=language) for line in document.lines]
    if not document.sections:
        yield from lines
        return
    for section in document.sections:
        yield {"section": literal(section.title)}
        yield from lines[: section.lines]
        lines = lines[section.lines :]
        yield {
            "sum_of": f"{words_of(language)['subtotal']}{words_of(language)['colon']}"
            f"{literal(section.title)}",
            "amount": amount_text(section.subtotal, language=language),
        }


def region_of(language: str) -> str:
    """The region that the document's language is of, "" where it is of none."""
    return (locale_of(language).territory or ("US" if language == ENGLISH else "")).lower()


def tax_texts(tax: TaxLine, *, language: str) -> dict[str, str]:
    """Tax of one rate as a layout prints it."""
    words = words_of(language)
    rate = f"{quantity_text(tax.rate_percent, language=language)}%"
    return {
        "rate": words[f"tax_{tax.code}"].format(rate=rate),
        "taxable": amount_text(tax.taxable, language=language),
        "tax": amount_text(tax.tax, language=language),
    }


def tax_notes(taxes: Sequence[TaxLine], *, language: str) -> list[str]:
    """What the law wants said of each rate, once; a reverse charge always says so."""
    words = words_of(language)
    notes = []
    for each in taxes:
        text = each.text
        if not text and each.code == "reverse_charge":
            text = words["reverse_charge_text"]
        if text:
            notes.append(literal(text))
    return list(dict.fromkeys(notes))


def party_block(party: Party, *, language: str) -> dict[str, Any]:
    """A party as a layout prints it: its name, and the lines below."""
    words = words_of(language)
    lines = [*literal(party.address).split("\n"), country_name(party.country, language=language)]
    lines.append(literal(party.email))
    for label, value in (
        ("tax_id", party.tax_id),
        ("registration_id", party.registration_id),
        ("reference", party.reference),
    ):
        if value:
            lines.append(f"{words[label]}{words['colon']}{literal(value)}")
    return {"name": literal(party.name), "lines": [line for line in lines if line]}


def line_texts(line: DocumentLine, *, language: str) -> dict[str, Any]:
    """A line as a layout prints it."""
    days = days_text(line.first_day, line.last_day, language=language)
    discount = ""
    if line.discount:
        discount = words_of(language)["discounted"].format(
            amount=amount_text(-line.discount, language=language)
        )
    return {
        "description": literal(line.description),
        "detail": " · ".join(part for part in (literal(line.detail), days) if part),
        "working": literal(line.working),
        "discount": discount,
        "quantity": ""
        if line.quantity is None
        else quantity_text(line.quantity, language=language),
        "unit_price": ""
        if line.unit_price is None
        else unit_price_text(line.unit_price, currency=line.amount.currency, language=language),
        "amount": amount_text(line.amount, language=language),
    }
