"""What an event must hold, and with which code it is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metering.ingest.domain.events import Refusal, UsageEvent, age_fault, read_event

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def an_event(**changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = {
        "specversion": "1.0",
        "id": "1",
        "source": "sdk",
        "type": "message.sent",
        "subject": "chat",
        "time": "2026-11-24T20:00:00+08:00",
        "data": {"user": "u1", "kind": "group", "count": 2},
    }
    content.update(changes)
    return {name: value for name, value in content.items() if value is not ...}


def test_an_event_is_read() -> None:
    assert read_event(an_event(comexample="extensions are not our business")) == UsageEvent(
        source="sdk",
        id="1",
        type="message.sent",
        subject="chat",
        time=datetime(2026, 11, 24, 12, tzinfo=UTC),
        user="u1",
        kind="group",
        count=2,
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"specversion": ...}, "bad_specversion"),
        ({"specversion": "0.3"}, "bad_specversion"),
        ({"id": ...}, "bad_id"),
        ({"id": ""}, "bad_id"),
        ({"id": 5}, "bad_id"),
        ({"id": "x" * 201}, "bad_id"),
        ({"id": "a\x00b"}, "bad_id"),
        ({"id": "a\nb"}, "bad_id"),
        ({"id": "\ud800"}, "bad_id"),
        ({"source": ...}, "bad_source"),
        ({"source": "s" * 201}, "bad_source"),
        ({"type": ...}, "bad_type"),
        ({"type": "message.read"}, "unknown_type"),
        ({"subject": ...}, "bad_subject"),
        ({"subject": "s" * 101}, "bad_subject"),
        ({"subject": ["chat"]}, "bad_subject"),
        ({"time": ...}, "bad_time"),
        ({"time": 1700000000}, "bad_time"),
        ({"time": "2026-11-24"}, "bad_time"),
        ({"time": "2026-11-24T12:00:00"}, "bad_time"),
        ({"time": "2026-02-30T12:00:00Z"}, "bad_time"),
        ({"time": "2026-11-24T24:01:00Z"}, "bad_time"),
        ({"time": "2026-11-24T12:00:00+08:60"}, "bad_time"),
        ({"time": "2026-11-24T12:00:00+24:00"}, "bad_time"),
        ({"time": "0001-01-01T00:00:00+23:00"}, "bad_time"),
        ({"time": "9999-12-31T23:59:59-23:00"}, "bad_time"),
        ({"time": "1969-12-31T23:59:59Z"}, "bad_time"),
        ({"time": "２０26-11-24T12:00:00Z"}, "bad_time"),
        ({"data": ...}, "bad_data"),
        ({"data": "u1"}, "bad_data"),
        ({"data": {}}, "bad_user"),
        ({"data": {"user": ""}}, "bad_user"),
        ({"data": {"user": 7}}, "bad_user"),
        ({"data": {"user": "u" * 257}}, "bad_user"),
        ({"data": {"user": "u\x00"}}, "bad_user"),
        ({"data": {"user": "u", "kind": "two words"}}, "bad_kind"),
        ({"data": {"user": "u", "kind": 3}}, "bad_kind"),
        ({"data": {"user": "u", "kind": "k" * 65}}, "bad_kind"),
        ({"data": {"user": "u", "count": 0}}, "bad_count"),
        ({"data": {"user": "u", "count": -1}}, "bad_count"),
        ({"data": {"user": "u", "count": 1.0}}, "bad_count"),
        ({"data": {"user": "u", "count": True}}, "bad_count"),
        ({"data": {"user": "u", "count": "many"}}, "bad_count"),
        ({"data": {"user": "u", "count": 1_000_000_001}}, "bad_count"),
        ({"data": {"user": "u", "count": 10**400}}, "bad_count"),
        ({"data": {"user": "u", "note": "\ud800"}}, "bad_data"),
    ],
)
def test_what_is_wrong_is_refused_with_its_code(changes: dict[str, Any], code: str) -> None:
    refusal = read_event(an_event(**changes))
    assert isinstance(refusal, Refusal)
    assert refusal.code == code
    assert refusal.detail.endswith(".")


@pytest.mark.parametrize("content", [None, 1, "text", [], [an_event()]])
def test_what_is_no_object_is_no_event(content: object) -> None:
    refusal = read_event(content)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "bad_event"


def test_a_refusal_keeps_the_identity_when_it_could_be_read() -> None:
    refusal = read_event(an_event(time="soon"))
    assert isinstance(refusal, Refusal)
    assert (refusal.source, refusal.id) == ("sdk", "1")


def test_a_refusal_never_repeats_the_user() -> None:
    for user in ("secret\x00user", "secret" * 50, ["secret"]):
        refusal = read_event(an_event(data={"user": user}))
        assert isinstance(refusal, Refusal)
        assert "secret" not in refusal.detail


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-11-24T12:00:00Z", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("2026-11-24t12:00:00z", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("2026-11-24 12:00:00-00:00", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("2026-11-24T17:45:00+05:45", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("2026-11-25T04:00:00+16:00", datetime(2026, 11, 24, 12, tzinfo=UTC)),
        ("2026-11-24T12:00:00.5Z", datetime(2026, 11, 24, 12, 0, 0, 500000, tzinfo=UTC)),
        ("2026-11-24T12:00:00.123456789Z", datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)),
    ],
)
def test_times_are_read_with_their_offset(time: str, expected: datetime) -> None:
    event = read_event(an_event(time=time))
    assert isinstance(event, UsageEvent)
    assert event.time == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(..., 1), (None, 1), (7, 7), ("12", 12), (10**9, 10**9)]
)
def test_counts_are_whole_numbers_or_their_text(count: object, expected: int) -> None:
    data = {"user": "u"} if count is ... else {"user": "u", "count": count}
    event = read_event(an_event(data=data))
    assert isinstance(event, UsageEvent)
    assert event.count == expected


@pytest.mark.parametrize(
    ("age", "code"),
    [
        (timedelta(days=35), None),
        (timedelta(days=35, seconds=-1), None),
        (timedelta(days=35, seconds=1), "event_too_old"),
        (timedelta(minutes=-5), None),
        (timedelta(minutes=-5, seconds=1), None),
        (timedelta(minutes=-5, seconds=-1), "event_in_future"),
    ],
)
def test_a_new_event_is_35_days_back_at_most_and_5_minutes_ahead(
    age: timedelta, code: str | None
) -> None:
    fault = age_fault(time=NOW - age, now=NOW)
    assert (fault.code if fault else None) == code
