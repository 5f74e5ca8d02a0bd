"""The printed credit note, from values to pages."""

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pypdf import PdfReader

from billing.invoicing.documents import (
    CorrectedInvoice,
    CreditNoteDocument,
    DocumentLine,
    Party,
    TaxLine,
    render_credit_note,
)
from billing.invoicing.documents.credit_note import credit_note_texts
from kernel.errors import Invalid
from kernel.money import Money


def cny(amount: str) -> Money:
    return Money.of(amount, "CNY")


def a_line(amount: str = "100.00", **changes: Any) -> DocumentLine:
    line = DocumentLine(
        description="专业版 · base",
        quantity=None,
        unit_price=None,
        amount=cny(amount),
        first_day=date(2026, 3, 1),
        last_day=date(2026, 3, 31),
    )
    return replace(line, **changes)


def a_note(*, lines: Sequence[DocumentLine] = (), **changes: Any) -> CreditNoteDocument:
    fields: dict[str, Any] = {
        "number": "CN-INV-2026-000001",
        "language": "en",
        "zone": "Asia/Shanghai",
        "seller": Party(name="Summit Cloud 云通讯", address="8 Harbour Road"),
        "buyer": Party(name="北京云枢信息技术有限公司", country="CN", tax_id="91350100M000100Y43"),
        "issued_at": datetime(2026, 4, 2, 1, tzinfo=UTC),
        "issued_on": date(2026, 4, 2),
        "first_day": date(2026, 3, 1),
        "last_day": date(2026, 3, 31),
        "currency": "CNY",
        "corrects": CorrectedInvoice(number="INV-2026-000042", issued_on=date(2026, 3, 5)),
        "reason": "Outage on 7 March",
        "lines": lines or [a_line()],
        "taxes": [
            TaxLine(rate_percent=Decimal(6), taxable=cny("60.00"), tax=cny("3.60")),
            TaxLine(rate_percent=Decimal(13), taxable=cny("40.00"), tax=cny("5.20")),
        ],
        "tax": cny("8.80"),
        "total": cny("108.80"),
        "to_receivable": cny("58.80"),
        "to_balance": cny("50.00"),
    }
    return CreditNoteDocument(**(fields | changes))


def text_of(document: CreditNoteDocument) -> str:
    """Its text without blanks, as breaks depend on the width of columns."""
    reader = PdfReader(io.BytesIO(render_credit_note(document=document)))
    told = "".join(page.extract_text() for page in reader.pages)
    return "".join(told.split())


def test_it_names_the_invoice_the_reason_and_what_becomes_of_it() -> None:
    text = text_of(a_note())

    for said in (
        "Credit note",
        "CN-INV-2026-000001",
        "INV-2026-000042",
        "Mar 5, 2026",
        "Reason: Outage on 7 March",
        "91350100M000100Y43",
        "6%60.003.60",
        "13%40.005.20",
        "CNY 108.80",
        "CNY 58.80 comes off what is owed on invoice INV-2026-000042.",
        "CNY 50.00 goes to your balance.",
    ):
        assert said.replace(" ", "") in text
    # What it gives is told as an amount above zero, and nobody is asked to pay.
    assert "−" not in text
    for unsaid in ("Unit price", "Quantity", "Please pay", "How to pay", "Amount due", "Due date"):
        assert unsaid.replace(" ", "") not in text


def test_it_is_for_the_archive_and_for_screen_readers() -> None:
    content = render_credit_note(document=a_note(language="zh-hans"))
    reader = PdfReader(io.BytesIO(content))

    assert reader.metadata is not None
    assert reader.metadata.title == "贷记单 CN-INV-2026-000001"
    assert reader.root_object["/MarkInfo"]["/Marked"]  # type: ignore[index]  # a dictionary
    assert b"<pdfaid:part>2</pdfaid:part>" in content
    assert b"<pdfuaid:part>1</pdfuaid:part>" in content
    assert content == render_credit_note(document=a_note(language="zh-hans"))


def test_what_corrects_no_invoice_names_none() -> None:
    told = credit_note_texts(
        a_note(corrects=None, to_receivable=cny("0"), to_balance=cny("108.80"))
    )
    assert all("INV-2026" not in value for _, value in told["facts"][1:])
    assert told["payment"][0] == "CNY 108.80 goes to your balance."


def test_a_charge_that_was_set_against_it_is_below_zero() -> None:
    lines = [a_line("150.00"), a_line("-50.00", description="<b>new</b> plan")]
    told = credit_note_texts(a_note(lines=lines))
    assert [line["amount"] for line in told["lines"]] == ["150.00", "−50.00"]
    assert "<b>new</b>plan" in text_of(a_note(lines=lines))


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        ("Late usage of periods that were billed before", "已开账单期间的迟到用量"),
        ("客户来电", "客户来电"),
    ],
)
def test_our_own_reasons_are_in_its_language_and_a_persons_stay(kept: str, said: str) -> None:
    assert f"原因：{said}" in credit_note_texts(a_note(language="zh-hans", reason=kept))["payment"]


@pytest.mark.parametrize(
    "changes",
    [
        {"total": cny("108.81")},
        {"tax": cny("8.81"), "total": cny("108.81")},
        {"to_balance": cny("49.99")},
    ],
)
def test_what_does_not_add_up_is_not_printed(changes: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as refused:
        a_note(**changes)
    assert refused.value.code == "document_does_not_add_up"
