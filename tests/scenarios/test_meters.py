"""Stories of what is counted: users of a period, levels over time, usage by its properties."""

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.stories import a_plan, a_story, amounts, at, beginning, played, refused

pytestmark = pytest.mark.usefixtures("db")


def price(meter: str, aggregation: str, **fields: Any) -> dict[str, Any]:
    return {
        "key": fields.pop("key", meter),
        "meter": meter,
        "period_aggregation": aggregation,
        "model": "per_unit",
        "unit_price": "1",
        **fields,
    }


def active(when: str, *users: str, app: str = "chat", **fields: Any) -> dict[str, Any]:
    instant = f"2026-{when}T12:00:00+08:00"
    return at(
        f"{when}T13:00",
        "events",
        app=app,
        events=[
            {"id": f"{app}-{when}-{user}", "time": instant, "user": user, **fields}
            for user in users
        ],
    )


def read(when: str, type_: str, value: object, **fields: Any) -> dict[str, Any]:
    instant = f"2026-{when}T12:00:00+08:00"
    event = {"id": f"{type_}-{when}", "time": instant, "type": type_, "value": value, **fields}
    return at(f"{when}T13:00", "events", app="chat", events=[event])


def billed(steps: list[dict[str, Any]], *prices: dict[str, Any], folder: Path) -> Any:
    story = a_story(*steps, at("04-02", "advance"), plans=[a_plan("metered", *prices)])
    return played(story, folder)


TWO_APPS = [
    at("03-01", "create_tenant", tenant="acme", apps=["chat", "push"]),
    at("03-01", "subscribe", tenant="acme", plan="metered", anchor="calendar"),
]


@pytest.mark.parametrize("meter", ["dau", "mau"])
@pytest.mark.parametrize(
    ("scope", "expected"),
    [("app", ["3.00", "2.00"]), ("tenant", ["4.00"]), ("tenant_sum_of_peaks", ["5.00"])],
)
def test_the_different_users_of_a_month(
    meter: str, scope: str, expected: list[str], tmp_path: Path
) -> None:
    steps = [
        *TWO_APPS,
        active("03-05", "a", "b"),
        active("03-06", "b", "c"),
        active("03-06", "c", "d", app="push"),
        active("03-31", "c", app="push"),
    ]
    result = billed(steps, price(meter, "distinct", scope=scope), folder=tmp_path)
    (invoice,) = result["invoices"]
    assert [line["amount"] for line in invoice["lines"]] == expected


def test_the_users_of_the_parts_of_a_month_are_counted_for_each_part(tmp_path: Path) -> None:
    steps = [
        *beginning("metered"),
        active("03-05", "a", "b"),
        active("03-15", "a", "c"),
        at("03-16", "change_plan", tenant="acme", plan="dear", when="now"),
        active("03-16", "a", "d"),
        active("03-20", "d", "e"),
        at("04-02", "advance"),
    ]
    plans = [
        a_plan("metered", price("mau", "distinct")),
        a_plan("dear", price("mau", "distinct", unit_price="10")),
    ]
    (invoice,) = played(a_story(*steps, plans=plans), tmp_path)["invoices"]
    # a, b and c before the change, a, d and e from the change day on.
    assert [line["amount"] for line in invoice["lines"]] == ["3.00", "30.00"]


def test_users_on_the_day_of_a_cancellation_count(tmp_path: Path) -> None:
    steps = [
        *beginning("metered"),
        active("03-05", "a", "b"),
        active("03-10", "b", "c"),
        at("03-10T18:00", "cancel", tenant="acme", when="now"),
    ]
    result = billed(steps, price("mau", "distinct"), folder=tmp_path)
    assert [line["amount"] for line in result["invoices"][0]["lines"]] == ["3.00"]


def test_users_that_came_late_count_in_a_draft_too(tmp_path: Path) -> None:
    steps = [
        *beginning("metered"),
        active("03-05", "a", "b"),
        active("03-06", "a"),
        at(
            "04-01T06:00",
            "events",
            app="chat",
            events=[{"id": "late", "time": "2026-03-31T23:00:00+08:00", "user": "z"}],
        ),
    ]
    plan = a_plan("metered", price("mau", "distinct"), grace="PT24H")
    story = a_story(*steps, at("04-03", "advance"), plans=[plan])
    assert [line["amount"] for line in played(story, tmp_path)["invoices"][0]["lines"]] == ["3.00"]


def set_day(day: str, value: str, meter: str = "dau", **fields: Any) -> dict[str, Any]:
    return at(
        f"{day}T12:00", "usage", app="chat", meter=meter, day=f"2026-{day}", value=value, **fields
    )


def test_a_day_set_by_hand_has_no_users_that_could_be_told_apart(tmp_path: Path) -> None:
    story = a_story(
        *beginning("metered"),
        active("03-05", "a", "b"),
        set_day("03-06", "500"),
        at("04-02", "advance"),
        plans=[a_plan("metered", price("dau", "distinct"))],
    )
    assert refused(story, tmp_path)["code"] == "users_not_known"


def test_a_single_day_set_by_hand_needs_none(tmp_path: Path) -> None:
    steps = [*beginning("metered"), set_day("03-31", "15000", meter="mau")]
    result = billed(steps, price("mau", "distinct"), folder=tmp_path)
    assert [line["amount"] for line in result["invoices"][0]["lines"]] == ["15000.00"]


def test_a_level_holds_from_when_it_is_set_until_the_next(tmp_path: Path) -> None:
    steps = [
        *beginning("metered"),
        read("03-02", "storage.measured", "31"),
        read("03-30", "storage.measured", "62"),
    ]
    result = billed(steps, price("storage", "time_weighted_mean"), folder=tmp_path)
    # 28 days at 31 and 2 at 62, of 31.
    (line,) = result["invoices"][0]["lines"]
    assert line["amount"] == "32.00"
    assert line["explanation"]["aggregation"]["without_value"] == "as the day before"


def test_what_is_no_level_is_0_on_days_without_usage(tmp_path: Path) -> None:
    steps = [*beginning("metered"), set_day("03-02", "31"), set_day("03-30", "62")]
    result = billed(steps, price("dau", "time_weighted_mean"), folder=tmp_path)
    assert [line["amount"] for line in result["invoices"][0]["lines"]] == ["3.00"]


def test_gauges_are_billed_by_their_latest_and_highest_reading(tmp_path: Path) -> None:
    steps = [
        *beginning("metered"),
        read("03-02", "groups.measured", 40),
        read("03-09", "groups.measured", 70),
        read("03-20", "groups.measured", 0),
        read("03-03", "connections.measured", 900),
        read("03-04", "connections.measured", 300),
    ]
    result = billed(
        steps,
        price("groups", "latest"),
        price("groups", "max", key="most_groups"),
        price("peak_connections", "max_day"),
        folder=tmp_path,
    )
    assert amounts(result["invoices"][0]) == [
        ("groups", "0.00"),
        ("most_groups", "70.00"),
        ("peak_connections", "900.00"),
    ]


def test_usage_is_priced_by_its_properties(tmp_path: Path) -> None:
    steps = [
        *beginning("metered"),
        active("03-05", "a", kind="group", direction="up", region="eu", count=10),
        active("03-06", "a", kind="group", direction="down", region="eu", count=200),
        active("03-07", "a", kind="push", direction="down", region="cn", count=3000),
        set_day("03-08", "40000", meter="messages", direction="up", region="cn"),
    ]
    result = billed(
        steps,
        price("messages", "sum", key="up", filter={"direction": "up"}),
        price("messages", "sum", key="eu_down", filter={"direction": "down", "region": ["eu"]}),
        price("messages", "sum", key="cn", filter={"region": ["cn", "us"]}),
        price("messages", "sum", key="all"),
        folder=tmp_path,
    )
    assert amounts(result["invoices"][0]) == [
        ("up", "40010.00"),
        ("eu_down", "200.00"),
        ("cn", "43000.00"),
        ("all", "43210.00"),
    ]


def test_a_step_names_only_properties_that_the_meter_is_kept_by(tmp_path: Path) -> None:
    story = a_story(
        *beginning("metered"),
        set_day("03-08", "5", region="eu"),
        plans=[a_plan("metered", price("dau", "max_day"))],
    )
    error = refused(story, tmp_path)
    assert (error["code"], error["step"]) == ("unknown_dimension", 2)


def test_a_plan_is_refused_that_filters_users(tmp_path: Path) -> None:
    plan = a_plan("metered", price("dau", "max_day", filter={"region": "eu"}))
    error = refused(a_story(*beginning("metered"), plans=[plan]), tmp_path)
    assert "kept by no property" in error["message"]
