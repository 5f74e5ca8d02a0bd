"""Setting an invoice with Typst: values in, PDF bytes out.

The layout can reach nothing: its root holds the layout file alone, it imports no package, system
fonts are ignored, and the document's content comes in as one JSON text that is parsed as data. So a
tenant's name can be neither markup nor an address that something fetches (ADR on documents).
"""

import json
import threading
from datetime import UTC
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import typst

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
from billing.invoicing.documents.words import ENGLISH, document_language, words_of

if TYPE_CHECKING:
    from typst import PDFStandard

_LAYOUT: Final = Path(__file__).with_name("invoice.typ")
_FONTS: Final = Path(str(files("manimgx_fonts_cjk")))

_ARCHIVED: Final["list[PDFStandard]"] = ["a-2a", "ua-1"]
"""For the archive (ISO 19005-2) and for screen readers (ISO 14289-1)."""

_PLAIN: Final["list[PDFStandard]"] = ["1.7"]
"""Where a name has characters that none of our fonts draws, such as an emoji: the archive's profile
forbids a text that can't be shown, and an invoice must be issued all the same."""

_setting = threading.Lock()


def render_invoice(*, document: InvoiceDocument) -> bytes:
    """The invoice as PDF/A-2a and PDF/UA-1; equal documents give equal bytes.

    Takes some ten milliseconds after the first call of a process, which also opens the fonts.
    """
    return cast(bytes, _set(document, format="pdf"))


def preview_pages(*, document: InvoiceDocument, dots_per_inch: int = 110) -> list[bytes]:
    """The pages as PNG, for people and tests that look at the layout."""
    pages = _set(document, format="png", ppi=dots_per_inch)
    return [pages] if isinstance(pages, bytes) else pages


def _set(document: InvoiceDocument, **options: Any) -> bytes | list[bytes]:
    inputs = {"document": json.dumps(_data(document), ensure_ascii=False)}
    timestamp = int(document.issued_at.astimezone(UTC).timestamp())
    # A compiler keeps state between calls; one at a time is fast enough for a process.
    with _setting:
        compiler = _compiler()
        try:
            result = compiler.compile(
                sys_inputs=inputs, timestamp=timestamp, pdf_standards=_ARCHIVED, **options
            )
        except typst.TypstError as error:
            if "could not be displayed" not in error.message:
                raise
            result = compiler.compile(
                sys_inputs=inputs, timestamp=timestamp, pdf_standards=_PLAIN, **options
            )
    if result is None:
        raise RuntimeError("the compiler gave no bytes though it was told no file to write to")
    return result


@cache
def _compiler() -> typst.Compiler:
    fonts = typst.Fonts(
        include_system_fonts=False, include_embedded_fonts=True, font_paths=[_FONTS]
    )
    return typst.Compiler(
        input=_LAYOUT, root=_LAYOUT.parent, font_paths=fonts, ignore_system_fonts=True
    )


def _data(document: InvoiceDocument) -> dict[str, Any]:
    """All that the layout prints, as texts in the document's language."""
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
    payment = [words["no_payment"]]
    if document.due.minor > 0:
        payment = [
            words["pay_by"].format(
                amount=money["due"], day=date_text(document.due_on, language=language)
            ),
            literal(document.payment_instructions, breakable=False),
            words["payment_reference"].format(number=literal(document.number)),
        ]
    return {
        "language": locale.language,
        "region": (locale.territory or ("US" if language == ENGLISH else "")).lower(),
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
        "seller": _party(document.seller, language=language),
        "buyer": _party(document.buyer, language=language),
        "lines": [_line(line, language=language) for line in document.lines],
        "amounts_in": words["amounts_in"].format(currency=document.currency),
        "sums": shown,
        "due": money["due"],
        "payment": [paragraph for paragraph in payment if paragraph],
        "taxes": [_tax(each, language=language) for each in document.taxes],
        "notes": [*_tax_notes(document, language=language), *map(literal, document.notes)],
    }


def _tax(tax: TaxLine, *, language: str) -> dict[str, str]:
    words = words_of(language)
    rate = f"{quantity_text(tax.rate_percent, language=language)}%"
    return {
        "rate": words[f"tax_{tax.code}"].format(rate=rate),
        "taxable": amount_text(tax.taxable, language=language),
        "tax": amount_text(tax.tax, language=language),
    }


def _tax_notes(document: InvoiceDocument, *, language: str) -> list[str]:
    """What the law wants said of each rate, once; a reverse charge always says so."""
    words = words_of(language)
    notes = []
    for each in document.taxes:
        text = each.text
        if not text and each.code == "reverse_charge":
            text = words["reverse_charge_text"]
        if text:
            notes.append(literal(text))
    return list(dict.fromkeys(notes))


def _party(party: Party, *, language: str) -> dict[str, Any]:
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


def _line(line: DocumentLine, *, language: str) -> dict[str, Any]:
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
