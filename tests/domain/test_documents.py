"""The printed invoice, from values to pages."""

import io
import socket
import threading
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from pypdf import PdfReader

from billing.invoicing.documents import DocumentLine, InvoiceDocument, Party, render_invoice
from billing.invoicing.documents.formats import days_text, literal, money_text, unit_price_text
from billing.invoicing.documents.render import preview_pages
from billing.invoicing.documents.transfer_code import Transfer, transfer_for
from billing.invoicing.documents.words import words_of
from billing.invoicing.documents.working import working_text
from billing.rating.aggregations import EventPeriodAggregation, PeriodAggregation
from kernel.errors import Invalid
from kernel.money import Money
from tests.catalogues import german

__all__ = ["german"]  # a fixture


def a_line(*, minor: int = 129900, currency: str = "CNY", **changes: Any) -> DocumentLine:
    line = DocumentLine(
        description="专业版 · base",
        quantity=Decimal(1),
        unit_price=Decimal(1299),
        amount=Money(minor, currency),
        first_day=date(2026, 3, 1),
        last_day=date(2026, 3, 31),
    )
    return replace(line, **changes)


def a_document(
    *, lines: list[DocumentLine] | None = None, currency: str = "CNY", **changes: Any
) -> InvoiceDocument:
    lines = lines or [a_line(currency=currency)]
    subtotal = sum((line.amount for line in lines), start=Money.zero(currency))
    fields: dict[str, Any] = {
        "number": "INV-2026-000001",
        "language": "zh-hans",
        "zone": "Asia/Shanghai",
        "seller": Party(name="Summit Cloud 云通讯", address="8 Harbour Road\nShanghai"),
        "buyer": Party(name="北京云枢信息技术有限公司", address="朝阳区", country="CN"),
        "issued_at": datetime(2026, 4, 2, 1, tzinfo=UTC),
        "issued_on": date(2026, 4, 2),
        "due_on": date(2026, 4, 17),
        "first_day": date(2026, 3, 1),
        "last_day": date(2026, 3, 31),
        "currency": currency,
        "lines": lines,
        "subtotal": subtotal,
        "discount": Money.zero(currency),
        "tax": Money.zero(currency),
        "total": subtotal,
        "paid": Money.zero(currency),
        "due": subtotal,
        "payment_instructions": "Bank of Communications\nAccount 3100 6600",
    }
    return InvoiceDocument(**(fields | changes))


def pages_of(content: bytes) -> list[str]:
    return [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]


def text_of(document: InvoiceDocument) -> str:
    """The document's text without breaks, as line breaks depend on the width of columns."""
    pages = pages_of(render_invoice(document=document))
    return "".join(pages).replace("\u200b", "").replace("\n", "")


def test_names_number_dates_and_totals_can_be_read_out_of_the_file() -> None:
    text = text_of(a_document())

    assert "北京云枢信息技术有限公司" in text
    assert "账单" in text
    assert "INV-2026-000001" in text
    assert "2026年4月17日" in text.replace(" ", "")
    assert "1,299.00" in text
    assert "CNY 1,299.00" in text
    assert "中国" in text


def test_the_words_follow_the_documents_language() -> None:
    text = text_of(a_document(language="en"))

    assert "Amount due" in text
    assert "Apr 17, 2026" in text
    assert "Mar 1 to Mar 31, 2026" in text
    assert "北京云枢信息技术有限公司" in text


@pytest.mark.parametrize(
    "name",
    [
        '#import "x": *',
        "#panic() $x^2$ *bold* _it_ `raw` @ref <label> \\ // /* */ [x] #{1+1}",
        "= Heading",
        "<script>alert(1)</script>",
    ],
)
def test_a_name_that_looks_like_markup_is_printed_literally(name: str) -> None:
    text = text_of(a_document(buyer=Party(name=name), language="en"))

    assert name.replace(" ", "") in text.replace(" ", "")


def test_no_name_makes_the_renderer_open_a_connection_or_a_file() -> None:
    seen: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        port = server.getsockname()[1]

        def listen() -> None:
            try:
                seen.append(server.accept())
            except TimeoutError:
                return

        listener = threading.Thread(target=listen)
        listener.start()
        address = f"http://127.0.0.1:{port}/x.png"
        name = f'<img src={address}> #image("{address}") #read("/etc/passwd") url({address})'
        text = text_of(a_document(buyer=Party(name=name), language="en"))
        listener.join()

    assert seen == []
    assert '#read("/etc/passwd")' in text
    assert "root:" not in text


def test_the_same_document_gives_the_same_bytes() -> None:
    first = render_invoice(document=a_document())
    render_invoice(document=a_document(language="en", number="INV-2026-000002"))

    assert render_invoice(document=a_document()) == first
    assert render_invoice(document=a_document(number="INV-2026-000003")) != first


def kinds_of_structure(reader: PdfReader) -> set[str]:
    """What a screen reader is told of: headings, tables and the like."""
    seen: set[str] = set()
    waiting: list[Any] = [reader.root_object["/StructTreeRoot"]]
    while waiting:
        node = waiting.pop().get_object()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            if "/S" in node:
                seen.add(str(node["/S"]))
            if "/K" in node:
                waiting.append(node["/K"])
    return seen


@pytest.mark.parametrize(
    ("language", "tag", "title"), [("en", "en-US", "Invoice"), ("zh-hans", "zh-CN", "账单")]
)
def test_the_file_is_dated_by_the_issue_and_made_for_archive_and_screen_reader(
    language: str, tag: str, title: str
) -> None:
    content = render_invoice(document=a_document(language=language))
    reader = PdfReader(io.BytesIO(content))

    assert reader.metadata is not None
    assert reader.metadata.creation_date == datetime(2026, 4, 2, 1, tzinfo=UTC)
    assert reader.metadata.title == f"{title} INV-2026-000001"
    assert reader.root_object["/ViewerPreferences"]["/DisplayDocTitle"].value  # type: ignore[index]  # a dictionary
    assert str(reader.root_object["/Lang"]) == tag
    assert reader.root_object["/MarkInfo"]["/Marked"]  # type: ignore[index]  # a dictionary
    assert {"/Document", "/H1", "/Table", "/TR", "/TH", "/TD", "/P"} <= kinds_of_structure(reader)
    assert b"<pdfaid:part>2</pdfaid:part>" in content
    assert b"<pdfuaid:part>1</pdfuaid:part>" in content


@pytest.mark.usefixtures("german")
@pytest.mark.parametrize("language", ["de", "de-AT"])
def test_any_language_with_a_catalogue_is_printed_and_what_it_lacks_is_english(
    language: str,
) -> None:
    content = render_invoice(document=a_document(language=language, currency="EUR"))
    reader = PdfReader(io.BytesIO(content))
    text = text_of(a_document(language=language, currency="EUR"))

    assert str(reader.root_object["/Lang"]) == "de"
    assert "Rechnung" in text
    assert "Zahlbetrag" in text
    assert "Date of issue" in text
    assert "EUR 1.299,00" in text
    assert "17.04.2026" in text


@pytest.mark.parametrize("language", ["de", "zh-hant", "../../etc", "", "xx_YY", "en-GB"])
def test_without_a_catalogue_it_is_english(language: str) -> None:
    assert words_of(language)["title"] == "Invoice"
    assert "Invoice" in text_of(a_document(language=language))


def test_200_lines_keep_their_head_on_every_page_and_say_which_page_of_how_many() -> None:
    lines = [a_line(minor=100 + n, detail=f"app-{n:03}", working="x" * 60) for n in range(200)]
    document = a_document(lines=lines, language="en")

    pages = pages_of(render_invoice(document=document))

    assert len(pages) > 5
    for number, page in enumerate(pages, start=1):
        assert f"Page {number} of {len(pages)}" in page
    assert all("Unit price" in page for page in pages[:-1])
    assert all(sum(f"app-{n:03} " in page for page in pages) == 1 for n in range(200))
    assert "Amount due" in pages[-1]


def test_characters_that_no_font_draws_do_not_stop_an_invoice() -> None:
    text = text_of(a_document(buyer=Party(name="Chat 😀 ไทย 公司")))

    assert "公司" in text
    assert "INV-2026-000001" in text


def test_an_app_key_of_100_characters_stays_in_its_column() -> None:
    narrow = preview_pages(document=a_document(lines=[a_line(detail="k" * 100)]))
    text = text_of(a_document(lines=[a_line(detail="k" * 100)]))

    assert len(narrow) == 1
    assert "k" * 100 in text


@pytest.mark.parametrize(
    ("minor", "currency", "shown"),
    [
        (129900, "CNY", "CNY 1,299.00"),
        (1299, "JPY", "JPY 1,299"),
        (1299, "KWD", "KWD 1.299"),
        (-50, "EUR", "EUR −0.50"),
        (2**63 - 1, "CNY", "CNY 92,233,720,368,547,758.07"),
    ],
)
def test_amounts_have_the_currencys_own_decimals(minor: int, currency: str, shown: str) -> None:
    assert money_text(Money(minor, currency), language="en") == shown
    assert shown in text_of(
        a_document(lines=[a_line(minor=minor, currency=currency)], currency=currency, language="en")
    )


def test_a_unit_price_shows_all_its_decimals() -> None:
    assert unit_price_text(Decimal("0.000125"), currency="CNY", language="en") == "0.000125"
    assert unit_price_text(Decimal("5"), currency="CNY", language="en") == "5.00"
    assert unit_price_text(Decimal("1E+3"), currency="JPY", language="en") == "1,000"


def test_a_period_over_new_year_names_both_years() -> None:
    first, last = date(2025, 12, 16), date(2026, 1, 15)

    assert days_text(first, last, language="en") == "Dec 16, 2025 to Jan 15, 2026"
    assert days_text(first, last, language="zh-hans") == "2025年12月16日至2026年1月15日"
    assert days_text(first, first, language="en") == "Dec 16, 2025"


def test_hidden_and_reversing_characters_are_not_printed() -> None:
    assert literal("a\u202eb\u200bc\x00d\x1b") == "abc\ufffdd\ufffd"
    assert literal("x\ny\tz") == "x\ny z"


def test_a_document_that_does_not_add_up_is_refused() -> None:
    with pytest.raises(Invalid) as refused:
        a_document(total=Money(1, "CNY"), due=Money(1, "CNY"))

    assert refused.value.code == "document_does_not_add_up"
    assert "total" in refused.value.message


EXPLAINED = {
    "aggregation": {
        "name": "max_day",
        "value": "15000",
        "decided_by": ["2026-03-05"],
    },
    "included": "10000",
    "quantity": "5000",
    "lines": [
        {"tier": "1", "quantity": "1", "unit_price": "1000", "flat_fee": "0", "amount": "1000"}
    ],
    "proration": "1",
    "prorated": False,
}


def test_the_working_is_told_in_a_sentence() -> None:
    assert working_text(kind="usage", explanation=EXPLAINED, language="en") == (
        "Highest day 15,000 on Mar 5, 2026; 10,000 included; 5,000 charged: 1 × 1,000"
    )
    assert working_text(kind="usage", explanation=EXPLAINED, language="zh-hans") == (
        "单日最高 15,000（2026年3月5日）；含 10,000；计费 5,000：1 × 1,000"
    )


def test_a_part_of_the_period_is_told_and_a_whole_one_is_not() -> None:
    part = {"prorated": True, "proration": "17/31"}
    whole = {"prorated": True, "proration": "31/31"}

    assert working_text(kind="recurring", explanation=part, language="en") == "17/31 of the period"
    assert working_text(kind="recurring", explanation=whole, language="en") == ""


def test_a_free_tier_is_told_so_that_the_quantities_add_up() -> None:
    tiers = [("1000", "0", "0"), ("73", "0.001", "0"), ("0", "0", "1")]
    explanation = EXPLAINED | {
        "quantity": "1073",
        "lines": [
            {"quantity": quantity, "unit_price": price, "flat_fee": fee}
            for quantity, price, fee in tiers
        ],
    }

    text = working_text(kind="usage", explanation=explanation, language="en")

    assert text.endswith("1,073 charged: 1,000 × 0 + 73 × 0.001 + 1")


def test_an_explanation_that_lacks_something_still_gives_a_document() -> None:
    for key in EXPLAINED:
        rest = {name: value for name, value in EXPLAINED.items() if name != key}
        assert isinstance(working_text(kind="usage", explanation=rest, language="en"), str)
    assert working_text(kind="recurring", explanation={}, language="en") == ""


@pytest.mark.parametrize("aggregation", [*PeriodAggregation, *EventPeriodAggregation])
def test_every_way_to_a_quantity_has_words_in_both_languages(aggregation: str) -> None:
    english, chinese = (words_of(language)[aggregation] for language in ("en", "zh-hans"))
    assert english != chinese
    assert "{value}" in english
    assert "{value}" in chinese


IBAN = "DE89370400440532013000"


def a_transfer(**changes: Any) -> Transfer | None:
    fields: dict[str, Any] = {
        "name": "Summit Cloud GmbH",
        "account": "DE89 3704 0044 0532 0130 00",
        "bank": "COBADEFFXXX",
        "amount": Money(129900, "EUR"),
        "reference": "INV-2026-000001",
    }
    return transfer_for(**(fields | changes))


def codes_on(pages: list[bytes]) -> list[str]:
    """What a reader of such codes reads on the pages."""
    images = [Image.open(io.BytesIO(page)) for page in pages]
    return [code.text for image in images for code in zxingcpp.read_barcodes(image)]


def test_an_invoice_in_euros_has_the_code_that_banking_apps_read() -> None:
    document = a_document(currency="EUR", language="en", transfer=a_transfer())

    (said,) = codes_on(preview_pages(document=document, dots_per_inch=200))

    # EPC069-12: service tag, version, character set, identification; then BIC, name, account, amount.
    assert said.splitlines() == [
        *("BCD", "002", "1", "SCT", "COBADEFFXXX", "Summit Cloud GmbH", IBAN, "EUR1299"),
        *("", "", "INV-2026-000001"),
    ]
    content = render_invoice(document=document)
    assert b"<pdfuaid:part>1</pdfuaid:part>" in content
    assert "/Figure" in kinds_of_structure(PdfReader(io.BytesIO(content)))
    assert "Scan it with your banking app" in text_of(document)


def test_a_bank_without_bic_and_a_long_name_fit_the_code() -> None:
    transfer = a_transfer(name="Gesellschaft für Übertragung " * 4, bank="")
    assert transfer is not None
    document = a_document(currency="EUR", transfer=transfer)
    (said,) = codes_on(preview_pages(document=document, dots_per_inch=200))
    assert said.splitlines()[4] == ""
    assert 60 < len(said.splitlines()[5]) <= 70


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": Money(129900, "CNY")},
        {"amount": Money(0, "EUR")},
        {"amount": Money(100_000_000_000, "EUR")},
        {"account": "DE89370400440532013001"},
        {"account": "3100 6600 1234"},
        {"account": ""},
        {"name": " "},
    ],
)
def test_nothing_else_gets_a_code(changes: dict[str, Any]) -> None:
    assert a_transfer(**changes) is None
    assert codes_on(preview_pages(document=a_document(), dots_per_inch=200)) == []
