"""What is allowed by a plan and by what is held of it, and the decision at a limit."""

from decimal import Decimal
from typing import Any

import pytest

from billing.catalog.domain import PlanFaults, parse_plan
from billing.entitlements.domain import Denial, Granted, decide, granted_by
from billing.rating.terms import PriceTerms, QuotaKind
from metering.meters.domain import METERS


def plan(*prices: dict[str, Any], **entitlements: Any) -> dict[str, Any]:
    return {
        "key": "pro",
        "currency": "CNY",
        "entitlements": entitlements,
        "prices": [{"key": "base", "model": "flat", "amount": "10"}, *prices],
    }


def addon(key: str, **entitlements: Any) -> dict[str, Any]:
    return {
        "key": key,
        "model": "flat",
        "amount": "5",
        "addon": True,
        "entitlements": entitlements,
    }


def allowed(document: dict[str, Any], **held: str) -> dict[str, Granted]:
    terms = parse_plan(document, known_meters=METERS)

    def count(price: PriceTerms) -> Decimal:
        return Decimal(held.get(price.key.replace("-", "_"), 0 if price.addon else 1))

    return granted_by(terms, held=count)


def test_an_addon_that_is_not_held_allows_nothing() -> None:
    document = plan(addon("history", days={"limit": "180"}), days=7)
    assert allowed(document)["days"].value == Decimal(7)
    assert allowed(document, history="1")["days"].value == Decimal(180)


def test_of_several_limits_the_highest_holds_with_its_kind() -> None:
    document = plan(
        addon("more", size={"limit": "500", "kind": "soft"}),
        addon("less", size={"limit": "50", "kind": "grace"}),
        size={"limit": "100", "kind": "hard"},
    )
    assert (allowed(document)["size"].value, allowed(document)["size"].kind) == (
        Decimal(100),
        QuotaKind.HARD,
    )
    found = allowed(document, more="1", less="1")["size"]
    assert (found.value, found.kind) == (Decimal(500), QuotaKind.SOFT)
    assert [source.price_key for source in found.sources] == ["", "more", "less"]


def test_what_adds_counts_once_for_each_unit_held() -> None:
    document = plan(addon("pack", messages={"adds": "1000.5"}), messages=10)
    assert allowed(document, pack="3")["messages"].value == Decimal("3011.5")
    # 28 digits would round this.
    large = plan(addon("pack", messages={"adds": "999999999999.000000000001"}), messages=1)
    assert allowed(large, pack="1000000000001")["messages"].value == Decimal(
        "1000000000000000000000001.000000000001"
    )


def test_a_price_that_everybody_holds_allows_by_its_quantity() -> None:
    seats = {
        "key": "seats",
        "model": "per_unit",
        "unit_price": "9",
        "entitlements": {"seats": {"adds": "1"}},
    }
    assert allowed(plan(seats))["seats"].value == Decimal(1)
    assert allowed(plan(seats), seats="25")["seats"].value == Decimal(25)
    assert "seats" not in allowed(plan(seats), seats="0")


def test_included_anywhere_is_included_without_bounds() -> None:
    document = plan(addon("video", video=True), video=False)
    assert allowed(document)["video"].value is False
    assert allowed(document, video="1")["video"].value is True
    bounded = plan(addon("all", storage=True), storage=5)
    assert (
        allowed(bounded, all="1")["storage"].value,
        allowed(bounded, all="1")["storage"].kind,
    ) == (True, None)


def test_of_several_texts_the_last_holds() -> None:
    document = plan(addon("phone", support="by telephone"), support="by mail")
    assert allowed(document, phone="1")["support"].value == "by telephone"


@pytest.mark.parametrize(
    ("document", "path", "code"),
    [
        (
            plan(
                {
                    "key": "dau",
                    "meter": "dau",
                    "period_aggregation": "max_day",
                    "model": "per_unit",
                    "unit_price": "1",
                    "entitlements": {"x": 1},
                }
            ),
            "prices[1].entitlements",
            "needs_held",
        ),
        (plan(addon("a", x="text"), x=5), "prices[1].entitlements.x", "mixed_entitlement"),
        (plan(addon("a", x=5), addon("b", x="t")), "prices[2].entitlements.x", "mixed_entitlement"),
        (
            plan(addon("a", x={"limit": 1, "adds": 1})),
            "prices[1].entitlements.x.limit",
            "limit_and_adds",
        ),
        (plan(x={"adds": 1}), "entitlements.x.limit", "missing"),
        (plan(addon("a", x={"adds": -1})), "prices[1].entitlements.x.adds", "negative"),
    ],
)
def test_refused_with_its_place(document: dict[str, Any], path: str, code: str) -> None:
    with pytest.raises(PlanFaults) as refusal:
        parse_plan(document, known_meters=METERS)
    assert (path, code) in [(fault.path, fault.code) for fault in refusal.value.faults]


def test_the_document_says_them_again() -> None:
    document = plan(addon("pack", messages={"adds": "1000"}, video=True), messages=10)
    terms = parse_plan(document, known_meters=METERS)
    again = parse_plan(terms.document, known_meters=METERS)
    assert again.content_hash == terms.content_hash
    assert terms.document["prices"][1]["entitlements"] == {  # type: ignore[index]  # plain JSON
        "messages": {"adds": "1000", "kind": "hard"},
        "video": True,
    }
    assert (
        parse_plan(
            plan(addon("pack", messages={"adds": "1000"}, video=False), messages=10),
            known_meters=METERS,
        ).content_hash
        != terms.content_hash
    )


def a_limit(kind: QuotaKind, value: str = "100") -> Granted:
    return Granted(feature="x", value=Decimal(value), kind=kind, sources=())


@pytest.mark.parametrize(
    ("kind", "used", "quantity", "was_over", "is_allowed", "denial", "left"),
    [
        # Within: the last unit is allowed.
        (QuotaKind.HARD, "99", "1", False, True, None, "1"),
        (QuotaKind.HARD, "100", "0", False, True, None, "0"),
        (QuotaKind.HARD, "100", "1", False, False, Denial.LIMIT_REACHED, "0"),
        (QuotaKind.HARD, "99.5", "0.500000000001", False, False, Denial.LIMIT_REACHED, "0.5"),
        (QuotaKind.HARD, "150", "0", False, False, Denial.LIMIT_REACHED, "0"),
        (QuotaKind.HARD, None, "100", False, True, None, None),
        (QuotaKind.HARD, None, "101", False, False, Denial.LIMIT_REACHED, None),
        (QuotaKind.SOFT, "100", "1", True, True, None, "0"),
        (QuotaKind.GRACE, "100", "1", False, True, None, "0"),
        (QuotaKind.GRACE, "100", "1", True, False, Denial.GRACE_OVER, "0"),
        (QuotaKind.GRACE, "99", "1", True, True, None, "1"),
    ],
)
def test_at_a_limit(
    kind: QuotaKind,
    used: str | None,
    quantity: str,
    was_over: bool,
    is_allowed: bool,
    denial: Denial | None,
    left: str | None,
) -> None:
    found = decide(
        a_limit(kind),
        quantity=Decimal(quantity),
        used=None if used is None else Decimal(used),
        was_over=was_over,
    )
    assert (found.is_allowed, found.denial) == (is_allowed, denial)
    assert found.left == (None if left is None else Decimal(left))
    assert found.is_over is (Decimal(used or 0) + Decimal(quantity) > 100)


def test_without_a_limit() -> None:
    def of(value: bool | str) -> Granted:
        return Granted(feature="x", value=value, kind=None, sources=())

    one = Decimal(1)
    assert decide(None, quantity=one, used=None).denial is Denial.NOT_GRANTED
    assert decide(of(False), quantity=one, used=None).denial is Denial.NOT_INCLUDED
    assert decide(of(True), quantity=Decimal(10) ** 12, used=None).is_allowed
    assert decide(of("by mail"), quantity=one, used=None).is_allowed
