"""Identifiers of taxpayers and products, and how long a text is for the tax platform. Pure."""

import re
from typing import Final

_ALPHABET: Final = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""The characters of a unified social credit code: neither I nor O, S, V, Z (GB 32100-2015)."""
_WEIGHTS: Final = tuple(3**place % 31 for place in range(17))
_CREDIT_CODE: Final = re.compile(f"[{_ALPHABET}]{{18}}")
_TAX_ID: Final = re.compile(r"[0-9A-Z]{15,20}")
_PRODUCT_CODE: Final = re.compile(r"[0-9]{19}")
_FAPIAO_NUMBER: Final = re.compile(r"[0-9]{20}")

_CREDIT_CODE_LENGTH: Final = 18


def check_character(first_17: str) -> str:
    """The 18th character of a unified social credit code (GB 32100-2015, modulus 31)."""
    total = sum(
        _ALPHABET.index(character) * weight
        for character, weight in zip(first_17, _WEIGHTS, strict=True)
    )
    return _ALPHABET[-total % 31]


def is_credit_code(text: str) -> bool:
    """Whether a text is a unified social credit code with the right check character."""
    return bool(_CREDIT_CODE.fullmatch(text)) and check_character(text[:17]) == text[17]


def is_tax_id(text: str) -> bool:
    """Whether an organisation may have that tax id: 15 to 20 digits and capitals, and of 18 a unified
    social credit code."""
    if not _TAX_ID.fullmatch(text):
        return False
    return len(text) != _CREDIT_CODE_LENGTH or is_credit_code(text)


def is_product_code(text: str) -> bool:
    """Whether a text may be a tax classification code of goods and services: 19 digits."""
    return bool(_PRODUCT_CODE.fullmatch(text))


def is_fapiao_number(text: str) -> bool:
    """Whether a text may be the number of a digital fapiao: 20 digits, without a code beside it."""
    return bool(_FAPIAO_NUMBER.fullmatch(text))


def gbk_length(text: str) -> int | None:
    """How many bytes a text takes for the platform: two for a Chinese character. None: it can't be
    written there, as an emoji can't."""
    try:
        return len(text.encode("gbk"))
    except UnicodeEncodeError:
        return None
