"""Stories of changes after a credit note: together they give back no more than was billed.

March 2026 has 31 days. `small` is 310 a month, 10 a day; `large` 620, 20 a day.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.stories import BASE, a_plan, a_story, amounts, at, beginning, played, refused

pytestmark = pytest.mark.usefixtures("db")

SEATS: dict[str, Any] = {"key": "seats", "model": "per_unit", "unit_price": "31", "prorate": True}
PLANS = [
    a_plan("small", BASE),
    a_plan("large", {**BASE, "amount": "620"}),
    a_plan("taxed", BASE, tax_percent="6"),
    a_plan("seated", BASE, SEATS),
]


def credited(amount: str, *, invoice: int = 1, line: int = 1, day: str = "03-05") -> dict[str, Any]:
    return at(
        day,
        "credit_note",
        invoice=invoice,
        lines=[{"line": line, "amount": amount}],
        reason="outage",
    )


def cancel(when: str) -> dict[str, Any]:
    return at(when, "cancel", tenant="acme", when="now")


def change(when: str, plan: str) -> dict[str, Any]:
    return at(when, "change_plan", tenant="acme", plan=plan, when="now")


def notes(result: dict[str, Any]) -> list[str]:
    return [note["total"] for note in result["credit_notes"]]


@pytest.mark.parametrize(
    ("amount", "unused"),
    [
        ("310.00", []),  # nothing is left
        ("200.00", ["110.00"]),  # 110 are left of 160 unused
        ("100.00", ["160.00"]),  # the 15 days served keep 50 of their 150
    ],
)
def test_a_cancellation_gives_back_what_is_left(
    tmp_path: Path, amount: str, unused: list[str]
) -> None:
    story = a_story(*beginning("small"), credited(amount), cancel("03-16"), plans=PLANS)
    assert notes(played(story, tmp_path)) == [amount, *unused]


def test_an_upgrade_too(tmp_path: Path) -> None:
    story = a_story(*beginning("small"), credited("310.00"), change("03-16", "large"), plans=PLANS)
    assert amounts(played(story, tmp_path)["invoices"][1]) == [("base", "320.00")]


def test_tax_follows_what_is_left(tmp_path: Path) -> None:
    story = a_story(*beginning("taxed"), credited("300.00"), cancel("03-16"), plans=PLANS)
    assert [
        (note["tax_total"], note["total"]) for note in played(story, tmp_path)["credit_notes"]
    ] == [("18.00", "318.00"), ("0.60", "10.60")]


def test_what_changes_gave_back_and_charged_before_counts(tmp_path: Path) -> None:
    """310 - 160 on the 16th + 120 from the 20th on - 150: 120 are left, of which 70 are unused."""
    story = a_story(
        *beginning("small"),
        change("03-16", "large"),
        change("03-20", "small"),
        credited("150.00", day="03-21"),
        cancel("03-25"),
        plans=PLANS,
    )
    # The change back to small gives 240 back and charges 120.
    assert notes(played(story, tmp_path)) == ["120.00", "150.00", "70.00"]


def test_another_price_of_the_plan_is_left_alone(tmp_path: Path) -> None:
    story = a_story(
        *beginning("seated"),
        credited("310.00"),
        at("03-16", "change_quantity", tenant="acme", price="seats", quantity="3", when="now"),
        plans=PLANS,
    )
    assert amounts(played(story, tmp_path)["invoices"][1]) == [
        ("seats", "-16.00"),
        ("seats", "48.00"),
    ]


def test_what_an_upgrade_gave_back_is_not_credited_again(tmp_path: Path) -> None:
    """Of 310 the upgrade took 160 back on its own invoice: 150 are left."""

    def story(amount: str) -> dict[str, Any]:
        steps = [*beginning("small"), change("03-16", "large"), credited(amount, day="03-17")]
        return a_story(*steps, plans=PLANS)

    assert refused(story("150.01"), tmp_path)["code"] == "above_line"
    assert notes(played(story("150.00"), tmp_path)) == ["150.00"]
