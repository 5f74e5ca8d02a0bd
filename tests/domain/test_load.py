"""Generated load: the published sizes of both profiles, and the same bytes for the same options."""

import hashlib
import tracemalloc
from collections import Counter
from datetime import date
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from config.load.bodies import Told, csv_rows, event_bodies, event_lines, reports
from config.load.profile import Load, Profile, tenants_of
from config.load.traffic import active_days_of, events_of
from metering.meters.domain import MESSAGE_SENT

SHANGHAI = ZoneInfo("Asia/Shanghai")


def a_load(profile: Profile = Profile.LOG_NORMAL, **changes: int) -> Load:
    sizes = {"seed": 1, "tenants": 50, "users": 2_000, "days": 1, **changes}
    return Load(profile=profile, from_day=date(2026, 3, 5), **sizes)


def rows_of(load: Load, *, messages: int = 3, repeats: int = 0) -> bytes:
    events = events_of(load, zone=SHANGHAI, messages=messages, repeats=repeats)
    return b"".join(csv_rows(events, told=Told()))


@pytest.mark.parametrize(
    ("profile", "above"),
    [
        # How many of 100,000 tenants with 30 million users have more than so many.
        (Profile.LOG_NORMAL, {100: 19_839, 1_000: 4_042, 10_000: 409, 100_000: 20, 300_000: 4}),
        (Profile.ZIPF, {100: 24_813, 1_000: 2_481, 10_000: 248, 100_000: 24, 300_000: 8}),
    ],
)
def test_the_sizes_are_the_published_ones(profile: Profile, above: dict[int, int]) -> None:
    users = [
        each.users[0] for each in tenants_of(a_load(profile, tenants=100_000, users=30_000_000))
    ]
    for bound, count in above.items():
        assert abs(sum(each > bound for each in users) - count) <= max(2, count // 100), bound
    assert abs(sum(users) - 30_000_000) < 1_000
    assert users[0] == pytest.approx(
        940_000 if profile is Profile.LOG_NORMAL else 2_481_359, rel=0.01
    )
    if profile is Profile.LOG_NORMAL:
        # 17 % have less than one user; of those some have one on that day.
        assert 0.83 < len(users) / 100_000 < 0.92


def test_a_seed_makes_the_same_bytes_and_another_makes_others() -> None:
    once = rows_of(a_load(days=2))
    assert once == rows_of(a_load(days=2))
    assert once != rows_of(a_load(days=2, seed=2))
    # Written down, so that a change of it is seen.
    assert hashlib.sha256(rows_of(a_load(tenants=5, users=50))).hexdigest() == (
        "b4f9032dde0ba73d9fc39545eecd5abf6e3008b7447f0faeb90c018e48d8917f"
    )


def test_a_day_does_not_change_because_others_are_added() -> None:
    one, two = (set(rows_of(a_load(days=days)).splitlines()) for days in (1, 2))
    assert one < two


def test_every_event_once_in_its_local_day() -> None:
    load = a_load(days=3)
    events = list(events_of(load, zone=SHANGHAI, messages=5, repeats=0))
    assert len({(each.app, each.id) for each in events}) == len(events)
    days = Counter(each.time.astimezone(SHANGHAI).date() for each in events)
    assert sorted(days) == [date(2026, 3, 5), date(2026, 3, 6), date(2026, 3, 7)]
    users = {(each.app, each.time.astimezone(SHANGHAI).date(), each.user) for each in events}
    assert len(users) == sum(sum(each.users) for each in tenants_of(load))
    # More different users in three days than on one.
    assert len({(app, user) for app, _, user in users}) > 1.3 * load.users


def test_evenings_are_busier_than_nights() -> None:
    events = events_of(a_load(users=5_000), zone=SHANGHAI, messages=5, repeats=0)
    hours = Counter(each.time.astimezone(SHANGHAI).hour for each in events)
    assert hours[21] > 8 * hours[4]


def test_one_message_each_is_exactly_one() -> None:
    load = a_load()
    events = sum(1 for _ in events_of(load, zone=SHANGHAI, messages=1, repeats=0))
    assert events == sum(sum(each.users) for each in tenants_of(load))


def test_repeats_are_the_same_rows_again() -> None:
    told = Told()
    events = events_of(a_load(), zone=SHANGHAI, messages=5, repeats=100)
    rows = b"".join(csv_rows(events, told=told)).splitlines()[1:]
    assert len(rows) - len(set(rows)) == told.repeats
    assert told.repeats == pytest.approx(told.events / 10, rel=0.15)


def test_days_of_a_change_of_clocks_hold_their_events() -> None:
    zone = ZoneInfo("Europe/Berlin")
    load = Load(
        seed=1,
        profile=Profile.ZIPF,
        tenants=5,
        users=500,
        from_day=date(2026, 3, 29),  # 23 hours
        days=1,
    )
    days = {
        each.time.astimezone(zone).date()
        for each in events_of(load, zone=zone, messages=9, repeats=0)
    }
    assert days == {date(2026, 3, 29)}


def test_reports_tell_the_same_users_and_messages() -> None:
    load = a_load(days=2)
    events = Told()
    lines = event_lines(events_of(load, zone=SHANGHAI, messages=5, repeats=0), told=events)
    bodies = list(event_bodies(lines))
    told = Told()
    made = list(
        reports(
            active_days_of(load, zone=SHANGHAI, messages=5, most_users=300),
            gateway="gw",
            epoch="1",
            told=told,
        )
    )
    assert (told.users, told.events) == (events.users, events.events)
    assert [each["sequence"] for each in made] == list(range(1, len(made) + 1))
    assert sum(content.count(MESSAGE_SENT.encode()) for _, content in bodies) == events.events
    for report in made:
        apps = [each["app"] for each in report["apps"]]
        assert len(apps) == len(set(apps))


def test_memory_does_not_grow_with_the_load() -> None:
    def peak(users: int) -> int:
        tracemalloc.start()
        load = a_load(tenants=2_000, users=users)
        for _ in islice(events_of(load, zone=SHANGHAI, messages=1, repeats=0), users):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    small = peak(2_000)
    assert peak(40_000) < small + 200_000
