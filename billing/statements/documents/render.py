"""Setting a statement: values in, PDF bytes out."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast

from billing.invoicing.documents.formats import (
    amount_text,
    date_text,
    days_text,
    literal,
    locale_of,
    money_text,
    quantity_text,
)
from billing.invoicing.documents.render import party_block
from billing.invoicing.documents.typesetting import typeset
from billing.invoicing.documents.words import ENGLISH, document_language
from billing.statements.documents.content import StatementDocument
from billing.statements.documents.words import words_of
from billing.statements.domain.figures import Detail
from billing.statements.domain.states import DetailTable
from billing.statements.domain.tables import SHAPES, Row
from kernel.money import Money

_LAYOUT: Final = Path(__file__).with_name("statement.typ")
_COLUMNS: Final = [column.name for column in SHAPES[DetailTable.MOVEMENTS].columns]


def render_statement(*, document: StatementDocument) -> bytes:
    """The statement as PDF/A-2a and PDF/UA-1; equal documents give equal bytes."""
    return cast(bytes, _set(document, format="pdf"))


def preview_pages(*, document: StatementDocument, dots_per_inch: int = 110) -> list[bytes]:
    """The pages as PNG, for people and tests that look at the layout."""
    pages = _set(document, format="png", ppi=dots_per_inch)
    return [pages] if isinstance(pages, bytes) else pages


def _set(document: StatementDocument, **options: Any) -> bytes | list[bytes]:
    return typeset(layout=_LAYOUT, data=_data(document), dated=document.made_at, **options)


def _data(document: StatementDocument) -> dict[str, Any]:
    """All that the layout prints, as texts in the document's language."""
    language = document_language(document.language)
    words, figures = words_of(language), document.figures
    locale = locale_of(language)
    lines = figures.details[DetailTable.LINES]
    printed = len(document.movements)
    more = figures.details[DetailTable.MOVEMENTS].rows - printed

    def amount(of: Money) -> str:
        return amount_text(of, language=language)

    return {
        "language": locale.language,
        "region": (locale.territory or ("US" if language == ENGLISH else "")).lower(),
        "words": dict(words),
        "reference": document.reference,
        "facts": [
            [words["period"], days_text(document.first_day, document.last_day, language=language)],
            [words["currency"], figures.currency],
            [words["made_on"], date_text(document.made_on, language=language)],
            [words["zone"], literal(document.zone)],
            [words["statement"], literal(document.reference)],
        ],
        "seller": party_block(document.seller, language=language),
        "buyer": party_block(document.buyer, language=language),
        "amounts_in": words["amounts_in"].format(currency=figures.currency),
        "opening": amount(figures.opening),
        "closing": money_text(figures.closing, language=language),
        "sums": [
            [words.get(f"kind_{each.kind}", each.kind), str(each.count), amount(each.amount)]
            for each in figures.movements
        ],
        "movements": [_movement(row, document, language=language) for row in document.movements],
        "more": words["more_movements"].format(count=more) if more else "",
        "ages": [
            [words[f"age_{bucket}"], amount(each)] for bucket, each in figures.open_items.items()
        ],
        "open_total": amount(figures.open_total),
        "balance": [
            [
                words[f"balance_{each.kind}"],
                amount(each.opening),
                amount(each.movements),
                amount(each.closing),
            ]
            for each in figures.balance
            if each.opening or each.closing or each.count
        ],
        "checked": words["checked"].format(
            rows=quantity_text(Decimal(lines.rows), language=language),
            amount=money_text(figures.billed.amount, language=language),
        ),
        "tables": [
            _table(table, each, currency=figures.currency, language=language)
            for table, each in figures.details.items()
        ],
        "files": [
            [
                each.name,
                quantity_text(Decimal(each.rows), language=language),
                quantity_text(Decimal(each.size), language=language),
                each.sha256,
            ]
            for each in document.files
        ],
    }


def _movement(row: Row, document: StatementDocument, *, language: str) -> dict[str, str]:
    words, currency = words_of(language), document.figures.currency
    cells = dict(zip(_COLUMNS, row, strict=True))
    due_on = cells["due_on"]
    kind = str(cells["kind"])
    # What has no word of its own is told by its posting.
    told = words.get(f"one_{kind}", "") or str(cells["description"])
    return {
        "on": _day(cells["document_on"] or cells["posted_at"], language=language),
        "kind": literal(told),
        "document": literal(str(cells["document"] or "")),
        "detail": words["due_on"].format(day=_day(due_on, language=language)) if due_on else "",
        "amount": _amount(cells["amount"], currency, language=language),
        "balance": _amount(cells["balance"], currency, language=language),
    }


def _table(table: DetailTable, detail: Detail, *, currency: str, language: str) -> str:
    words = words_of(language)
    if SHAPES[table].checked == "quantity":
        told = words["sum_of_quantities"].format(sum=quantity_text(detail.sum, language=language))
    else:
        told = f"{currency} {_amount(detail.sum, currency, language=language)}"
    return words["checked_of"].format(
        table=words[f"table_{table}"],
        rows=quantity_text(Decimal(detail.rows), language=language),
        sum=told,
    )


def _amount(value: Any, currency: str, *, language: str) -> str:
    return amount_text(Money.of(value, currency), language=language)


def _day(value: Any, *, language: str) -> str:
    return date_text(date(value.year, value.month, value.day), language=language)
