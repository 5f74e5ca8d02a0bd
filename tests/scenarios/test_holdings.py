"""Stories of quantities, add-ons, pauses, trials cut short and what is taken back.

March 2026 has 31 days. `base` is 310 a month, 10 a day; a seat 31, 1 a day.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.stories import BASE, a_plan, a_story, amounts, at, beginning, played, refused

pytestmark = pytest.mark.usefixtures("db")

SEATS: dict[str, Any] = {
    "key": "seats",
    "model": "per_unit",
    "unit_price": "31",
    "prorate": True,
}
HISTORY: dict[str, Any] = {
    "key": "history-180",
    "model": "flat",
    "amount": "62",
    "addon": True,
    "prorate": True,
}
PEAK: dict[str, Any] = {
    "key": "peak",
    "meter": "dau",
    "period_aggregation": "max_day",
    "model": "per_unit",
    "unit_price": "1",
}


def groups(*amounts_of: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {**HISTORY, "key": key, "amount": amount, "group": "group-size"}
        for key, amount in amounts_of
    ]


TEAM = a_plan("team", BASE, SEATS, HISTORY, *groups(("g3000", "31"), ("g8000", "93")), PEAK)
CLUB = a_plan("club", {**BASE, "amount": "620"}, {**HISTORY, "amount": "124"}, PEAK)
PLANS = [TEAM, CLUB]


def do(at_: str, what: str, /, **fields: Any) -> dict[str, Any]:
    return at(at_, what, tenant="acme", **fields)


def peak(day: str, value: str) -> dict[str, Any]:
    return at(f"{day}T12:00", "usage", app="chat", meter="dau", day=f"2026-{day}", value=value)


def documents(result: dict[str, Any]) -> list[list[tuple[str, str]]]:
    return [amounts(each) for each in result["invoices"]]


def notes(result: dict[str, Any]) -> list[list[tuple[str, str]]]:
    return [amounts(each) for each in result["credit_notes"]]


def test_what_is_held_from_the_start_is_billed_ahead(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "5"}, addons={"history-180": "2"}),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )
    held = [("base", "310.00"), ("seats", "155.00"), ("history-180", "124.00")]
    assert documents(result) == [held, held]
    assert [line["quantity"] for line in result["invoices"][0]["lines"]] == ["1", "5", "2"]


def test_the_same_add_on_named_twice_is_due_twice(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "0"}, addons=["history-180", "history-180"]),
            plans=PLANS,
        ),
        tmp_path,
    )
    assert documents(result) == [[("base", "310.00"), ("history-180", "124.00")]]


def test_more_seats_now_are_credited_and_charged_on_one_document(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "5"}),
            do("03-16", "change_quantity", price="seats", quantity="7"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )
    # 16 of 31 days: five seats at 16 come back, seven are due; the base fee stays as it is.
    assert documents(result)[1:] == [
        [("seats", "-80.00"), ("seats", "112.00")],
        [("base", "310.00"), ("seats", "217.00")],
    ]
    assert [line["description"] for line in result["invoices"][1]["lines"]] == [
        "seats, 5 times, unused 16/31 of the period",
        "seats, 7 times, 16/31 of the period",
    ]


def test_fewer_seats_at_the_periods_end_cost_nothing_before(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "5"}),
            do("03-16", "change_quantity", price="seats", quantity="2", when="period_end"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )
    assert documents(result) == [
        [("base", "310.00"), ("seats", "155.00")],
        [("base", "310.00"), ("seats", "62.00")],
    ]


def test_without_prorate_a_seat_is_owed_once_a_period(tmp_path: Path) -> None:
    whole = a_plan("whole", {**SEATS, "prorate": False})
    result = played(
        a_story(
            *beginning("whole", quantities={"seats": "5"}),
            do("03-11", "change_quantity", price="seats", quantity="7"),
            do("03-16", "change_quantity", price="seats", quantity="4"),
            do("03-21", "change_quantity", price="seats", quantity="6"),
            do("03-26", "change_quantity", price="seats", quantity="8"),
            at("04-01", "advance"),
            plans=[whole],
        ),
        tmp_path,
    )
    # Only what exceeds the most that was billed before is charged: 7 after 5, then 8 after 7.
    assert documents(result) == [
        [("seats", "155.00")],
        [("seats", "-155.00"), ("seats", "217.00")],
        [("seats", "-217.00"), ("seats", "248.00")],
        [("seats", "248.00")],
    ]
    assert result["credit_notes"] == []


def test_seats_billed_in_arrears_are_billed_for_the_days_they_were_held(tmp_path: Path) -> None:
    late = a_plan("late", {**SEATS, "timing": "in_arrears"})
    result = played(
        a_story(
            *beginning("late", quantities={"seats": "5"}),
            do("03-16", "change_quantity", price="seats", quantity="7"),
            at("04-01", "advance"),
            plans=[late],
        ),
        tmp_path,
    )
    # 15 days of five and 16 days of seven, at the period's end.
    assert documents(result) == [[("seats", "75.00"), ("seats", "112.00")]]


def test_a_change_of_seats_does_not_split_what_is_used(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team"),
            peak("03-05", "7"),
            do("03-16", "change_quantity", price="seats", quantity="7"),
            peak("03-20", "9"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )
    assert documents(result)[-1][0] == ("peak", "9.00")


def test_an_add_on_comes_and_goes(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "0"}),
            do("03-16", "add_addon", addon="history-180"),
            do("03-21", "add_addon", addon="history-180"),
            do("03-26", "remove_addon", addon="history-180"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )
    # 2 a day: 16 days of one; then 11 days of two in the place of one; then 6 days of two come back.
    assert documents(result) == [
        [("base", "310.00")],
        [("history-180", "32.00")],
        [("history-180", "-22.00"), ("history-180", "44.00")],
        [("base", "310.00")],
    ]
    assert notes(result) == [[("history-180", "24.00")]]


def test_of_a_group_the_last_one_takes_the_place_of_the_other(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "0"}, addons=["g3000"]),
            do("03-16", "add_addon", addon="g8000"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )
    assert documents(result) == [
        [("base", "310.00"), ("g3000", "31.00")],
        [("g3000", "-16.00"), ("g8000", "48.00")],
        [("base", "310.00"), ("g8000", "93.00")],
    ]


def test_on_a_change_of_plan_add_ons_stay_at_the_new_price_and_others_end(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "0"}, addons=["history-180", "g3000"]),
            do("03-16", "change_plan", plan="club"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )
    assert documents(result)[1:] == [
        [
            ("base", "-160.00"),
            ("history-180", "-32.00"),
            ("g3000", "-16.00"),
            ("base", "320.00"),
            ("history-180", "64.00"),
        ],
        [("base", "620.00"), ("history-180", "124.00")],
    ]


def test_up_and_down_on_one_day_comes_back_to_nothing(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "3"}, addons=["g3000"]),
            do("03-16T10:00", "change_plan", plan="club"),
            do("03-16T10:00", "change_plan", plan="team"),
            peak("03-05", "7"),
            peak("03-20", "9"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )
    changed = float(result["invoices"][1]["total"])
    assert [float(note["total"]) for note in result["credit_notes"]] == [changed]
    # And the period is one again: its highest day counts once.
    assert documents(result)[-1] == [
        ("peak", "9.00"),
        ("base", "310.00"),
        ("seats", "93.00"),
        ("g3000", "31.00"),
    ]


def test_paused_days_are_given_back_and_not_billed_ahead(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "0"}),
            peak("03-05", "7"),
            do("03-16", "pause"),
            peak("03-20", "100"),
            at("04-01", "advance"),
            peak("04-05", "100"),
            do("04-16", "resume"),
            peak("04-20", "8"),
            at("05-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )
    assert notes(result) == [[("base", "160.00")]]
    # April: nothing is billed ahead; from the 16th 15 of 30 days are. Usage of the pause is not billed.
    assert documents(result)[1:] == [
        [("peak", "7.00")],
        [("base", "155.00")],
        [("peak", "8.00"), ("base", "310.00")],
    ]
    # Periods are cut where they always were.
    assert result["invoices"][3]["period"]["starts_at"] == "2026-04-01T00:00:00+08:00"


def test_a_pause_within_a_period_leaves_its_peak_one(tmp_path: Path) -> None:
    mean = {**PEAK, "key": "mean", "period_aggregation": "mean_day"}
    result = played(
        a_story(
            *beginning("resting"),
            peak("03-05", "42"),
            do("03-11", "pause"),
            peak("03-15", "1000"),
            do("03-21", "resume"),
            peak("03-25", "63"),
            at("04-01", "advance"),
            plans=[a_plan("resting", BASE, PEAK, mean)],
        ),
        tmp_path,
    )
    # The mean divides by the 21 days that were served: (42 + 63) / 21.
    assert documents(result)[2] == [("peak", "63.00"), ("mean", "5.00"), ("base", "310.00")]
    # 21 days back on the 11th, 11 charged on the 21st.
    assert notes(result) == [[("base", "210.00")]]
    assert documents(result)[1] == [("base", "110.00")]


def test_without_prorate_a_pause_gives_nothing_back_and_a_period_is_owed_once(
    tmp_path: Path,
) -> None:
    result = played(
        a_story(
            *beginning("whole"),
            do("03-11", "pause"),
            do("03-21", "resume"),
            do("03-26", "pause"),
            do("04-11", "resume"),
            at("04-30", "advance"),
            plans=[a_plan("whole", {**BASE, "prorate": False})],
        ),
        tmp_path,
    )
    # March once; April, which begins paused, when it is resumed.
    assert documents(result) == [[("base", "310.00")], [("base", "310.00")]]
    assert result["invoices"][1]["issued_at"] == "2026-04-11T00:00:00+08:00"
    assert result["credit_notes"] == []


def test_paused_and_resumed_on_one_day_comes_back_to_nothing(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "0"}),
            do("03-16", "pause"),
            do("03-16", "resume"),
            at("04-01", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )
    assert notes(result) == [[("base", "160.00")]]
    assert documents(result) == [[("base", "310.00")], [("base", "160.00")], [("base", "310.00")]]


def test_cancelled_while_paused_nothing_comes_back_twice(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "0"}),
            peak("03-05", "7"),
            do("03-16", "pause"),
            peak("03-17", "9"),
            do("03-20", "cancel"),
            plans=PLANS,
        ),
        tmp_path,
    )
    assert notes(result) == [[("base", "160.00")]]
    assert documents(result)[1:] == [[("peak", "7.00")]]


def test_a_cancellation_is_undone_before_it_happens(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "0"}),
            do("03-10", "cancel", when="period_end"),
            do("03-20", "undo_cancel"),
            at("04-02", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )
    assert documents(result) == [[("base", "310.00")], [("base", "310.00")]]
    assert result["subscriptions"][0]["status"] == "active"


def test_a_planned_change_is_undone_before_it_happens(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("team", quantities={"seats": "2"}),
            do("03-10", "change_quantity", price="seats", quantity="4", when="period_end"),
            do("03-10", "change_plan", plan="club", when="period_end"),
            do("03-10", "pause", when="period_end"),
            do("03-20", "undo_change"),
            at("04-02", "advance"),
            plans=PLANS,
        ),
        tmp_path,
    )
    assert documents(result) == [[("base", "310.00"), ("seats", "62.00")]] * 2


def test_a_trial_that_ends_early_is_billed_from_that_day(tmp_path: Path) -> None:
    trial = {**TEAM, "key": "trial", "trial_days": 30}
    result = played(
        a_story(
            *beginning("trial", quantities={"seats": "1"}, addons=["g3000"]),
            do("03-16T18:00", "end_trial"),
            at("04-01", "advance"),
            plans=[trial],
        ),
        tmp_path,
    )
    assert documents(result) == [
        [("base", "160.00"), ("seats", "16.00"), ("g3000", "16.00")],
        [("base", "310.00"), ("seats", "31.00"), ("g3000", "31.00")],
    ]


def test_changes_in_a_trial_bill_nothing_and_hold_from_its_end(tmp_path: Path) -> None:
    trial = {**TEAM, "key": "trial", "trial_days": 15}
    result = played(
        a_story(
            *beginning("trial"),
            do("03-05", "change_quantity", price="seats", quantity="2"),
            do("03-06", "add_addon", addon="g3000"),
            do("03-07", "change_plan", plan="team"),
            at("03-20", "advance"),
            plans=[trial, TEAM],
        ),
        tmp_path,
    )
    # Fifteen days from March 1st: the 16th is the first that is paid.
    assert documents(result) == [[("base", "160.00"), ("seats", "32.00"), ("g3000", "16.00")]]


@pytest.mark.parametrize("when", ["now", "period_end"])
def test_cancelled_in_the_trial_nothing_is_ever_billed(when: str, tmp_path: Path) -> None:
    trial = {**TEAM, "key": "trial", "trial_days": 15}
    result = played(
        a_story(
            *beginning("trial"),
            peak("03-05", "9"),
            do("03-10", "cancel", when=when),
            at("05-01", "advance"),
            plans=[trial],
        ),
        tmp_path,
    )
    assert (result["invoices"], result["credit_notes"]) == ([], [])
    assert result["subscriptions"][0]["status"] == "ended"


def test_a_start_in_the_past_is_billed_period_by_period(tmp_path: Path) -> None:
    story = a_story(
        at("03-20", "create_tenant", tenant="acme", apps=["chat"]),
        peak("03-21", "5"),
        at("03-22", "advance"),
        do(
            "05-10",
            "subscribe",
            plan="team",
            starts_at="2026-03-16T00:00:00+08:00",
            quantities={"seats": "0"},
        ),
        plans=PLANS,
    )
    result = played(story, tmp_path)
    assert documents(result) == [
        [("base", "160.00")],
        [("peak", "5.00"), ("base", "310.00")],
        [("base", "310.00")],
    ]
    assert {each["issued_at"] for each in result["invoices"]} == {"2026-05-10T00:00:00+08:00"}


def test_a_start_in_the_past_may_not_reach_into_what_was_served(tmp_path: Path) -> None:
    error = refused(
        a_story(
            *beginning("team"),
            do("03-16", "cancel"),
            do("03-20", "subscribe", plan="team", starts_at="2026-03-10T00:00:00+08:00"),
            plans=PLANS,
        ),
        tmp_path,
    )
    assert error["code"] == "subscriptions_overlap"


MONTHLY = a_plan("monthly", BASE, PEAK)
YEARLY = a_plan("yearly", {**BASE, "amount": "3650"}, PEAK, interval="year")


def test_to_another_interval_now_the_period_is_cut(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("monthly"),
            peak("03-05", "7"),
            do("03-16", "change_plan", plan="yearly"),
            peak("03-20", "9"),
            at("2027-01-01T00:00", "advance"),
            plans=[MONTHLY, YEARLY],
        ),
        tmp_path,
    )
    # At once: 16 days come back, March 16th to December 31st (291 of 365 days at 10) are due.
    assert documents(result)[1] == [("base", "-160.00"), ("base", "2910.00")]
    # What was used before the cut is billed for itself, what was used after it at the new end.
    assert documents(result)[2:] == [[("peak", "7.00")], [("peak", "9.00"), ("base", "3650.00")]]
    assert result["invoices"][2]["period"]["ends_at"] == "2026-03-16T00:00:00+08:00"
    assert result["subscriptions"][0]["period"]["starts_at"] == "2027-01-01T00:00:00+08:00"


def test_from_a_year_to_months_now_the_rest_of_the_year_comes_back(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("yearly", day="01-01"),
            at("01-02", "pay", invoice=1, amount="full"),
            do("03-16", "change_plan", plan="monthly"),
            at("04-02", "advance"),
            plans=[MONTHLY, YEARLY],
        ),
        tmp_path,
    )
    # 2910 back, 160 due for the rest of March; April follows, paid from the balance.
    assert notes(result) == [[("base", "2910.00"), ("base", "-160.00")]]
    assert documents(result)[1:] == [[("base", "310.00")]]
    assert result["balances"]["acme"]["cash"] == "2440.00"


def test_to_another_interval_and_back_on_one_day(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("monthly"),
            peak("03-05", "7"),
            do("03-16T09:00", "change_plan", plan="yearly"),
            do("03-16T10:00", "change_plan", plan="monthly"),
            peak("03-20", "9"),
            at("05-01", "advance"),
            plans=[MONTHLY, YEARLY],
        ),
        tmp_path,
    )
    total = sum(float(each["total"]) for each in result["invoices"])
    given_back = sum(float(each["total"]) for each in result["credit_notes"])
    # March, April and May at 310, and the peaks of both parts of March: 7 and 9.
    assert total - given_back == 3 * 310 + 7 + 9
    assert [each["period"]["starts_at"][:10] for each in result["invoices"]][-2:] == [
        "2026-03-16",
        "2026-04-01",
    ]


def test_to_another_interval_on_the_first_day_the_whole_period_comes_back(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("monthly"),
            peak("03-05", "7"),
            do("04-01T09:00", "change_plan", plan="yearly"),
            at("05-01", "advance"),
            plans=[MONTHLY, YEARLY],
        ),
        tmp_path,
    )
    assert documents(result)[1:] == [
        [("peak", "7.00"), ("base", "310.00")],
        # April 1st to December 31st are 275 days.
        [("base", "-310.00"), ("base", "2750.00")],
    ]


@pytest.mark.parametrize(
    ("when", "back", "due"),
    [
        ("03-01", "-310.00", "620.00"),  # the first day, whose invoice is issued
        ("03-31", "-10.00", "20.00"),  # the last
        ("03-31T23:59", "-10.00", "20.00"),
    ],
)
def test_changes_at_the_ends_of_a_period(when: str, back: str, due: str, tmp_path: Path) -> None:
    large = a_plan("large", {**BASE, "amount": "620"})
    result = played(
        a_story(
            *beginning("monthly"),
            do(when, "change_plan", plan="large"),
            plans=[a_plan("monthly", BASE), large],
        ),
        tmp_path,
    )
    assert documents(result) == [[("base", "310.00")], [("base", back), ("base", due)]]


def test_cancelled_at_the_instant_a_period_begins_all_of_it_comes_back(tmp_path: Path) -> None:
    result = played(
        a_story(
            *beginning("monthly"),
            peak("03-05", "7"),
            do("04-01", "cancel"),
            plans=[MONTHLY],
        ),
        tmp_path,
    )
    assert documents(result) == [[("base", "310.00")], [("peak", "7.00"), ("base", "310.00")]]
    assert notes(result) == [[("base", "310.00")]]


def test_by_30_360_every_day_of_a_month_is_a_thirtieth(tmp_path: Path) -> None:
    plans = [
        a_plan("even", {**BASE, "amount": "300"}, day_count="30/360"),
        a_plan("dear", {**BASE, "amount": "600"}, day_count="30/360"),
    ]
    result = played(
        a_story(*beginning("even"), do("03-16", "change_plan", plan="dear"), plans=plans), tmp_path
    )
    # The 16th to the 30th, to which the 31st counts: 15 of 30.
    assert documents(result)[1] == [("base", "-150.00"), ("base", "300.00")]


def test_after_a_change_the_rest_of_max_of_comes_back_as_it_was_billed(tmp_path: Path) -> None:
    dear = {**BASE, "key": "dear", "amount": "620"}
    cheap = {**BASE, "key": "cheap", "amount": "600", "prorate": False}
    plans = [a_plan("dearest", dear, cheap, max_of=["dear", "cheap"]), a_plan("free", PEAK)]
    result = played(
        a_story(*beginning("dearest"), do("03-16", "change_plan", plan="free"), plans=plans),
        tmp_path,
    )
    # For the rest alone the whole fee of 600 would be the dearer one; billed was the other.
    assert documents(result) == [[("dear", "620.00")]]
    assert notes(result) == [[("dear", "320.00")]]


def test_a_line_is_never_credited_beyond_what_it_billed(tmp_path: Path) -> None:
    plans = [
        a_plan(key, {**BASE, "amount": amount})
        for key, amount in (("s", "310"), ("m", "620"), ("l", "930"))
    ]
    result = played(
        a_story(
            *beginning("m"),
            do("03-02", "change_plan", plan="s"),
            do("03-02", "change_plan", plan="l"),
            do("03-02", "change_plan", plan="m"),
            do("03-02", "change_plan", plan="s"),
            at("04-01", "advance"),
            plans=plans,
        ),
        tmp_path,
    )
    total = sum(float(each["total"]) for each in result["invoices"])
    given_back = sum(float(each["total"]) for each in result["credit_notes"])
    # One day of `m`, thirty of `s`, and April of `s`.
    assert total - given_back == 20 + 300 + 310


def test_a_story_told_twice_has_the_same_bytes(tmp_path: Path) -> None:
    story = a_story(
        *beginning("team", quantities={"seats": "5"}, addons=["g3000"]),
        do("03-07", "add_addon", addon="g8000"),
        do("03-11", "pause"),
        do("03-16", "resume"),
        do("03-21", "change_plan", plan="club"),
        do("03-25", "cancel"),
        plans=PLANS,
    )
    assert played(story, tmp_path) == played(story, tmp_path)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"quantities": {"none": "1"}}, "unknown_price"),
        ({"quantities": {"peak": "1"}}, "price_is_metered"),
        ({"quantities": {"seats": "-1"}}, "quantity_out_of_range"),
        ({"addons": ["seats"]}, "not_an_addon"),
        ({"addons": [1]}, "not_a_list"),
        ({"quantities": 5}, "not_an_object"),
    ],
)
def test_what_can_not_be_held_is_refused(fields: dict[str, Any], code: str, tmp_path: Path) -> None:
    error = refused(a_story(*beginning("team", **fields), plans=PLANS), tmp_path)
    assert (error["step"], error["code"]) == (1, code)


def test_a_cohort_is_moved_to_a_new_version_and_the_others_keep_theirs(tmp_path: Path) -> None:
    def both(when: str, what: str, **fields: Any) -> list[dict[str, Any]]:
        return [at(when, what, tenant=key, **fields) for key in ("acme", "other")]

    result = played(
        a_story(
            *both("03-01", "create_tenant", apps=[]),
            *both("03-01", "subscribe", plan="pro"),
            at("03-10", "load_plans", plans=[a_plan("pro", {**BASE, "amount": "400"})]),
            at("03-16", "migrate", plan="pro", **{"from": 1, "to": 2}, tenants=["acme"]),
            at("04-01", "advance"),
            plans=[a_plan("pro", BASE)],
        ),
        tmp_path,
    )
    last = {each["tenant"]: each["total"] for each in result["invoices"]}
    assert last == {"acme": "400.00", "other": "310.00"}
    assert [each["version"] for each in result["subscriptions"]] == [2, 1]
