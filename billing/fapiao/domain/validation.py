"""What the tax platform would refuse, found before it is asked. Pure.

Lengths differ between providers of the platform, so they are values; those here are the shortest seen.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

from billing.catalog.domain.faults import Fault, PlanFaults
from billing.fapiao.domain.content import (
    FapiaoContent,
    FapiaoLine,
    FapiaoProduct,
    FapiaoSeller,
    FapiaoTitle,
)
from billing.fapiao.domain.identifiers import (
    gbk_length,
    is_fapiao_number,
    is_product_code,
    is_tax_id,
)
from billing.fapiao.domain.states import BuyerType, FapiaoKind


@dataclass(frozen=True, slots=True, kw_only=True)
class FapiaoLimits:
    """How many bytes of GBK a text may have, and how many lines a fapiao."""

    name: int = 100
    contact: int = 100
    product: int = 92
    unit: int = 20
    specification: int = 40
    remark: int = 200
    lines: int = 2000


LIMITS: Final = FapiaoLimits()
RATES: Final = frozenset(map(Decimal, ("0", "1", "3", "5", "6", "9", "13")))
"""The rates of value added tax that a fapiao may name, in percent."""
_ONE_FEN: Final = 1
_FORBIDDEN: Final = frozenset("<>")


class FapiaoFaults(PlanFaults):
    """The request is refused as a whole, with every fault; code `invalid_fapiao`."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults, code="invalid_fapiao")


def refuse_faults(content: FapiaoContent, *, limits: FapiaoLimits = LIMITS) -> None:
    """Raises FapiaoFaults with all that the platform would refuse."""
    faults = list(content_faults(content, limits=limits))
    if faults:
        raise FapiaoFaults(faults)


def content_faults(content: FapiaoContent, *, limits: FapiaoLimits = LIMITS) -> Iterator[Fault]:
    """All faults of a request, in its order."""
    yield from _seller_faults(content.seller, limits)
    yield from title_faults(content.title, limits=limits)
    if not content.lines:
        yield _fault("lines", "no_lines", "nothing is left to issue a fapiao for.")
    if len(content.lines) > limits.lines:
        yield _fault(
            "lines", "too_many_lines", f"are more than {limits.lines}; split the document."
        )
    for place, line in enumerate(content.lines):
        yield from _line_faults(f"lines[{place}]", line, limits)
    yield from _text_faults("remark", content.remark, limits.remark, needed=False)
    if content.of_number and not is_fapiao_number(content.of_number):
        yield _fault("of_number", "not_a_fapiao_number", "is not a number of 20 digits.")


def title_faults(title: FapiaoTitle, *, limits: FapiaoLimits = LIMITS) -> Iterator[Fault]:
    """The faults of for whom it is issued."""
    yield from _text_faults("buyer.name", title.name, limits.name, needed=True)
    is_organisation = title.buyer_type is BuyerType.ORGANISATION
    if title.kind is FapiaoKind.SPECIAL and not is_organisation:
        yield _fault(
            "buyer.type",
            "special_for_person",
            "is a person, who can't deduct tax; ask for an ordinary fapiao.",
        )
    if title.tax_id:
        if is_organisation and not is_tax_id(title.tax_id):
            yield _fault(
                "buyer.tax_id",
                "bad_tax_id",
                "is not 15 to 20 digits and capitals, or its check character is wrong; "
                "compare it with the business licence.",
            )
        elif not is_organisation:
            yield from _text_faults("buyer.tax_id", title.tax_id, 20, needed=False)
    elif is_organisation:
        yield _fault("buyer.tax_id", "missing", "is missing; an organisation has one: give it.")
    for name in ("address", "phone", "bank", "bank_account"):
        text = getattr(title, name)
        yield from _text_faults(f"buyer.{name}", text, limits.contact, needed=False)
    if bool(title.bank) != bool(title.bank_account):
        yield _fault(
            "buyer.bank", "half_a_bank", "and its account belong together; give both or neither."
        )
    if title.email and ("@" not in title.email or any(map(str.isspace, title.email))):
        yield _fault("buyer.email", "bad_email", "is not an e-mail address.")


def _seller_faults(seller: FapiaoSeller, limits: FapiaoLimits) -> Iterator[Fault]:
    yield from _text_faults("seller.name", seller.name, limits.name, needed=True)
    if not is_tax_id(seller.tax_id):
        yield _fault(
            "seller.tax_id",
            "bad_tax_id",
            "is not a tax id of China; set it with set_seller before fapiao are asked for.",
        )


def product_faults(
    path: str, product: FapiaoProduct, *, limits: FapiaoLimits = LIMITS
) -> Iterator[Fault]:
    """The faults of what is sold."""
    yield from _text_faults(f"{path}.name", product.name, limits.product, needed=True)
    if not is_product_code(product.code):
        yield _fault(f"{path}.code", "bad_product_code", "is not a code of 19 digits.")
    yield from _text_faults(f"{path}.unit", product.unit, limits.unit, needed=False)
    yield from _text_faults(
        f"{path}.specification", product.specification, limits.specification, needed=False
    )


def _line_faults(path: str, line: FapiaoLine, limits: FapiaoLimits) -> Iterator[Fault]:
    yield from product_faults(path, line.product, limits=limits)
    if line.rate_percent not in RATES:
        shown = ", ".join(f"{rate:f}" for rate in sorted(RATES))
        yield _fault(f"{path}.rate_percent", "unknown_rate", f"is none of {shown} percent.")
    if line.rate_percent == 0 and not line.is_preferential:
        yield _fault(
            f"{path}.rate_percent", "zero_without_reason", "is zero, but no preference says so."
        )
    if line.net <= 0:
        yield _fault(f"{path}.net", "not_positive", "is not above zero.")
    exact = Fraction(line.net) * Fraction(line.rate_percent) / 100
    if abs(line.tax - exact) > _ONE_FEN:
        yield _fault(
            f"{path}.tax",
            "tax_differs",
            "is more than 0.01 from net × rate; the platform refuses it.",
        )


def _text_faults(path: str, text: str, most: int, *, needed: bool) -> Iterator[Fault]:
    """The first fault of a text, if any."""
    if not text.strip():
        if needed:
            yield _fault(path, "missing", "is missing; give it.")
        elif text:
            yield _fault(path, "blank", "holds spaces only; leave it out.")
        return
    length = gbk_length(text)
    if text != text.strip():
        yield _fault(path, "spaces_around", "begins or ends with a space; remove it.")
    elif any(character in _FORBIDDEN or not character.isprintable() for character in text):
        yield _fault(path, "forbidden_character", "has one of < and >, or a control character.")
    elif length is None:
        yield _fault(
            path, "not_in_gbk", "has a character that the platform can't write; replace it."
        )
    elif length > most:
        yield _fault(
            path,
            "too_long",
            f"takes {length} bytes (two a Chinese character), of {most}; shorten it.",
        )


def _fault(path: str, code: str, message: str) -> Fault:
    return Fault(path=path, code=code, message=f"{path} {message}")
