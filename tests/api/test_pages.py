"""Lists come in pages; the pages together are the list, whatever is added meanwhile."""

from typing import Any

import pytest

from tenants.domain import KeyScope
from tests.api.world import World, a_key, call

LISTS = [
    "/apps",
    "/keys",
    "/members",
    "/meters",
    "/plans",
    "/subscriptions",
    "/invoices",
    "/payments",
    "/events/rejected",
]


def read(path: str, world: World) -> Any:
    return call("GET", path, key=world.keys[KeyScope.READ])


@pytest.mark.parametrize("path", LISTS)
def test_the_pages_are_the_list(path: str, alpha: World) -> None:
    whole = read(f"{path}?limit=100", alpha).json()
    assert whole["next"] is None
    assert whole["data"]
    found, cursor = [], ""
    for _ in range(len(whole["data"]) + 1):
        page = read(f"{path}?limit=1{cursor}", alpha).json()
        assert len(page["data"]) == 1
        found += page["data"]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == whole["data"]


def test_what_is_added_meanwhile_moves_nothing(alpha: World) -> None:
    first = read("/keys?limit=2", alpha).json()
    a_key(alpha)
    second = read(f"/keys?limit=100&cursor={first['next']}", alpha).json()
    ids = [each["id"] for each in first["data"] + second["data"]]
    assert len(ids) == len(set(ids))
    whole = [each["id"] for each in read("/keys?limit=100", alpha).json()["data"]]
    assert whole[1:] == ids


@pytest.mark.parametrize("path", LISTS)
def test_a_cursor_is_ours_or_refused(path: str, alpha: World, bravo: World) -> None:
    cursor = read("/keys?limit=1", alpha).json()["next"]
    others = read(f"{path}?limit=1", bravo).json()["next"] or "x"
    swapped = cursor[:-1] + ("A" if cursor[-1] != "A" else "B")
    for bad in (others, swapped, "x", "WyJhIl0", "%00", ".", cursor + "x", "é"):
        answer = read(f"{path}?cursor={bad}", alpha)
        assert answer.status_code == 400, bad
        assert answer.json()["code"] in {"invalid_cursor", "bad_text"}
    if path != "/keys":
        assert read(f"{path}?cursor={cursor}", alpha).json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("limit", ["0", "101", "-1", "x", "", "1.5", "1e2", "9" * 30])
@pytest.mark.parametrize("path", LISTS)
def test_a_limit_is_1_to_100(path: str, limit: str, alpha: World) -> None:
    answer = read(f"{path}?limit={limit}", alpha)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["errors"][0]["field"] == "limit"


def test_invoices_are_filtered_by_status_and_by_the_local_day_their_period_starts(
    alpha: World,
) -> None:
    def starts(query: str) -> list[str]:
        shown = read(f"/invoices?{query}", alpha).json()["data"]
        return [each["period"]["starts_at"] for each in shown]

    march, april = "2026-03-01T00:00:00+08:00", "2026-04-01T00:00:00+08:00"
    assert starts("") == [april, march, march]
    assert starts("from=2026-04-01") == [april]
    assert starts("to=2026-04-01") == [march, march]
    # In UTC the period starts on March 31st.
    assert starts("from=2026-03-31&to=2026-04-01") == []
    assert starts("from=2026-03-01&to=2026-03-02") == [march, march]
    assert starts("status=open") == [april, march, march]
    assert starts("status=draft") == []


@pytest.mark.parametrize(
    "query", ["status=unpaid", "from=yesterday", "to=2026-02-30", "from=2026-3-1", "status="]
)
def test_a_wrong_filter_is_refused_and_named(query: str, alpha: World) -> None:
    answer = read(f"/invoices?{query}", alpha)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert answer.json()["field"] == query.partition("=")[0]


def test_a_parameter_stands_once(alpha: World) -> None:
    answer = read("/invoices?limit=1&limit=2", alpha)
    assert (answer.status_code, answer.json()["code"]) == (400, "repeated_parameter")
