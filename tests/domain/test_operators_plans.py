"""The plans that operators publish, as the example files write them: quantities of a month against
amounts worked out by hand in each case's comment."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from billing.catalog import examples
from billing.catalog.domain import parse_plan
from billing.rating.pipeline import rate_plan
from billing.rating.terms import Entitlement, PlanTerms, QuotaKind, Timing
from billing.rating.usage import Usage, UsageKey
from kernel.decimals import Exact
from kernel.money import total
from kernel.period import Period
from kernel.zones import zone_named
from metering.meters.domain import METERS

ZONE = zone_named("Asia/Shanghai")
JULY = Period.of_days(date(2026, 7, 1), date(2026, 8, 1), ZONE)
"""31 days."""


def terms_of(name: str) -> PlanTerms:
    return parse_plan(examples.operators_plan(name), known_meters=METERS)


def bill(
    name: str,
    usage: Usage | None = None,
    *,
    from_day: int = 1,
    held: Mapping[str, Exact] | None = None,
) -> str:
    """The sum of a July of which the plan served the days from `from_day` on; `held` are add-ons."""
    terms = terms_of(name)
    lines = [
        line
        for timing in Timing
        for line in rate_plan(
            terms=terms,
            version=1,
            period=JULY,
            served=Period.of_days(date(2026, 7, from_day), date(2026, 8, 1), ZONE),
            zone=ZONE,
            usage=usage or {},
            timing=timing,
            quantities=held or {},
        )
    ]
    return f"{total((line.amount for line in lines), currency=terms.currency).amount:f}"


def used(meter: str, *apps: Mapping[int, int | str], kind: str = "") -> Usage:
    """Values by day of July, for one app after the other."""
    return {
        UsageKey(app=f"app{index}", meter=meter, kind=kind): {
            date(2026, 7, day): Decimal(value) for day, value in days.items()
        }
        for index, days in enumerate(apps)
    }


def limits(name: str) -> dict[str, object]:
    return {each.feature: each.value for each in terms_of(name).entitlements}


def test_each_file_is_a_whole_plan_of_known_meters_and_is_told_of() -> None:
    """A file without a case here, or without a row in the table of sources, is not an example."""
    names = examples.operators_plans()
    assert len(names) >= 12
    cases = Path(__file__).read_text(encoding="utf-8")
    table = (Path(examples.__file__).parent / "operators" / "README.md").read_text(encoding="utf-8")
    for name in names:
        terms = terms_of(name)
        assert terms.key == name.removesuffix("-2022").removesuffix("-2026").removesuffix("-2021")
        assert {"en", "zh-hans"} <= set(terms.names), name
        assert f'"{name}"' in cases, f"{name} has no case"
        assert f"`{name}`" in table, f"{name} has no source"


@pytest.mark.parametrize("year", ["2022", "2026"])
def test_easemob_free_is_bounded_instead_of_charged(year: str) -> None:
    # 0 a month; a 101st user is refused, not billed.
    name = {"2022": "easemob-free-2022", "2026": "easemob-free-2026"}[year]
    assert bill(name, used("dau", {3: 100})) == "0.00"
    assert Entitlement(feature="dau", value=Decimal(100), kind=QuotaKind.HARD) in (
        terms_of(name).entitlements
    )


@pytest.mark.parametrize(
    ("users", "amount"),
    [
        (0, "1299.00"),  # the base alone
        (10_000, "1299.00"),  # all of them included
        (10_001, "2299.00"),  # 1299 + 1 started block * 1000
        (20_000, "2299.00"),  # the block is full
        (20_001, "3299.00"),  # 1299 + 2 * 1000
        (1_234_567, "124299.00"),  # 1,224,567 above: 123 started blocks; 1299 + 123 * 1000
    ],
)
def test_easemob_pro_2026(users: int, amount: str) -> None:
    assert bill("easemob-pro-2026", used("dau", {9: users})) == amount


def test_easemob_pro_2026_with_addons() -> None:
    # 1299 + 180 days of history 500 + presence 1000 + reactions 600.
    held = {"history-180": 1, "presence": 1, "reactions": 1}
    assert bill("easemob-pro-2026", held=held) == "3399.00"
    # All addons: 500 + 1000 + 2000 + 500 + 1000 + 1500 + 500 + 1000 + 1000 + 600 + 2000 + 2000
    # = 13,600, and 1299.
    addons = [price.key for price in terms_of("easemob-pro-2026").prices if price.addon]
    assert len(addons) == 12
    assert bill("easemob-pro-2026", held=dict.fromkeys(addons, 1)) == "14899.00"


def test_easemob_pro_2026_bills_the_peak_of_each_app() -> None:
    # App 0 peaks at 15,000: 1 block. App 1 peaks at 9,000: none. App 2 at 30,500: 3 started.
    # 1299 + 4 * 1000.
    usage = used("dau", {1: 15_000, 2: 3}, {2: 9_000}, {30: 30_500, 31: 30_499})
    assert bill("easemob-pro-2026", usage) == "5299.00"


def test_easemob_ultimate_2026() -> None:
    # 2999 + 35,000 above: 4 started blocks * 1000 = 6999; 720 days of history are 1750 here.
    usage = used("dau", {15: 45_000})
    assert bill("easemob-ultimate-2026", usage) == "6999.00"
    assert bill("easemob-ultimate-2026", usage, held={"history-720": 1}) == "8749.00"


@pytest.mark.parametrize(
    ("name", "users", "amount"),
    [
        # The list of 2022 counts full blocks of 10,000 above the first 10,000, 850 each.
        ("easemob-pro-2022", 19_999, "888.00"),  # 9,999 above: none is full
        ("easemob-pro-2022", 20_000, "1738.00"),  # 888 + 850
        ("easemob-pro-2022", 82_370, "6838.00"),  # 72,370 above: 7 full; 888 + 7 * 850
        ("easemob-ultimate-2022", 17_865, "2888.00"),  # 7,865 above: none
        ("easemob-ultimate-2022", 110_000, "11388.00"),  # 2888 + 10 * 850
        ("easemob-premier-2022", 10_000, "4888.00"),  # nothing above
        ("easemob-premier-2022", 35_000, "6588.00"),  # 25,000 above: 2 full; 4888 + 2 * 850
    ],
)
def test_easemob_2022(name: str, users: int, amount: str) -> None:
    assert bill(name, used("dau", {9: users})) == amount


def test_easemob_2022_prorates_the_base_of_a_month_begun_late() -> None:
    # From July 22nd on, 10 of 31 days: 888 * 10 / 31 = 286.4516…; the block of 850 is not cut.
    assert bill("easemob-pro-2022", from_day=22) == "286.45"
    assert bill("easemob-pro-2022", used("dau", {25: 20_000}), from_day=22) == "1136.45"


def test_easemob_mqtt() -> None:
    # Up to 10,000 users and 10,000,000 messages: 588. Each started 10,000 messages above: 0.03.
    users = used("dau", {1: 10_000})
    assert bill("easemob-mqtt-10k", {**users, **used("messages", {1: 10_000_000})}) == "588.00"
    # One message above starts a block: 588.03.
    assert bill("easemob-mqtt-10k", {**users, **used("messages", {1: 10_000_001})}) == "588.03"
    # 2 blocks of users; 20,000,000 included: 1176 + 0.03 * 5,000 = 1326.
    users = used("dau", {1: 20_000})
    assert bill("easemob-mqtt-20k", {**users, **used("messages", {2: 70_000_000})}) == "1326.00"


@pytest.mark.parametrize(
    ("items", "from_day", "amount"),
    [
        (50_000, 1, "500.00"),  # all included
        (50_001, 1, "500.01"),  # one above
        (80_000, 1, "800.00"),  # 500 + 30,000 * 0.01
        # 10 of 31 days: 50,000 * 10 / 31 = 16,129.03… included; 83,870.97 * 0.01 = 838.7097.
        (100_000, 22, "1338.71"),
    ],
)
def test_easemob_speech_to_text(items: int, from_day: int, amount: str) -> None:
    usage = used("messages", {25: items}, kind="speech_to_text")
    other = used("messages", {25: 7}, kind="text")
    found = bill("easemob-speech-to-text-2026", {**usage, **other}, from_day=from_day)
    assert found == amount


@pytest.mark.parametrize(
    ("messages", "amount"),
    [
        (100_000_000, "0.00"),  # free
        (100_000_001, "20.00"),  # the first block is started
        (110_000_000, "20.00"),  # and full
        (345_000_000, "500.00"),  # 245,000,000 above: 25 started; 25 * 20
    ],
)
def test_tencent_community_messages(messages: int, amount: str) -> None:
    usage = used("messages", {31: messages}, kind="community.down")
    other = used("messages", {31: 10**9}, kind="single.up")
    assert bill("tencent-community-messages", {**usage, **other}) == amount


@pytest.mark.parametrize(
    ("users", "amount"),
    [
        (10_000, "0.00"),  # free
        (10_001, "1000.00"),  # one started block
        (22_000, "2000.00"),  # 12,000 above: 2 started
    ],
)
def test_tencent_legacy(users: int, amount: str) -> None:
    assert bill("tencent-legacy-free-users", used("dau", {1: users})) == amount


def test_lanying() -> None:
    # One fee for what is included, and a bound instead of an overage.
    assert bill("lanying-public-2021", used("dau", {1: 1000})) == "199.00"
    assert limits("lanying-public-2021") == {"dau": Decimal(1000)}
    assert bill("lanying-licence-2021") == "199.00"
    assert limits("lanying-licence-2021") == {"registered_users": Decimal(100)}


def test_rongcloud_desktop_is_shared_out_by_days() -> None:
    # 5000 / 31 days * 12 days open = 1935.4838…
    assert bill("rongcloud-desktop", from_day=20) == "1935.48"
    assert bill("rongcloud-desktop") == "5000.00"
