"""What a fapiao may say: identifiers, lengths, amounts, and what the tax platform would refuse."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.fapiao.domain.composing import TaxedAmount, fapiao_lines, split_gross
from billing.fapiao.domain.content import (
    FapiaoContent,
    FapiaoLine,
    FapiaoProduct,
    FapiaoSeller,
    FapiaoTitle,
)
from billing.fapiao.domain.identifiers import (
    check_character,
    gbk_length,
    is_credit_code,
    is_tax_id,
)
from billing.fapiao.domain.states import BuyerType, FapiaoKind, FapiaoState, may_follow
from billing.fapiao.domain.validation import FapiaoFaults, content_faults, refuse_faults
from billing.taxes.domain.rules import TaxCode
from kernel.errors import Conflict

CODE = "91350100M000100Y43"
"""The example of GB 32100-2015."""
SMS = FapiaoProduct(name="*电信服务*短信服务费", code="3030200000000000000", unit="项")
CHAT = FapiaoProduct(name="*信息技术服务*即时通讯服务费", code="3040203000000000000", unit="项")
TITLE = FapiaoTitle(
    name="杭州清禾科技有限公司",
    tax_id=CODE,
    kind=FapiaoKind.SPECIAL,
    address="杭州市西湖区文三路1号",
    phone="0571-88888888",
    bank="中国银行杭州分行",
    bank_account="6222000000000000",
    email="finance@qinghe.example",
)
CONTENT = FapiaoContent(
    seller=FapiaoSeller(name="即讯云（北京）科技有限公司", tax_id=CODE),
    title=TITLE,
    lines=(FapiaoLine(product=CHAT, rate_percent=Decimal(6), net=471698, tax=28302),),
    remark="INV-2026-000001",
)


def codes(content: FapiaoContent) -> list[tuple[str, str]]:
    return [(fault.path, fault.code) for fault in content_faults(content)]


def titled(**changes: object) -> FapiaoContent:
    return replace(CONTENT, title=replace(TITLE, **changes))  # type: ignore[arg-type]  # as given


def lined(**changes: object) -> FapiaoContent:
    return replace(CONTENT, lines=(replace(CONTENT.lines[0], **changes),))  # type: ignore[arg-type]  # as given


@pytest.mark.parametrize(
    ("code", "is_right"),
    [
        (CODE, True),
        ("91350100M000100Y44", False),  # the check character of another
        ("91350100M000100Y4", False),  # 17 characters
        ("91350100M000100Y4I", False),  # I is none of the alphabet
        ("91350100m000100y43", False),  # small letters
        ("9135O100M000100Y43", False),  # O for 0
        ("19350100M000100Y43", False),  # two characters exchanged
        ("９1350100M000100Y43", False),  # a wide digit
    ],
)
def test_unified_social_credit_codes(code: str, *, is_right: bool) -> None:
    assert is_credit_code(code) is is_right


def test_each_single_wrong_character_of_a_credit_code_is_found() -> None:
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    assert check_character(CODE[:17]) == CODE[17]
    wrong = {
        CODE[:place] + other + CODE[place + 1 :]
        for place in range(18)
        for other in alphabet
        if other != CODE[place]
    }
    assert len(wrong) == 18 * 30
    assert not any(map(is_credit_code, wrong))


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("110108000000001", True),  # 15 digits, as before the credit codes
        ("1101080000000012345X", True),  # 20
        ("11010800000000", False),  # 14
        ("110108000000001234567", False),  # 21
        ("11010800000000a", False),
        ("110108 00000000", False),
        ("", False),
        ("91350100M000100Y44", False),  # 18 that are no credit code
    ],
)
def test_tax_ids_of_organisations(text: str, *, is_right: bool) -> None:
    assert is_tax_id(text) is is_right


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("", 0),
        ("abc", 3),
        ("中文", 4),
        ("中a", 3),
        ("（）", 4),
        ("😀", None),
        ("ü", 2),
        ("ẅ", None),
    ],
)
def test_length_in_gbk(text: str, length: int | None) -> None:
    assert gbk_length(text) == length


def test_a_right_request_has_no_faults_and_reads_back() -> None:
    assert codes(CONTENT) == []
    refuse_faults(CONTENT)
    document = CONTENT.document
    assert (document["net"], document["tax"], document["total"]) == (
        "4716.98",
        "283.02",
        "5000.00",
    )
    assert FapiaoContent.read(document) == CONTENT


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (titled(name=""), ("buyer.name", "missing")),
        (titled(name="  "), ("buyer.name", "missing")),
        (titled(name=" 清禾"), ("buyer.name", "spaces_around")),
        (titled(name="清禾 "), ("buyer.name", "spaces_around")),
        (titled(name="<清禾"), ("buyer.name", "forbidden_character")),
        (titled(name="清>禾"), ("buyer.name", "forbidden_character")),
        (titled(name="清\n禾"), ("buyer.name", "forbidden_character")),
        (titled(name="清\0禾"), ("buyer.name", "forbidden_character")),
        (titled(name="清\u202e禾"), ("buyer.name", "forbidden_character")),
        (titled(name="禾" * 51), ("buyer.name", "too_long")),
        (titled(name="a" * 101), ("buyer.name", "too_long")),
        (titled(name="清禾😀"), ("buyer.name", "not_in_gbk")),
        (titled(tax_id=""), ("buyer.tax_id", "missing")),
        (titled(tax_id="91350100M000100Y44"), ("buyer.tax_id", "bad_tax_id")),
        (titled(tax_id="9135 0100M000100Y43"), ("buyer.tax_id", "bad_tax_id")),
        (titled(tax_id="1234"), ("buyer.tax_id", "bad_tax_id")),
        (titled(tax_id="9" * 21), ("buyer.tax_id", "bad_tax_id")),
        (titled(tax_id=CODE.lower()), ("buyer.tax_id", "bad_tax_id")),
        (titled(buyer_type=BuyerType.PERSON), ("buyer.type", "special_for_person")),
        (titled(address="路" * 51), ("buyer.address", "too_long")),
        (titled(address=" "), ("buyer.address", "blank")),
        (titled(address="a<b"), ("buyer.address", "forbidden_character")),
        (titled(phone="1" * 101), ("buyer.phone", "too_long")),
        (titled(phone="\t1"), ("buyer.phone", "spaces_around")),
        (titled(bank=""), ("buyer.bank", "half_a_bank")),
        (titled(bank_account=""), ("buyer.bank", "half_a_bank")),
        (titled(bank="行" * 51), ("buyer.bank", "too_long")),
        (titled(bank_account="6" * 101), ("buyer.bank_account", "too_long")),
        (titled(email="finance"), ("buyer.email", "bad_email")),
        (titled(email="a b@c"), ("buyer.email", "bad_email")),
        (lined(product=replace(CHAT, name="")), ("lines[0].name", "missing")),
        (lined(product=replace(CHAT, name="费" * 47)), ("lines[0].name", "too_long")),
        (lined(product=replace(CHAT, name="a>b")), ("lines[0].name", "forbidden_character")),
        (lined(product=replace(CHAT, code="")), ("lines[0].code", "bad_product_code")),
        (lined(product=replace(CHAT, code="3" * 18)), ("lines[0].code", "bad_product_code")),
        (lined(product=replace(CHAT, code="3" * 20)), ("lines[0].code", "bad_product_code")),
        (lined(product=replace(CHAT, code="A" * 19)), ("lines[0].code", "bad_product_code")),
        (lined(product=replace(CHAT, unit="项" * 11)), ("lines[0].unit", "too_long")),
        (
            lined(product=replace(CHAT, specification="型" * 21)),
            ("lines[0].specification", "too_long"),
        ),
        (lined(rate_percent=Decimal(7), tax=33019), ("lines[0].rate_percent", "unknown_rate")),
        (lined(rate_percent=Decimal("6.5"), tax=30660), ("lines[0].rate_percent", "unknown_rate")),
        (lined(rate_percent=Decimal(0), tax=0), ("lines[0].rate_percent", "zero_without_reason")),
        (lined(net=0, tax=0), ("lines[0].net", "not_positive")),
        (lined(net=-100, tax=-6), ("lines[0].net", "not_positive")),
        (lined(tax=28304), ("lines[0].tax", "tax_differs")),
        (lined(tax=28300), ("lines[0].tax", "tax_differs")),
        (lined(tax=0), ("lines[0].tax", "tax_differs")),
        (replace(CONTENT, lines=()), ("lines", "no_lines")),
        (replace(CONTENT, lines=[*CONTENT.lines] * 2001), ("lines", "too_many_lines")),
        (replace(CONTENT, remark="注" * 101), ("remark", "too_long")),
        (replace(CONTENT, remark="<b>"), ("remark", "forbidden_character")),
        (replace(CONTENT, of_number="1234"), ("of_number", "not_a_fapiao_number")),
        (replace(CONTENT, of_number="1" * 21), ("of_number", "not_a_fapiao_number")),
        (
            replace(CONTENT, seller=FapiaoSeller(name="", tax_id=CODE)),
            ("seller.name", "missing"),
        ),
        (
            replace(CONTENT, seller=FapiaoSeller(name="即讯云", tax_id="DE123456789")),
            ("seller.tax_id", "bad_tax_id"),
        ),
    ],
)
def test_what_the_platform_would_refuse(content: FapiaoContent, fault: tuple[str, str]) -> None:
    assert codes(content) == [fault]
    with pytest.raises(FapiaoFaults) as refused:
        refuse_faults(content)
    assert refused.value.code == "invalid_fapiao"
    assert refused.value.field == fault[0]


@pytest.mark.parametrize(
    "content",
    [
        titled(name="禾" * 50),
        titled(name="a" * 100),
        titled(kind=FapiaoKind.ORDINARY, buyer_type=BuyerType.PERSON, name="王芳", tax_id=""),
        titled(address="", phone="", bank="", bank_account="", email=""),
        lined(tax=28301),  # 0.01 off, as of a document whose tax was rounded once a rate
        lined(rate_percent=Decimal(0), tax=0, is_preferential=True),
        replace(CONTENT, of_number="2" * 20),
        replace(CONTENT, remark=""),
    ],
)
def test_what_the_platform_takes(content: FapiaoContent) -> None:
    assert codes(content) == []


def test_all_faults_are_told_at_once() -> None:
    content = replace(titled(name="", tax_id="1", email="x"), remark="<")
    assert codes(content) == [
        ("buyer.name", "missing"),
        ("buyer.tax_id", "bad_tax_id"),
        ("buyer.email", "bad_email"),
        ("remark", "forbidden_character"),
    ]


@pytest.mark.parametrize("rate", ["1", "3", "6", "9", "13"])
def test_gross_is_split_to_the_fen(rate: str) -> None:
    """20,000 gross amounts at each rate: they sum, and the tax is net × rate within 0.01."""
    percent = Decimal(rate)
    for gross in (*range(1, 10_001), *range(1_000_003, 9_999_999, 900)):
        net, tax = split_gross(gross, rate_percent=percent)
        assert net + tax == gross
        assert abs(tax - Fraction(net) * Fraction(percent) / 100) <= 1
    assert split_gross(500_000, rate_percent=Decimal(6)) == (471_698, 28_302)


def amount(
    net: int, tax: int, *, rate: int = 6, category: str = "im", **more: object
) -> TaxedAmount:
    return TaxedAmount(
        category=category,
        code=TaxCode.STANDARD,
        rate_percent=Decimal(rate),
        net=net,
        tax=tax,
    )


def test_lines_are_netted_by_product_and_rate() -> None:
    lines = fapiao_lines(
        [
            amount(100_000, 6_000),
            amount(-40_000, -2_400),
            amount(1_000, 90, rate=9, category="sms"),
            amount(500, 45, rate=9, category="sms"),
            amount(0, 0, rate=13),
        ],
        products={"": CHAT, "sms": SMS},
    )
    assert [(each.product, each.rate_percent, each.net, each.tax) for each in lines] == [
        (CHAT, Decimal(6), 60_000, 3_600),
        (SMS, Decimal(9), 1_500, 135),
    ]


@pytest.mark.parametrize(
    ("amounts", "products", "code"),
    [
        ([amount(100, 6)], {"sms": SMS}, "no_fapiao_product"),
        ([amount(100, 6), amount(-101, -6)], {"": CHAT}, "fapiao_below_zero"),
        (
            [TaxedAmount(category="", code=TaxCode.NONE, rate_percent=Decimal(0), net=5, tax=0)],
            {"": CHAT},
            "fapiao_untaxed",
        ),
    ],
)
def test_amounts_that_no_fapiao_can_say(
    amounts: list[TaxedAmount], products: dict[str, FapiaoProduct], code: str
) -> None:
    with pytest.raises(Conflict) as refused:
        fapiao_lines(amounts, products=products)
    assert refused.value.code == code


def test_states_only_go_forward() -> None:
    ways = {
        (one.value, other.value)
        for one in FapiaoState
        for other in FapiaoState
        if may_follow(one, other)
    }
    assert ways == {
        ("requested", "submitted"),
        ("requested", "failed"),
        ("submitted", "confirmed"),
        ("submitted", "issued"),
        ("submitted", "failed"),
        ("confirmed", "issued"),
        ("confirmed", "failed"),
    }
