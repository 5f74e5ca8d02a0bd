"""Amounts in six languages and four currencies, held against what was read and agreed once."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from kernel.currencies import exponent
from kernel.money import Money
from ui.formats import money_text

GOLDEN = json.loads((Path(__file__).parent / "golden_money.json").read_text())
CASES = [
    (language, amount, shown)
    for language, amounts in GOLDEN.items()
    for amount, shown in amounts.items()
]


@pytest.mark.parametrize(("language", "amount", "shown"), CASES)
def test_an_amount_reads_as_the_language_writes_it(language: str, amount: str, shown: str) -> None:
    """With the currency's own decimals (none for yen, three for dinars), and below zero with a minus sign."""
    number, currency = amount.split()
    value = Money(int(Decimal(number).scaleb(exponent(currency))), currency)
    assert money_text(value, language=language) == shown


def test_all_languages_and_currencies_are_there_below_zero_too() -> None:
    assert set(GOLDEN) == {"zh-hans", "en", "de", "fr", "ja", "ar"}
    for amounts in GOLDEN.values():
        found = {(each.split()[1], each.startswith("-")) for each in amounts}
        assert found == {(code, low) for code in ("CNY", "EUR", "JPY", "KWD") for low in (0, 1)}


def test_a_language_that_nobody_knows_is_written_in_english() -> None:
    assert money_text(Money(-1234, "EUR"), language="xx-none") == "−€12.34"
