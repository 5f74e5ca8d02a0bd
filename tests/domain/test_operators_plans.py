"""The plans that operators publish, as the example files write them: quantities of a month against
amounts worked out by hand in each case's comment."""

from decimal import Decimal
from pathlib import Path

import pytest

from billing.catalog import examples
from billing.rating.terms import Entitlement, QuotaKind
from tests.domain.price_lists import bill, limits, terms_of, used


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


@pytest.mark.parametrize(
    ("groups", "amount"),
    [
        (100_000, "3000.00"),  # 22,000 users: 3 started blocks; all groups free
        (100_001, "4000.00"),  # and one started block of groups
        (202_000, "5000.00"),  # 102,000 above: 2 started
    ],
)
def test_tencent_legacy_with_free_groups(groups: int, amount: str) -> None:
    usage = {**used("dau", {1: 22_000}), **used("groups", {1: 5, 9: groups, 31: 7})}
    assert bill("tencent-legacy-free-groups", usage) == amount


@pytest.mark.parametrize(
    ("calls", "amount"),
    [
        ((0, 0, 0), "500.00"),  # the fee of the package
        ((20, 10, 2), "500.00"),  # 20 * 15 + 10 * 15 + 2 * 22.5 = 495: the fee is higher
        ((20, 10, 3), "517.50"),  # 517.50: the use is higher
    ],
)
def test_easemob_moderation(calls: tuple[int, int, int], amount: str) -> None:
    usage = {
        key: values
        for number, count in enumerate(calls, start=1)
        for key, values in used("api_calls", {5: count}, kind=f"moderation-{number}").items()
    }
    assert bill("easemob-moderation-2026", usage) == amount


@pytest.mark.parametrize(
    ("name", "characters", "amount"),
    [
        ("easemob-translation-2026", 2_000_000, "500.00"),  # all included
        ("easemob-translation-2026", 3_000_000, "770.00"),  # 500 + 1,000 * 0.27
        ("easemob-translation-2026", 2_000_500, "500.14"),  # 0.5 * 0.27 = 0.135, away from zero
        ("easemob-translation-overseas-2026", 4_000_000, "1000.00"),
        ("easemob-translation-overseas-2026", 4_100_000, "1027.00"),  # 100 * 0.27
    ],
)
def test_easemob_translation(name: str, characters: int, amount: str) -> None:
    assert bill(name, used("api_calls", {5: characters}, kind="translated-characters")) == amount


def test_agora_free_and_zegocloud_basic_are_bounded() -> None:
    assert bill("agora-free", used("mau", {31: 500})) == "0.00"
    assert limits("agora-free")["mau"] == Decimal(500)
    assert bill("zegocloud-basic", used("mau", {31: 100})) == "0.00"
    assert limits("zegocloud-basic")["mau"] == Decimal(100)


@pytest.mark.parametrize(
    ("name", "users", "amount"),
    [
        ("agora-starter", (5000, 0), "349.00"),  # all included
        ("agora-starter", (5000, 1), "349.05"),  # one above, in another project
        ("agora-starter", (3000, 4000), "449.00"),  # 2,000 above * 0.05 = 100
        ("agora-pro", (10_000, 0), "699.00"),
        ("agora-pro", (9000, 3500), "824.00"),  # 2,500 above * 0.05 = 125
    ],
)
def test_agora(name: str, users: tuple[int, int], amount: str) -> None:
    """The users of all projects of the account are added, then what is included comes off."""
    usage = used("mau", {3: users[0]}, {3: users[1]})
    assert bill(name, usage) == amount


def test_agora_starter_prorates_its_fee_and_sells_rates() -> None:
    # From the 17th on, 15 of 31 days: 349 * 15 / 31 = 168.8709…; the addon is not shared out.
    assert bill("agora-starter", from_day=17) == "168.87"
    assert bill("agora-starter", from_day=17, held={"rest-rate-50": 2}) == "268.87"


@pytest.mark.parametrize(
    ("users", "amount"),
    [
        (10_000, "449.00"),  # included
        (10_001, "898.00"),  # one started block
        (20_000, "898.00"),  # and full
        (99_999, "4490.00"),  # 89,999 above: 9 started; 449 * 10
    ],
)
def test_zegocloud_pro(users: int, amount: str) -> None:
    assert bill("zegocloud-pro", used("mau", {31: users})) == amount


def test_zegocloud_pro_bills_a_month_begun_late_as_a_whole() -> None:
    assert bill("zegocloud-pro", from_day=31) == "449.00"


@pytest.mark.parametrize(
    ("users", "amount"),
    [
        (200, "0.00"),  # free
        (201, "0.05"),
        (5000, "240.00"),  # 4,800 * 0.05
        (5001, "240.05"),  # one * 0.0475 = 0.0475: 240.0475
        (10_000, "477.50"),  # 240 + 5,000 * 0.0475 = 237.50
        (20_000, "927.50"),  # 477.50 + 10,000 * 0.045 = 450
    ],
)
def test_twilio_conversations(users: int, amount: str) -> None:
    assert bill("twilio-conversations", used("mau", {31: users})) == amount
    assert limits("twilio-conversations") == {"mau": Decimal(20_000)}


def test_stream_chat_overage() -> None:
    # Stored messages: 7,500,000 at the most: 2.5 above * 5 = 12.50. Channels: 900,000: 0.4 * 100 = 40.
    # API calls: 3,000,000 + 1,000,000: 2 above * 7 = 14.
    usage = {
        **used("storage", {1: 7_500_000, 2: 6_000_000}, kind="messages"),
        **used("groups", {1: 900_000}),
        **used("api_calls", {1: 3_000_000, 31: 1_000_000}),
    }
    assert bill("stream-chat-overage", usage) == "66.50"
    # What is included is free: 5,000,000 messages, 500,000 channels, 2,000,000 calls.
    within = {
        **used("storage", {1: 5_000_000}, kind="messages"),
        **used("groups", {1: 500_000}),
        **used("api_calls", {1: 2_000_000}),
    }
    assert bill("stream-chat-overage", within) == "0.00"


def test_pubnub_transactions() -> None:
    # 1,000,000 * 0.000123 = 123.00; 999 * 0.000033 = 0.032967: 0.03; 12,345,678 * 0.000008 =
    # 98.765424: 98.77; 1 * 0.000025 = 0.00.
    usage = {
        **used("api_calls", {1: 1_000_000}, kind="replicated"),
        **used("api_calls", {1: 999}, kind="edge"),
        **used("api_calls", {1: 12_345_678}, kind="signal"),
        **used("api_calls", {1: 1}, kind="reaction"),
    }
    assert bill("pubnub-transactions", usage) == "221.80"
