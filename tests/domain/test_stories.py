"""What a story's steps may say, and how they are refused: by place, code and field."""

from typing import Any

import pytest

from billing.scenarios.domain.reading import read_story
from billing.scenarios.domain.steps import StepFault, Subscribe

STEPS: dict[str, dict[str, Any]] = {
    "create_tenant": {"tenant": "acme", "apps": ["chat"]},
    "subscribe": {"tenant": "acme", "plan": "pro"},
    "usage": {"app": "chat", "meter": "dau", "day": "2026-03-05", "value": "7"},
    "events": {"app": "chat", "events": []},
    "change_plan": {"tenant": "acme", "plan": "pro"},
    "change_quantity": {"tenant": "acme", "price": "seats", "quantity": "2"},
    "add_addon": {"tenant": "acme", "addon": "history"},
    "cancel": {"tenant": "acme"},
    "pause": {"tenant": "acme"},
    "grant": {"tenant": "acme", "kind": "cash", "amount": "1", "expires_at": None},
    "pay": {"invoice": 1, "amount": "full"},
    "credit_note": {"invoice": 1, "lines": [{"line": 1, "amount": "1"}], "reason": "outage"},
    "migrate": {"plan": "pro", "from": 1, "to": 2},
    "load_plans": {"plans": []},
    "advance": {},
}


def story(do: str, **fields: Any) -> dict[str, Any]:
    when = {"to" if do == "advance" else "at": "2026-03-01T00:00:00+08:00"}
    return {"plans": [], "steps": [{**when, "do": do, **STEPS[do], **fields}]}


def refused(document: object) -> tuple[int | None, str, str | None]:
    with pytest.raises(StepFault) as fault:
        read_story(document)
    return fault.value.step, fault.value.code, fault.value.field


@pytest.mark.parametrize("do", STEPS)
def test_what_a_step_says_beyond_its_fields_is_refused(do: str) -> None:
    """A misspelt field would be left out of the amounts without a word."""
    assert len(read_story(story(do, note="for the reader")).steps) == 1
    assert refused(story(do, quantitty="5")) == (0, "unknown_field", "quantitty")


def test_a_field_of_another_step_is_unknown() -> None:
    assert refused(story("pause", plan="pro")) == (0, "unknown_field", "plan")


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\ud800"])
@pytest.mark.parametrize(
    ("do", "field"),
    [
        ("usage", "app"),
        ("change_plan", "plan"),
        ("credit_note", "reason"),
        ("create_tenant", "name"),
    ],
)
def test_a_text_that_no_database_takes_is_refused(do: str, field: str, text: str) -> None:
    assert refused(story(do, **{field: text})) == (0, "not_a_text", field)


def test_such_a_text_is_refused_however_deep_it_stands() -> None:
    scope = {"prices": ["base", "\x00"]}
    assert refused(story("grant", scope=scope)) == (0, "not_a_text", "scope")


def test_a_story_in_no_currency_is_refused() -> None:
    story_of_none = {"currency": "XXX", "plans": [], "steps": []}
    assert refused(story_of_none) == (None, "unknown_currency", "currency")


@pytest.mark.parametrize("day", ["20260305", "2026-W10-4", "2026-02-30", "2026-03-05T00:00:00"])
def test_a_day_is_written_in_one_way(day: str) -> None:
    assert refused(story("usage", day=day)) == (0, "not_a_date", "day")


def test_a_day_outside_the_calendar_is_refused() -> None:
    assert refused(story("usage", day="0001-01-01")) == (0, "date_out_of_range", "day")


def test_a_subscription_may_name_its_own_zone() -> None:
    (step,) = read_story(story("subscribe", timezone="Europe/Berlin")).steps
    assert isinstance(step.action, Subscribe)
    assert step.action.timezone == "Europe/Berlin"
    assert refused(story("subscribe", timezone=8)) == (0, "not_a_text", "timezone")
