"""Stories of coupons and agreed discounts: which lines they count for, and what changes make of them.

March 2026 has 31 days. `base` is 310 a month, 10 a day; a user of the peak day is 1.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.stories import (
    BASE,
    a_plan,
    a_story,
    at,
    beginning,
    played,
    refused,
    told,
)

pytestmark = pytest.mark.usefixtures("db")

PEAK: dict[str, Any] = {
    "key": "peak",
    "meter": "dau",
    "period_aggregation": "max_day",
    "model": "per_unit",
    "unit_price": "1",
}
SEATS: dict[str, Any] = {"key": "seats", "model": "per_unit", "unit_price": "31", "prorate": True}
PRO = a_plan("pro", BASE, PEAK)
BIG = a_plan("big", {**BASE, "amount": "620"}, PEAK)
SMALL = a_plan("small", {**BASE, "amount": "31"}, PEAK)
TEAM = a_plan("team", BASE, SEATS)
TRIAL = a_plan("trial", BASE, PEAK, trial_days=7)
PLANS = [PRO, BIG, SMALL, TEAM, TRIAL]

TENTH = {"code": "TENTH", "type": "percentage", "value": "10"}
FIX = {"code": "FIX", "type": "fixed", "value": "31", "currency": "CNY"}


def story(*steps: Any, coupons: list[dict[str, Any]], plans: list[Any] = PLANS) -> dict[str, Any]:
    return {**a_story(*steps, plans=plans), "coupons": coupons}


def do(at_: str, what: str, /, **fields: Any) -> dict[str, Any]:
    return at(at_, what, tenant="acme", **fields)


def redeem(day: str, code: str, **fields: Any) -> dict[str, Any]:
    return do(day, "apply_coupon", coupon=code, **fields)


def peak(day: str, value: str) -> dict[str, Any]:
    return at(f"{day}T12:00", "usage", app="chat", meter="dau", day=f"2026-{day}", value=value)


def lines(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(price, amount, discount) of each line."""
    return [(each["key"], each["amount"], each["discount"]) for each in document["lines"]]


def documents(result: dict[str, Any]) -> list[list[tuple[str, str, str]]]:
    return [lines(each) for each in result["invoices"]]


def taken(line: dict[str, Any]) -> list[tuple[str, str]]:
    """(name, amount) of each discount of a line, in their order."""
    return [(each["name"], each["amount"]) for each in line["explanation"].get("discounts", [])]


def test_a_coupon_counts_for_what_its_periods_owe_whenever_it_is_billed(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("pro"),
            redeem("03-01", "tenth"),
            peak("03-05", "100"),
            peak("04-05", "200"),
            at("05-01", "advance"),
            coupons=[{**TENTH, "periods": 1}],
        ),
        tmp_path,
    )
    assert documents(result) == [
        [("base", "310.00", "31.00")],
        [("peak", "100.00", "10.00"), ("base", "310.00", "0.00")],
        [("peak", "200.00", "0.00"), ("base", "310.00", "0.00")],
    ]
    first, second, _ = result["invoices"]
    assert (first["subtotal"], first["discount_total"], first["total"]) == (
        "310.00",
        "31.00",
        "279.00",
    )
    assert second["total"] == "400.00"
    assert taken(second["lines"][0]) == [("TENTH", "10.00")]


def test_a_fixed_amount_is_spent_once_a_period_first_by_what_is_billed_ahead(
    tmp_path: Path,
) -> None:
    result = played(
        story(
            *beginning("small"),
            redeem("03-01", "FIX"),
            peak("03-05", "100"),
            peak("04-05", "10"),
            at("05-01", "advance"),
            coupons=[{**FIX, "value": "50", "periods": 2}],
        ),
        tmp_path,
    )
    assert documents(result) == [
        [("base", "31.00", "31.00")],
        # 19 of March's 50 are left for its arrears; April has 50 of its own.
        [("peak", "100.00", "19.00"), ("base", "31.00", "31.00")],
        [("peak", "10.00", "10.00"), ("base", "31.00", "0.00")],
    ]
    assert result["invoices"][0]["status"] == "paid"


def test_discounts_come_one_after_the_other_in_the_order_in_which_they_were_applied(
    tmp_path: Path,
) -> None:
    for codes, expected in (
        (["TENTH", "FIX"], [("TENTH", "31.00"), ("FIX", "31.00")]),
        (["FIX", "TENTH"], [("FIX", "31.00"), ("TENTH", "27.90")]),
    ):
        result = played(
            story(
                *beginning("pro"),
                *(redeem("03-01", code) for code in codes),
                at("03-02", "advance"),
                coupons=[TENTH, FIX],
            ),
            tmp_path,
        )
        assert taken(result["invoices"][0]["lines"][0]) == expected


def test_a_usage_discount_lowers_the_quantity_before_other_discounts(tmp_path: Path) -> None:
    tiers = [
        {"up_to": "100", "unit_price": "2", "flat_fee": "0"},
        {"up_to": None, "unit_price": "1", "flat_fee": "0"},
    ]
    tiered = {**PEAK, "model": "graduated", "tiers": tiers}
    del tiered["unit_price"]
    result = played(
        story(
            *beginning("tiered"),
            redeem("03-01", "TENTH"),
            redeem("03-01", "FREE"),
            peak("03-05", "120"),
            at("04-01", "advance"),
            coupons=[
                TENTH,
                {"code": "FREE", "type": "usage", "value": "30", "prices": ["peak"]},
            ],
            plans=[a_plan("tiered", tiered)],
        ),
        tmp_path,
    )
    (line,) = result["invoices"][0]["lines"]
    # 100 × 2 + 20 × 1 = 220; 90 × 2 = 180 with 30 less; a tenth of 180 then.
    assert taken(line) == [("FREE", "40.00"), ("TENTH", "18.00")]
    assert (line["amount"], line["taxable"]) == ("220.00", "162.00")


@pytest.mark.parametrize(
    ("bounds", "peak_of", "expected"),
    [
        # 200 less a tenth is 180: 20 are missing to 200.
        ({"minimum": "200"}, "200", [("peak", "200.00", "20.00"), ("peak", "20.00", "0.00")]),
        # 200 less a tenth is 180: 150 may be asked, so that the line says 170 less 20.
        ({"maximum": "150"}, "200", [("peak", "170.00", "20.00")]),
        # Discounted it is below the maximum, which takes nothing.
        ({"maximum": "180"}, "200", [("peak", "200.00", "20.00")]),
    ],
)
def test_a_price_s_maximum_and_minimum_follow_the_discount(
    tmp_path: Path, bounds: dict[str, str], peak_of: str, expected: list[tuple[str, str, str]]
) -> None:
    result = played(
        story(
            *beginning("bounded"),
            redeem("03-01", "TENTH"),
            peak("03-05", peak_of),
            at("04-01", "advance"),
            coupons=[TENTH],
            plans=[a_plan("bounded", {**PEAK, **bounds})],
        ),
        tmp_path,
    )
    assert documents(result) == [expected]


def test_a_plan_s_minimum_counts_what_is_left_of_all_its_prices(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("pro"),
            redeem("03-01", "TENTH"),
            redeem("03-01", "FIX"),
            peak("03-05", "10"),
            at("04-01", "advance"),
            coupons=[TENTH, FIX],
            plans=[a_plan("pro", BASE, PEAK, minimum="300")],
        ),
        tmp_path,
    )
    # 310 - 31 - 31 = 248 ahead, 10 - 1 = 9 of arrears: 43 are missing.
    assert documents(result)[1] == [
        ("peak", "10.00", "1.00"),
        ("plan:minimum", "43.00", "0.00"),
        ("base", "310.00", "62.00"),
    ]


def test_a_change_gives_back_what_was_to_be_paid_and_discounts_what_comes(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("pro"),
            redeem("03-01", "TENTH"),
            redeem("03-01", "FIX"),
            do("03-11", "change_plan", plan="big", when="now"),
            at("04-01", "advance"),
            coupons=[{**TENTH, "periods": 1}, {**FIX, "periods": 1}],
        ),
        tmp_path,
    )
    # 310 - 31 - 31; of 21 days 21 each come back. 420 - 42, and of the fixed 31 what came back.
    assert documents(result)[:2] == [
        [("base", "310.00", "62.00")],
        [("base", "-210.00", "-42.00"), ("base", "420.00", "63.00")],
    ]
    assert result["invoices"][1]["total"] == "189.00"
    assert taken(result["invoices"][1]["lines"][1]) == [("TENTH", "42.00"), ("FIX", "21.00")]


def test_a_fixed_amount_is_never_taken_twice_by_changes_up_and_down(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("pro"),
            redeem("03-01", "FIX"),
            do("03-11", "change_plan", plan="small", when="now"),
            do("03-21", "change_plan", plan="big", when="now"),
            peak("03-22", "500"),
            at("04-01", "advance"),
            coupons=[{**FIX, "periods": 1}],
        ),
        tmp_path,
    )
    (note,) = result["credit_notes"]
    # 310 - 31; 210 - 21 come back, 21 are charged and the 21 taken off again: 189 to the balance.
    assert note["total"] == "189.00"
    assert result["invoices"][1]["total"] == "209.00"
    # 279 - 189 + 209: all that was due ahead, 100 + 10 + 220, less 31; nothing is left for the usage.
    assert result["invoices"][0]["total"] == "279.00"
    assert documents(result)[2][0] == ("peak", "500.00", "0.00")


def test_what_a_cancellation_gives_back_is_the_share_of_what_was_paid(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("pro"),
            redeem("03-01", "TENTH"),
            do("03-11", "cancel", when="now"),
            at("04-01", "advance"),
            coupons=[TENTH],
        ),
        tmp_path,
    )
    (note,) = result["credit_notes"]
    assert note["total"] == "189.00"
    assert result["balances"]["acme"]["cash"] == "189.00"


def test_a_fixed_amount_is_not_taken_twice_by_changes_on_the_first_day_of_a_period(
    tmp_path: Path,
) -> None:
    result = played(
        story(
            *beginning("team"),
            redeem("03-01", "FIX"),
            do("03-01T10:00", "change_quantity", price="seats", quantity="3"),
            do("03-01T11:00", "change_quantity", price="seats", quantity="5"),
            at("03-02", "advance"),
            coupons=[FIX],
        ),
        tmp_path,
    )
    # 31 in all: 28.18 stay with the fee, and what comes back of the seats goes on to the new ones.
    assert documents(result) == [
        [("base", "310.00", "28.18"), ("seats", "31.00", "2.82")],
        [("seats", "-31.00", "-2.82"), ("seats", "93.00", "2.82")],
        [("seats", "-93.00", "-2.82"), ("seats", "155.00", "2.82")],
    ]


def test_a_fixed_amount_redeemed_within_a_period_is_spent_by_its_arrears(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("pro"),
            redeem("03-05", "FIX"),
            peak("03-06", "100"),
            do("03-11", "change_plan", plan="big", when="now"),
            at("04-01", "advance"),
            coupons=[{**FIX, "periods": 1}],
        ),
        tmp_path,
    )
    # The fee was paid in full, so it comes back in full, and what takes its place is not discounted.
    assert documents(result) == [
        [("base", "310.00", "0.00")],
        [("base", "-210.00", "0.00"), ("base", "420.00", "0.00")],
        # 100 before the change; the peak of the days from the 11th on is 0.
        [("peak", "100.00", "31.00"), ("base", "620.00", "0.00")],
    ]


def test_a_plan_s_minimum_counts_what_was_billed_ahead_before_the_coupon_as_it_was(
    tmp_path: Path,
) -> None:
    result = played(
        story(
            *beginning("pro"),
            redeem("03-05", "TENTH"),
            peak("03-06", "10"),
            at("04-01", "advance"),
            coupons=[{**TENTH, "periods": 1}],
            plans=[a_plan("pro", BASE, PEAK, minimum="300")],
        ),
        tmp_path,
    )
    # 310 were billed ahead, and 9 are left of 10: more than the minimum.
    assert documents(result)[1] == [("peak", "10.00", "1.00"), ("base", "310.00", "0.00")]


def test_no_more_comes_back_than_was_paid_where_a_coupon_follows_a_change_of_a_draft(
    tmp_path: Path,
) -> None:
    told_story = story(
        *beginning("pro"),
        # The document of April waits for March's usage, and is a draft.
        do("04-02", "change_plan", plan="small", when="now"),
        redeem("04-02T12:00", "ALL"),
        at("04-10", "advance"),
        coupons=[{"code": "ALL", "type": "percentage", "value": "100", "periods": 1}],
    )
    told_story["grace"] = "PT72H"
    result = played(told_story, tmp_path)
    (note,) = result["credit_notes"]
    # 29 of 30 days at 310 come back, 29 at 31 are charged.
    assert note["total"] == "269.70"
    assert documents(result) == [[("base", "310.00", "0.00")], [("base", "310.00", "0.00")]]


@pytest.mark.parametrize("anchor", ["anniversary", "calendar"])
def test_a_trial_that_is_ended_early_keeps_its_coupon_for_the_first_paid_period(
    tmp_path: Path, anchor: str
) -> None:
    result = played(
        story(
            *beginning("trial", anchor=anchor),
            redeem("03-02", "TENTH"),
            do("03-04T10:00", "end_trial"),
            at("05-09", "advance"),
            coupons=[{**TENTH, "periods": 1}],
        ),
        tmp_path,
    )
    # 31 days from the 4th on, or 28 until the month ends.
    first = ("310.00", "31.00") if anchor == "anniversary" else ("280.00", "28.00")
    assert documents(result) == [
        [("base", *first)],
        [("base", "310.00", "0.00")],
        [("base", "310.00", "0.00")],
    ]


def test_a_period_that_begins_paused_spends_a_fixed_amount_when_it_is_resumed(
    tmp_path: Path,
) -> None:
    result = played(
        story(
            *beginning("pro"),
            redeem("03-01", "FIX"),
            do("03-21", "pause", when="now"),
            do("04-11", "resume", when="now"),
            peak("04-12", "100"),
            at("05-01", "advance"),
            coupons=[FIX],
        ),
        tmp_path,
    )
    # 20 of April's 30 days are 206.67; its usage has nothing left of the 31.
    assert documents(result)[1:] == [
        [("base", "206.67", "31.00")],
        [("peak", "100.00", "0.00"), ("base", "310.00", "31.00")],
    ]


def test_a_price_that_a_change_leaves_alone_keeps_its_discount(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("team"),
            redeem("03-01", "TENTH"),
            do("03-11", "change_quantity", price="seats", quantity="3"),
            at("03-12", "advance"),
            coupons=[TENTH],
        ),
        tmp_path,
    )
    assert documents(result) == [
        [("base", "310.00", "31.00"), ("seats", "31.00", "3.10")],
        [("seats", "-21.00", "-2.10"), ("seats", "63.00", "6.30")],
    ]


def test_a_coupon_for_the_next_period_leaves_the_running_one_alone(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("pro"),
            redeem("03-10", "TENTH", when="period_end"),
            peak("03-12", "100"),
            do("03-11", "change_plan", plan="big", when="now"),
            at("04-01", "advance"),
            coupons=[TENTH],
        ),
        tmp_path,
    )
    assert documents(result)[1:] == [
        [("base", "-210.00", "0.00"), ("base", "420.00", "0.00")],
        [("peak", "100.00", "0.00"), ("base", "620.00", "62.00")],
    ]


def test_on_trial_a_coupon_begins_with_the_first_paid_period(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("trial", anchor="anniversary"),
            redeem("03-02", "TENTH"),
            at("04-09", "advance"),
            coupons=[{**TENTH, "periods": 1}],
        ),
        tmp_path,
    )
    assert documents(result) == [[("base", "310.00", "31.00")], [("base", "310.00", "0.00")]]


def test_late_usage_is_discounted_as_its_period_was(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("pro"),
            redeem("03-01", "TENTH"),
            peak("03-05", "100"),
            at("04-02T12:00", "usage", app="chat", meter="dau", day="2026-03-05", value="150"),
            at("05-01", "advance"),
            coupons=[{**TENTH, "periods": 1}],
        ),
        tmp_path,
    )
    adjustment = next(
        line for line in result["invoices"][2]["lines"] if line["kind"] == "adjustment"
    )
    # 150 less a tenth instead of 100 less a tenth.
    assert adjustment["amount"] == "45.00"


def test_a_whole_discount_leaves_nothing_to_pay_and_the_books_balanced(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("pro"),
            redeem("03-01", "ALL"),
            peak("03-05", "100"),
            do("03-16", "cancel", when="now"),
            at("04-01", "advance"),
            coupons=[{"code": "ALL", "type": "percentage", "value": "100"}],
        ),
        tmp_path,
    )
    assert {each["total"] for each in result["invoices"]} == {"0.00"}
    assert {each["status"] for each in result["invoices"]} == {"paid"}
    assert result["balances"]["acme"] == {
        "cash": "0.00",
        "gift": "0.00",
        "voucher": "0.00",
        "receivable": "0.00",
    }


def test_tax_is_worked_out_from_what_is_left(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("taxed"),
            redeem("03-01", "TENTH"),
            do("03-11", "cancel", when="now"),
            at("04-01", "advance"),
            coupons=[TENTH],
            plans=[a_plan("taxed", {**BASE, "tax_percent": "6"})],
        ),
        tmp_path,
    )
    (invoice,) = result["invoices"]
    assert (invoice["tax_total"], invoice["total"]) == ("16.74", "295.74")
    (note,) = result["credit_notes"]
    assert (note["tax_total"], note["total"]) == ("11.34", "200.34")


def test_an_agreed_discount_needs_no_coupon_and_ends_with_the_period(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("pro"),
            do("03-01", "discount", type="percentage", value="50", prices=["base"], name="Pilot"),
            do("03-20", "end_discount", discount=1),
            peak("03-21", "10"),
            at("04-01", "advance"),
            coupons=[],
        ),
        tmp_path,
    )
    assert documents(result) == [
        [("base", "310.00", "155.00")],
        [("peak", "10.00", "0.00"), ("base", "310.00", "0.00")],
    ]


def test_a_discount_that_is_ended_on_trial_never_counts(tmp_path: Path) -> None:
    result = played(
        story(
            *beginning("trial"),
            redeem("03-02", "TENTH"),
            do("03-04", "end_discount", discount=1),
            at("03-09", "advance"),
            coupons=[TENTH],
        ),
        tmp_path,
    )
    # 24 of 31 days, from the 8th on.
    assert documents(result) == [[("base", "240.00", "0.00")]]


@pytest.mark.parametrize(
    ("first", "other", "coupon"),
    [
        ("pro", "yearly", {**TENTH, "periods": 1}),
        ("pro", "yearly", {**TENTH, "periods": 3}),
        ("yearly", "pro", {**FIX, "periods": 1}),
        ("yearly", "pro", FIX),
    ],
)
def test_a_discount_by_the_period_ends_with_the_interval(
    tmp_path: Path, first: str, other: str, coupon: dict[str, Any]
) -> None:
    yearly = {**a_plan("yearly", {**BASE, "amount": "3650"}), "interval": "year"}
    result = played(
        story(
            *beginning(first),
            redeem("03-01", coupon["code"]),
            do("03-11", "change_plan", plan=other, when="now"),
            at("05-02", "advance"),
            coupons=[coupon],
            plans=[PRO, yearly],
        ),
        tmp_path,
    )
    later: list[dict[str, Any]] = [*result["invoices"][1:], *result["credit_notes"]]
    assert result["invoices"][0]["discount_total"] != "0.00"
    charges = [
        line for document in later for line in document["lines"] if line.get("kind") == "recurring"
    ]
    assert charges
    assert {line["discount"] for line in charges} == {"0.00"}


def test_a_percentage_until_further_notice_goes_on_under_another_interval(tmp_path: Path) -> None:
    yearly = {**a_plan("yearly", {**BASE, "amount": "3650"}), "interval": "year"}
    result = played(
        story(
            *beginning("pro"),
            redeem("03-01", "TENTH"),
            do("03-11", "change_plan", plan="yearly", when="now"),
            at("03-12", "advance"),
            coupons=[TENTH],
            plans=[PRO, yearly],
        ),
        tmp_path,
    )
    charge = next(line for line in result["invoices"][1]["lines"] if line["amount"][0] != "-")
    assert charge["discount"] == f"{float(charge['amount']) / 10:.2f}"


def test_the_same_story_gives_the_same_bytes(tmp_path: Path) -> None:
    told_twice = [
        told(
            story(
                *beginning("pro"),
                redeem("03-01", "TENTH"),
                do("03-11", "change_plan", plan="big", when="now"),
                at("04-01", "advance"),
                coupons=[TENTH],
            ),
            tmp_path,
        )
        for _ in range(2)
    ]
    assert told_twice[0] == told_twice[1]


@pytest.mark.parametrize(
    ("steps", "coupons", "code"),
    [
        ([redeem("03-02", "NOPE")], [TENTH], "coupon_not_found"),
        ([redeem("03-01", "TENTH"), redeem("03-01", "TENTH")], [TENTH], "coupon_already_used"),
        ([redeem("03-02", "TENTH")], [{**TENTH, "valid_to": "2026-03-02"}], "coupon_expired"),
        (
            [redeem("03-02", "TENTH")],
            [{**TENTH, "valid_from": "2026-03-03"}],
            "coupon_not_valid_yet",
        ),
        (
            [redeem("03-02", "EUR")],
            [{**FIX, "code": "EUR", "currency": "EUR"}],
            "currency_mismatch",
        ),
        ([redeem("03-01", "TENTH")], [{**TENTH, "plans": ["big"]}], "discount_not_for_plan"),
        ([redeem("03-01", "TENTH")], [{**TENTH, "prices": ["seats"]}], "discount_not_for_plan"),
        ([redeem("03-02", "TENTH")], [{**TENTH, "prices": ["base"]}], "nothing_to_discount"),
        ([do("03-02", "end_discount", discount=1)], [TENTH], "discount_not_found"),
        ([do("03-02", "discount", type="percentage", value="101")], [], "invalid_coupon"),
        ([], [{**TENTH, "value": "0"}], "invalid_coupon"),
    ],
)
def test_what_can_t_be_is_told(
    tmp_path: Path, steps: list[dict[str, Any]], coupons: list[dict[str, Any]], code: str
) -> None:
    error = refused(
        story(*beginning("pro"), *steps, at("03-05", "advance"), coupons=coupons), tmp_path
    )
    assert error["code"] == code
