"""The worked examples that operators publish, by their plans where these are among the examples.

Numbers in the comments are the published ones.
"""

from decimal import Decimal
from typing import Any

from billing.catalog import examples
from tests.domain.price_lists import bill, lines_of, used


def usage_price(meter: str, price: str, **fields: object) -> dict[str, Any]:
    """A plan that charges `price` for each unit."""
    each = {"key": meter, "meter": meter, "model": "per_unit", "unit_price": price, **fields}
    return {"key": "plan", "currency": "CNY", "prices": [each]}


def easemob_2022(rounding: str) -> Decimal:
    """Two apps, one on Pro with a peak of 82,370 and one on Ultimate with 17,865."""
    summed = Decimal(0)
    for name, users in (("easemob-pro-2022", 82_370), ("easemob-ultimate-2022", 17_865)):
        document = dict(examples.operators_plan(name))
        document["prices"] = [
            {**price, "package_rounding": rounding} if price["model"] == "package" else price
            for price in document["prices"]
        ]
        summed += Decimal(bill(document, used("dau", {9: users})))
    return summed


def test_1_easemob_2022_counts_full_blocks() -> None:
    # 888 + 7 * 850 + 2888 + 0 * 850 = 9,726, by the files as they are.
    pro = bill("easemob-pro-2022", used("dau", {9: 82_370}))
    ultimate = bill("easemob-ultimate-2022", used("dau", {9: 17_865}))
    assert (pro, ultimate) == ("6838.00", "2888.00")
    assert Decimal(pro) + Decimal(ultimate) == easemob_2022("down") == 9726


def test_1_easemob_2022_with_started_blocks_would_be_1700_more() -> None:
    # 888 + 8 * 850 + 2888 + 1 * 850 = 11,426.
    assert easemob_2022("up") == 11426


def test_2_easemob_2026_pro_with_an_addon() -> None:
    # 1299 + 1000 + 2000 = 4,299.
    peak = used("dau", {3: 15_000})
    assert bill("easemob-pro-2026", peak, held={"callback-cache": 1}) == "4299.00"
    assert bill("easemob-pro-2026", peak) == "2299.00"


def test_3_agora_starter_counts_over_the_account() -> None:
    # (2370 + 7865 - 5000) * 0.05 + 349 = 610.75.
    assert bill("agora-starter", used("mau", {31: 2370}, {31: 7865})) == "610.75"


def test_4_tencent_legacy_in_both_revisions() -> None:
    # 2 * 1000 = 2,000 with 10,000 users free.
    assert bill("tencent-legacy-free-users", used("dau", {1: 22_000})) == "2000.00"
    # 3 * 1000 + 2 * 1000 = 5,000 with 100,000 groups free.
    usage = {**used("dau", {1: 22_000}), **used("groups", {1: 202_000})}
    assert bill("tencent-legacy-free-groups", usage) == "5000.00"


def test_5_easemob_mqtt_per_ten_thousand_messages() -> None:
    messages = used("messages", {1: 60_000_000, 2: 40_000_000})
    # 588 + (10000 - 1000) * 0.03 = 858.
    assert bill("easemob-mqtt-10k", {**used("dau", {1: 10_000}), **messages}) == "858.00"
    # 588 * 2 + (10000 - 2000) * 0.03 = 1,416.
    assert bill("easemob-mqtt-20k", {**used("dau", {1: 20_000}), **messages}) == "1416.00"


def test_6_moderation_bills_the_dearer_of_use_and_a_fee() -> None:
    # 50 * 15 + 50 * 15 + 50 * 22.5 = 2,625, which is above 500.
    usage = {
        key: values
        for number in (1, 2, 3)
        for key, values in used("api_calls", {1: 50}, kind=f"moderation-{number}").items()
    }
    assert bill("easemob-moderation-2026", usage) == "2625.00"
    # The same said with `max_of`, where use is one price: the dearer of both, and not their sum.
    use = usage_price("messages", "15", period_aggregation="sum")
    prices = [*use["prices"], {"key": "fee", "model": "flat", "amount": "500"}]
    either = {**use, "prices": prices, "max_of": ["messages", "fee"]}
    assert bill(either, used("messages", {1: 175})) == "2625.00"
    assert bill(either, used("messages", {1: 10})) == "500.00"


def test_7_sendbird_adds_the_peaks_of_an_organisation() -> None:
    # 23 on July 7th and 50 on July 23rd are 73, whatever the other app had on that day.
    plan = usage_price(
        "peak_connections", "1", period_aggregation="max_day", scope="tenant_sum_of_peaks"
    )
    assert bill(plan, used("peak_connections", {7: 23, 23: 11}, {7: 20, 23: 50})) == "73.00"


def test_8_supabase_adds_peaks_of_different_days() -> None:
    # 100 and 150 are 250, although on different days.
    plan = usage_price(
        "peak_connections", "1", period_aggregation="max_day", scope="tenant_sum_of_peaks"
    )
    assert bill(plan, used("peak_connections", {4: 100}, {19: 150})) == "250.00"


def test_9_zitadel_counts_a_user_on_each_of_30_days() -> None:
    # One user on 30 days is 30.
    plan = usage_price("dau", "1", period_aggregation="sum_days")
    assert bill(plan, used("dau", dict.fromkeys(range(1, 31), 1))) == "30.00"


def test_10_zegocloud_pro_charges_its_price_again_for_each_started_block() -> None:
    # 22,000 above, 3 blocks: 449 * 4.
    assert bill("zegocloud-pro", used("mau", {31: 32_000})) == f"{449 * 4}.00"


def test_11_rongcloud_shares_the_month_out_by_days() -> None:
    # The month's fee / its days * the days that were open: 5000 / 31 * 12 = 1935.483…
    assert bill("rongcloud-desktop", from_day=20) == "1935.48"


def test_12_translation_counts_characters_once_a_language() -> None:
    # 500 characters to 4 languages are 2,000 characters: 2 units of the price.
    (_, used_up) = lines_of(
        "easemob-translation-2026",
        used("api_calls", {1: 500 * 4}, kind="translated-characters"),
    )
    assert used_up.explanation["converted"] == "2"
    # 1,001 such messages are 2,002,000, of which 2,000,000 are included: 2 * 0.27.
    many = used("api_calls", {1: 500 * 4 * 1001}, kind="translated-characters")
    assert bill("easemob-translation-2026", many) == "500.54"


def test_free_below_300000_read_both_ways() -> None:
    """The old model: below the threshold nothing is due. Above it either all units count, or only
    the excess; both are plain terms."""
    tiers = [{"up_to": "300000", "unit_price": "0"}, {"up_to": None, "unit_price": "0.01"}]
    peak = {"key": "dau", "meter": "dau", "period_aggregation": "max_day"}
    all_units: list[dict[str, Any]] = [{**peak, "model": "volume", "tiers": tiers}]
    excess: list[dict[str, Any]] = [
        {**peak, "model": "graduated", "tiers": tiers},
        {**peak, "model": "per_unit", "unit_price": "0.01", "included": "300000"},
    ]
    for users, whole, above in (
        (299_999, "0.00", "0.00"),
        (300_000, "0.00", "0.00"),
        (300_001, "3000.01", "0.01"),
        (400_000, "4000.00", "1000.00"),
    ):
        usage = used("dau", {1: 7, 2: users, 3: 11})
        plan: dict[str, Any] = {"key": "old", "currency": "CNY"}
        for price in all_units:
            assert bill({**plan, "prices": [price]}, usage) == whole
        for price in excess:
            assert bill({**plan, "prices": [price]}, usage) == above
