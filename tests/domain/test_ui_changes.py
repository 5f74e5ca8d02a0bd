"""The sums of a previewed document, and the marks by which a person agrees to what was seen."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from kernel.money import Money
from kernel.period import Period
from ui.changes import asked_id, form_token, seen_mark, shown_document

JUNE = Period(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))


def a_line(amount: str, tax: str = "0") -> Any:
    return SimpleNamespace(
        position=1,
        key="base",
        kind="recurring",
        timing="in_advance",
        app_key="",
        quantity=Decimal(1),
        unit_price=None,
        amount=Money.of(amount, "CNY"),
        tax=Money.of(tax, "CNY"),
        period=JUNE,
        plan_key="pro",
        plan_version=1,
        plan_effective_from=None,
        explanation={},
        description="",
        discount=Money.zero("CNY"),
        tax_terms=None,
    )


@dataclass
class Document:
    lines: list[Any]
    total: Money
    is_credit_note: bool = False
    issued_at: datetime = JUNE.starts_at
    timezone: str = "UTC"
    period: Period = field(default=JUNE)


def cny(text: str) -> Money:
    return Money.of(text, "CNY")


def test_an_invoices_sums_come_to_its_total() -> None:
    """100 charged, 30 credited, 5 off by a discount, 3.90 tax: 68.90."""
    shown = shown_document(
        Document(lines=[a_line("-30", "-1.80"), a_line("100", "5.70")], total=cny("68.90"))
    )
    sums = (shown.credited, shown.charged, shown.discount, shown.tax)
    assert sums == (cny("30"), cny("100"), cny("5"), cny("3.90"))


def test_a_credit_note_is_told_in_the_tenants_favour() -> None:
    shown = shown_document(
        Document(
            lines=[a_line("80", "4.80"), a_line("-30", "-1.80")],
            total=cny("53"),
            is_credit_note=True,
        )
    )
    sums = (shown.credited, shown.charged, shown.discount, shown.tax)
    assert sums == (cny("80"), cny("30"), cny("0"), cny("3"))


@pytest.mark.parametrize(
    "other",
    [
        Document(lines=[a_line("100")], total=cny("100.01")),
        Document(lines=[a_line("99")], total=cny("100")),
        Document(lines=[a_line("100")], total=cny("100"), is_credit_note=True),
        Document(lines=[a_line("100"), a_line("0")], total=cny("100")),
    ],
)
def test_other_amounts_have_another_mark(other: Document) -> None:
    seen = Document(lines=[a_line("100")], total=cny("100"))
    assert seen_mark([seen]) == seen_mark([Document(lines=[a_line("100")], total=cny("100"))])
    assert seen_mark([seen]) != seen_mark([other])


def test_a_form_asks_under_its_own_id_for_its_own_subscription_only() -> None:
    change, subscription = uuid4(), uuid4()
    token = form_token(change, of=subscription)
    assert asked_id(token, of=subscription) == change
    assert asked_id(token, of=uuid4()) is None
    for forged in ("", str(change), f"{uuid4()}:{token.partition(':')[2]}", "x:y"):
        assert asked_id(forged, of=subscription) is None
