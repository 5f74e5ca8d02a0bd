"""Whatever a plan document holds, it is read or refused with its faults; it never breaks."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from billing.catalog.domain import Fault, PlanFaults, parse_plan
from kernel.canonical import canonical_bytes

WHOLE: dict[str, Any] = {
    "key": "pro",
    "name": {"en": "Pro"},
    "currency": "CNY",
    "interval": "month",
    "interval_count": 1,
    "trial_days": 3,
    "effective_from": "2026-03-20",
    "grace": "PT1H",
    "day_count": "actual",
    "minimum": "1",
    "maximum": "2",
    "max_of": ["a", "b"],
    "entitlements": {"dau": {"limit": 30000, "kind": "hard"}, "sso": True},
    "prices": [
        {
            "key": "a",
            "model": "graduated",
            "tiers": [{"up_to": "5", "unit_price": "1"}, {"up_to": None, "flat_fee": "2"}],
            "meter": "dau",
            "period_aggregation": "kth_max_day",
            "k": 3,
            "scope": "tenant",
            "filter": {"kind": ["x"]},
            "convert": {"divide_by": "10", "rounding": "up", "decimals": 1},
            "included": "4",
            "minimum": "1",
            "maximum": "2",
        },
        {"key": "b", "model": "package", "package_size": "2", "package_price": "3"},
    ],
}

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.decimals()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0", "-1", "1e30", "NaN", "flat", "volume", "dau", "a", "kth_max_day"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of the document."""
    found = [path]
    if isinstance(value, dict):
        for key, item in value.items():
            found += paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += paths(item, (*path, index))
    return found


def check(document: object) -> None:
    faults: tuple[Fault, ...] = ()
    try:
        terms = parse_plan(document, known_meters=["dau"])
    except PlanFaults as refusal:
        faults = refusal.faults
    else:
        again = parse_plan(terms.document, known_meters=["dau"])
        assert again == terms
        assert canonical_bytes(again.document) == canonical_bytes(terms.document)
        return
    assert faults
    for fault in faults:
        assert fault.code
        assert fault.message.encode()
        assert fault.path.isprintable()


def test_the_whole_vocabulary_is_right() -> None:
    assert parse_plan(WHOLE, known_meters=["dau"]).key == "pro"


@given(values)
def test_any_document(document: object) -> None:
    check(document)


@given(st.sampled_from(paths(WHOLE)[1:]), values)
def test_a_right_document_with_one_thing_changed(path: tuple[Any, ...], value: object) -> None:
    document = deepcopy(WHOLE)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    check(document)


@given(st.sampled_from(paths(WHOLE)[1:]))
def test_a_right_document_with_one_thing_missing(path: tuple[Any, ...]) -> None:
    document = deepcopy(WHOLE)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    check(document)


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_any_figure(figure: Decimal) -> None:
    check({**WHOLE, "minimum": str(figure), "maximum": None})
