"""What a credit note says, and its paper: the layout of an invoice with a credit note's words."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from billing.invoicing.documents.content import DocumentLine, Party, TaxLine
from billing.invoicing.documents.formats import date_text, days_text, literal, locale_of, money_text
from billing.invoicing.documents.render import (
    line_texts,
    party_block,
    region_of,
    render_texts,
    tax_notes,
    tax_texts,
)
from billing.invoicing.documents.words import document_language, reason_text, words_of
from kernel.errors import Invalid
from kernel.money import Money, total


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectedInvoice:
    """The invoice that is corrected: article 219 of Directive 2006/112/EC wants it named."""

    number: str
    issued_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNoteDocument:
    """The whole content of an issued credit note. Amounts are in the buyer's favour; a line is negative where
    a charge was set against it. `corrects` is None where it gives back what no invoice billed.

    Raises Invalid `document_does_not_add_up` when lines and totals disagree.
    """

    number: str
    language: str
    zone: str
    seller: Party
    buyer: Party
    issued_at: datetime
    issued_on: date
    first_day: date
    last_day: date
    currency: str
    corrects: CorrectedInvoice | None
    reason: str
    lines: Sequence[DocumentLine]
    taxes: Sequence[TaxLine] = ()
    tax: Money
    total: Money
    to_receivable: Money
    to_balance: Money
    order_number: str = ""
    buyer_reference: str = ""
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        lines = total((line.amount for line in self.lines), currency=self.currency)
        taxes = total((each.tax for each in self.taxes), currency=self.currency)
        faults = [
            name
            for name, left, right in (
                ("total", lines + self.tax, self.total),
                ("tax lines", taxes, self.tax if self.taxes else Money.zero(self.currency)),
                ("what becomes of it", self.to_receivable + self.to_balance, self.total),
            )
            if left != right
        ]
        if faults:
            raise Invalid(
                "document_does_not_add_up",
                f"Credit note {self.number} does not add up: {', '.join(faults)}; "
                "its rows must be looked at before it is printed.",
                field="total",
                params={"number": self.number},
            )


def render_credit_note(*, document: CreditNoteDocument) -> bytes:
    """The credit note as PDF/A-2a and PDF/UA-1; equal documents give equal bytes."""
    return render_texts(texts=credit_note_texts(document), dated=document.issued_at)


def credit_note_texts(document: CreditNoteDocument) -> dict[str, Any]:
    """All that the paper says, as `document_texts` gives it of an invoice."""
    language = document_language(document.language)
    given = words_of(language)
    words = {
        **given,
        "title": given["credit_note"],
        "buyer": given["credit_note_buyer"],
        "due": given["credited"],
        "payment": given["credit_becomes"],
    }
    subtotal = document.total - document.tax
    corrects = document.corrects
    facts = [
        [words["credit_note_number"], literal(document.number)],
        [words["issued_on"], date_text(document.issued_on, language=language)],
    ]
    if corrects is not None:
        facts += [
            [words["corrects"], literal(corrects.number)],
            [words["corrects_of"], date_text(corrects.issued_on, language=language)],
        ]
    facts += [
        [words["service"], days_text(document.first_day, document.last_day, language=language)],
        [words["zone"], literal(document.zone)],
        *(
            [words[name], literal(value)]
            for name, value in (
                ("order_number", document.order_number),
                ("buyer_reference", document.buyer_reference),
            )
            if value
        ),
    ]
    return {
        "lang": language,
        "language": locale_of(language).language,
        "region": region_of(language),
        "words": words,
        "number": literal(document.number),
        "facts": facts,
        "seller": party_block(document.seller, language=language),
        "buyer": party_block(document.buyer, language=language),
        "has_quantities": False,
        "lines": [line_texts(line, language=language) for line in document.lines],
        "amounts_in": words["amounts_in"].format(currency=document.currency),
        "sums": [
            {"label": words["subtotal"], "amount": money_text(subtotal, language=language)},
            *(
                [{"label": words["tax"], "amount": money_text(document.tax, language=language)}]
                if document.taxes
                else []
            ),
        ],
        "due": money_text(document.total, language=language),
        "payment": _what_becomes_of_it(document, language=language),
        "transfer_code": None,
        "taxes": [tax_texts(each, language=language) for each in document.taxes],
        "notes": [*tax_notes(document.taxes, language=language), *map(literal, document.notes)],
    }


def _what_becomes_of_it(document: CreditNoteDocument, *, language: str) -> list[str]:
    words = words_of(language)
    told = []
    if document.to_receivable and document.corrects is not None:
        told.append(
            words["to_receivable"].format(
                amount=money_text(document.to_receivable, language=language),
                number=literal(document.corrects.number),
            )
        )
    if document.to_balance:
        told.append(
            words["to_balance"].format(amount=money_text(document.to_balance, language=language))
        )
    if document.reason:
        reason = reason_text(document.reason, language=language)
        told.append(words["reason"].format(reason=literal(reason)))
    return told
