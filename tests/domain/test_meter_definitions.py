"""What a meter's definition may say, and with which field it is refused."""

from typing import Any

import pytest

from kernel.errors import Invalid
from metering.meters.domain import Aggregation, Identity, Sort, Zone, counting_rules
from metering.meters.domain.definition import read_definition

MINUTES: dict[str, Any] = {
    "key": "minutes",
    "event_types": ["call.ended"],
    "filter": {"kind": "video", "region": ["eu", "us"]},
    "aggregation": "sum",
    "quantity": "value",
    "dimensions": ["region", "kind"],
    "zone": "utc",
    "effective_from": "2026-04-01",
}


def test_a_definition_is_read_and_written_again() -> None:
    definition = read_definition(MINUTES)
    meter = definition.meter
    assert (meter.aggregation, meter.zone, meter.reads_value) == (Aggregation.SUM, Zone.UTC, True)
    assert meter.versions[0].filter == {"kind": {"video"}, "region": {"eu", "us"}}
    assert read_definition(definition.document) == definition
    assert definition.document["dimensions"] == ["kind", "region"]


def test_what_is_left_out_has_its_default() -> None:
    definition = read_definition(
        {
            "key": "seen",
            "event_types": ["user.login"],
            "aggregation": "distinct",
            "effective_from": "2026-04-01",
        }
    )
    assert definition.meter.identity is Identity.USER
    assert definition.meter.zone is Zone.TENANT
    assert read_definition(definition.document) == definition


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"key": "Minutes"}, "key"),
        ({"key": None}, "key"),
        ({"key": "x" * 64}, "key"),
        ({"event_types": []}, "event_types"),
        ({"event_types": "call.ended"}, "event_types"),
        ({"event_types": ["Call"]}, "event_types"),
        ({"event_types": ["a." + "b" * 100]}, "event_types"),
        ({"filter": []}, "filter"),
        ({"filter": {"device": ["x"]}}, "filter"),
        ({"filter": {"kind": []}}, "kind"),
        ({"filter": {"kind": ["two words"]}}, "filter"),
        ({"aggregation": "mean"}, "aggregation"),
        ({"aggregation": None}, "aggregation"),
        ({"aggregation": "max"}, "quantity"),
        ({"quantity": "bytes"}, "quantity"),
        ({"identity": "user"}, "identity"),
        ({"dimensions": ["device"]}, "dimensions"),
        ({"zone": "Asia/Shanghai"}, "zone"),
        ({"effective_from": "2026-4-1"}, "effective_from"),
        ({"effective_from": "2026-02-30"}, "effective_from"),
        ({"effective_from": 20260401}, "effective_from"),
        ({"unit": "s"}, "unit"),
    ],
)
def test_what_is_wrong_is_refused_with_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_definition({**MINUTES, **changes})
    assert (caught.value.code, caught.value.field) == ("bad_meter", field)


def test_no_object_and_no_key_of_summit_s_own() -> None:
    nothings: list[object] = [None, [], "dau"]
    for document in nothings:
        with pytest.raises(Invalid):
            read_definition(document)
    with pytest.raises(Invalid) as caught:
        read_definition({**MINUTES, "key": "mau"})
    assert caught.value.code == "meter_key_taken"


def test_a_distinct_meter_has_no_dimensions() -> None:
    with pytest.raises(Invalid) as caught:
        read_definition(
            {
                "key": "seen",
                "event_types": ["user.login"],
                "aggregation": "distinct",
                "dimensions": ["region"],
                "effective_from": "2026-04-01",
            }
        )
    assert caught.value.field == "dimensions"


def test_a_sort_counts_under_the_dimensions_that_the_meter_keeps() -> None:
    meter = read_definition(MINUTES).meter
    sorts = [
        Sort("call.ended", "video;deployment=d1;region=eu"),
        Sort("call.ended", "video;region=cn"),
        Sort("call.ended", "audio;region=eu"),
        Sort("message.sent", "video;region=eu"),
    ]
    (rule,) = counting_rules(meters=[meter], sorts=sorts)
    assert (rule.sort, rule.kept) == (sorts[0], "video;region=eu")
