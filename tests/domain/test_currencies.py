"""The table of currencies against ISO 4217."""

from datetime import date

import pytest

from kernel.currencies import current_codes, exponent, is_in_use
from kernel.errors import Invalid

# By hand from ISO 4217 list one: everything that doesn't have two decimals.
NOT_TWO = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}


def test_every_currency_in_use_has_its_decimals() -> None:
    expected = {code: decimals for decimals, codes in NOT_TWO.items() for code in codes.split()}
    for code in current_codes():
        assert exponent(code) == expected.pop(code, 2), code
    assert not expected


def test_the_table_is_whole() -> None:
    codes = current_codes()
    assert len(codes) == len(set(codes)) == 165
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in codes)
    assert {"CNY", "EUR", "USD", "XCG", "ZWG", "SLE", "VED"} <= set(codes)
    assert not {"BGN", "HRK", "ANG", "XAU", "XXX", "XTS", "XDR"} & set(codes)


@pytest.mark.parametrize("code", ["", "XXX", "XAU", "eur", "EURO", "€"])
def test_what_is_no_currency_is_refused(code: str) -> None:
    with pytest.raises(Invalid) as refused:
        exponent(code)
    assert refused.value.code == "unknown_currency"
    assert not is_in_use(code, on=date(2026, 1, 1))


def test_withdrawn_currencies_are_still_read() -> None:
    assert exponent("HRK") == 2
    assert exponent("BYR") == 0
    assert is_in_use("HRK", on=date(2023, 1, 14))
    assert not is_in_use("HRK", on=date(2023, 1, 15))
    assert is_in_use("EUR", on=date(2026, 11, 24))
