"""Ids, the clock, errors, canonical JSON, JSON from outside, durations, zones."""

import threading
import time
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest

from kernel import canonical, clock, ids
from kernel.documents import parse_json
from kernel.durations import duration_text, parse_duration
from kernel.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, Unavailable
from kernel.zones import zone_named


class TestErrors:
    def test_a_refusal_carries_code_message_field_and_params(self) -> None:
        refusal = Invalid("too_big", "size is too big.", field="size", params={"limit": 5})
        assert (refusal.code, refusal.message, refusal.field) == ("too_big", str(refusal), "size")
        assert refusal.params == {"limit": 5}
        assert Invalid("a", "b").params == {}

    @pytest.mark.parametrize("kind", [Invalid, NotFound, Conflict, Forbidden, Unavailable])
    def test_every_kind_is_a_domain_error(self, kind: type[DomainError]) -> None:
        assert issubclass(kind, DomainError)


class TestClock:
    def test_it_goes_by_one_that_is_right(self) -> None:
        clock.set_by(datetime.now(UTC) + timedelta(days=2))
        assert timedelta(days=1) < clock.now() - datetime.now(UTC) <= timedelta(days=2)
        assert clock.wall_milliseconds() > (time.time() + 86_400) * 1000
        clock.set_by(datetime.now(UTC) + timedelta(milliseconds=300))  # the time of asking
        assert clock.now() <= datetime.now(UTC)

    def test_it_runs_in_utc(self) -> None:
        before = datetime.now(UTC)
        assert before <= clock.now() <= datetime.now(UTC)
        assert clock.now().tzinfo is UTC

    def test_moved_it_stands_still_and_comes_back(self) -> None:
        there = datetime(2026, 4, 2, 8, tzinfo=timezone(timedelta(hours=8)))
        with clock.moved_to(there) as moved:
            assert moved == clock.now() == there
            assert clock.now().tzinfo is UTC
            with clock.moved_to(there + timedelta(days=1)):
                assert clock.now() == there + timedelta(days=1)
            assert clock.now() == there
        assert clock.now() > there

    def test_other_threads_keep_their_time(self) -> None:
        seen: list[datetime] = []
        with clock.moved_to(datetime(1999, 1, 1, tzinfo=UTC)):
            thread = threading.Thread(target=lambda: seen.append(clock.now()))
            thread.start()
            thread.join()
        assert seen[0].year > 2000

    def test_a_naive_instant_is_refused(self) -> None:
        naive = datetime(2026, 1, 1)  # noqa: DTZ001  # the naive instant is the point
        with pytest.raises(Invalid) as refused, clock.moved_to(naive):
            pass
        assert refused.value.code == "naive_instant"


class TestIds:
    def test_they_are_version_7_and_rise(self) -> None:
        made = [ids.new_id() for _ in range(10_000)]
        assert made == sorted(made)
        assert len(set(made)) == len(made)
        assert {each.version for each in made} == {7}
        assert {each.variant for each in made} == {"specified in RFC 4122"}
        assert abs((made[0].int >> 80) - clock.wall_milliseconds()) < 60_000

    def test_they_rise_when_the_clock_steps_back(self, monkeypatch: pytest.MonkeyPatch) -> None:
        before = ids.new_id()
        monkeypatch.setattr(clock, "wall_milliseconds", lambda: 5)
        after = [ids.new_id() for _ in range(5000)]
        assert [before, *after] == sorted([before, *after])

    def test_they_are_unique_over_threads(self) -> None:
        made: list[UUID] = []

        def make() -> None:
            made.extend([ids.new_id() for _ in range(2000)])

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(made)) == 8000

    def test_public_ids_read_back(self) -> None:
        uuid = ids.new_id()
        shown = ids.public_id("inv", uuid)
        assert shown.startswith("inv_")
        assert len(shown) == 26
        assert ids.parse_public_id(shown, prefix="inv") == uuid

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "inv",
            "inv_",
            "pay_0000000000000000000000",
            "0000000000000000000000",
            "inv_000000000000000000000",
            "inv_000000000000000000000!",
            "inv_zzzzzzzzzzzzzzzzzzzzzz",
        ],
    )
    def test_what_is_no_public_id_is_refused(self, text: str) -> None:
        with pytest.raises(Invalid) as refused:
            ids.parse_public_id(text, prefix="inv")
        assert refused.value.code == "invalid_id"

    @pytest.mark.parametrize("number", [-1, 1 << 128])
    def test_numbers_beyond_128_bits_are_refused(self, number: int) -> None:
        with pytest.raises(Invalid):
            ids.encode_base62(number)

    def test_bounds_of_base62(self) -> None:
        assert ids.encode_base62(0) == "0" * 22
        assert ids.decode_base62(ids.encode_base62((1 << 128) - 1)) == (1 << 128) - 1


class TestCanonicalJson:
    def test_equal_values_have_equal_bytes(self) -> None:
        one = {"b": [Decimal("5.00"), None, True], "a": {"ü": "专业版", "x": 1}}
        other = {"a": {"x": 1, "ü": "专业版"}, "b": (Decimal("5"), None, True)}
        assert canonical.canonical_bytes(one) == canonical.canonical_bytes(other)
        assert (
            canonical.canonical_bytes(one)
            == '{"a":{"x":1,"ü":"专业版"},"b":["5",null,true]}'.encode()
        )
        assert canonical.sha256_hex(one) == canonical.sha256_hex(other)
        assert len(canonical.sha256_hex({})) == 64

    def test_dates_instants_ids_and_fractions(self) -> None:
        value = [
            date(2026, 3, 1),
            datetime(2026, 3, 1, 8, tzinfo=timezone(timedelta(hours=8))),
            UUID(int=1),
            Fraction(17, 31),
        ]
        assert canonical.canonical_bytes(value) == (
            b'["2026-03-01","2026-03-01T00:00:00+00:00",'
            b'"00000000-0000-0000-0000-000000000001","17/31"]'
        )

    @pytest.mark.parametrize(
        "value",
        [
            1.5,
            {1: "x"},
            {"x": 0.5},
            {1, 2},
            Decimal("NaN"),
            datetime(2026, 1, 1),  # noqa: DTZ001  # the naive instant is the point
            b"x",
            "\ud800",
        ],
    )
    def test_what_has_no_one_form_is_refused(self, value: object) -> None:
        with pytest.raises(Invalid) as refused:
            canonical.canonical_bytes(value)
        assert refused.value.code == "not_canonical"


class TestJson:
    def test_decimals_stay_exact(self) -> None:
        assert parse_json('{"a": 0.1, "b": 5, "c": "x"}') == {"a": Decimal("0.1"), "b": 5, "c": "x"}
        assert parse_json(b"\xef\xbb\xbf[1]") == [1]

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("", "not_json"),
            ("{", "not_json"),
            ('{"a": NaN}', "not_json"),
            ("[Infinity]", "not_json"),
            ("[-Infinity]", "not_json"),
            (b"\xff", "not_json"),
            ("[" * 100_000, "not_json"),
            ("1" * 5000, "not_json"),
            ("0." + "1" * 50, "not_json"),
            ('{"a": 1, "b": 2, "a": 3}', "duplicate_key"),
        ],
    )
    def test_what_is_not_json_is_refused(self, text: str | bytes, code: str) -> None:
        with pytest.raises(Invalid) as refused:
            parse_json(text)
        assert refused.value.code == code

    def test_the_place_is_named(self) -> None:
        with pytest.raises(Invalid, match="line 2, column 1"):
            parse_json("[1,\n")


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "duration", "written"),
        [
            ("PT24H", timedelta(days=1), "PT24H"),
            ("PT0S", timedelta(0), "PT0S"),
            ("P7D", timedelta(days=7), "PT168H"),
            ("P1W", timedelta(days=7), "PT168H"),
            ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4), "PT26H3M4S"),
            ("PT90M", timedelta(minutes=90), "PT1H30M"),
        ],
    )
    def test_they_read_and_write(self, text: str, duration: timedelta, written: str) -> None:
        assert parse_duration(text) == duration
        assert duration_text(duration) == written
        assert parse_duration(written) == duration

    @pytest.mark.parametrize(
        "value", ["", "P", "PT", "24H", "P1M", "P1Y", "-PT1H", "PT1.5H", "pt1h", "PT1000000H", 24]
    )
    def test_what_is_no_duration_is_refused(self, value: object) -> None:
        with pytest.raises(Invalid) as refused:
            parse_duration(value, field="grace")
        assert (refused.value.code, refused.value.field) == ("not_a_duration", "grace")


class TestZones:
    def test_a_zone_is_always_the_same_object(self) -> None:
        assert zone_named("Asia/Shanghai") is zone_named("Asia/Shanghai")
        assert zone_named("UTC").key == "UTC"

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "Asia",
            "Asia/Nowhere",
            "asia/shanghai ",
            "../../etc/passwd",
            "/etc/localtime",
            "localtime",
            "posixrules",
            "Factory",
            "right/UTC",
            "posix/UTC",
            "a\x00b",
            "x" * 5000,
            "上海",
        ],
    )
    def test_what_is_no_zone_is_refused(self, name: str) -> None:
        with pytest.raises(Invalid) as refused:
            zone_named(name)
        assert refused.value.code == "unknown_timezone"
