"""Worked examples that operators publish, reproduced from plans of the vocabulary."""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from billing.catalog.domain import parse_plan
from billing.rating.pipeline import rate_plan
from billing.rating.terms import Timing
from billing.rating.usage import Usage, UsageKey
from kernel.decimals import Exact
from kernel.money import total
from kernel.period import Period
from kernel.zones import zone_named

ZONE = zone_named("Asia/Shanghai")
JULY = Period.of_days(date(2026, 7, 1), date(2026, 8, 1), ZONE)
METERS = ["dau", "mau", "groups", "mqtt", "moderated", "connections", "characters"]


def bill(
    prices: Sequence[Mapping[str, Any]],
    usage: Usage,
    *,
    served: Period = JULY,
    quantities: Mapping[str, Exact] | None = None,
    **fields: object,
) -> str:
    """The sum of a July, in advance and in arrears."""
    document = {"key": "plan", "currency": "CNY", "prices": prices, **fields}
    terms = parse_plan(document, known_meters=METERS)
    lines = [
        line
        for timing in Timing
        for line in rate_plan(
            terms=terms,
            version=1,
            period=JULY,
            served=served,
            zone=ZONE,
            usage=usage,
            timing=timing,
            quantities=quantities or {},
        )
    ]
    return f"{total((line.amount for line in lines), currency='CNY').amount:f}"


def used(meter: str, *apps: Mapping[int, int]) -> Usage:
    """Values by day of July, for one app after the other."""
    return {
        UsageKey(f"app{index}", meter): {
            date(2026, 7, day): Decimal(value) for day, value in days.items()
        }
        for index, days in enumerate(apps)
    }


def flat(key: str, amount: str, **fields: object) -> dict[str, Any]:
    return {"key": key, "model": "flat", "amount": amount, **fields}


def blocks(meter: str, size: str, price: str, **fields: object) -> dict[str, Any]:
    return {
        "key": meter,
        "meter": meter,
        "period_aggregation": "max_day",
        "model": "package",
        "package_size": size,
        "package_price": price,
        **fields,
    }


def per_unit(meter: str, price: str, **fields: object) -> dict[str, Any]:
    return {
        "key": meter,
        "meter": meter,
        "period_aggregation": "max_day",
        "model": "per_unit",
        "unit_price": price,
        **fields,
    }


def easemob_2022(rounding: str) -> tuple[str, str]:
    """Two apps of Easemob's list of 2022, one on Pro and one on Ultimate."""
    block = blocks("dau", "10000", "850", included="10000", package_rounding=rounding)
    pro = bill([flat("base", "888"), block], used("dau", {9: 82370}))
    ultimate = bill([flat("base", "2888"), block], used("dau", {9: 17865}))
    return pro, ultimate


def test_easemob_2022_counts_full_blocks() -> None:
    pro, ultimate = easemob_2022("down")
    assert (pro, ultimate) == ("6838.00", "2888.00")
    assert Decimal(pro) + Decimal(ultimate) == 9726


def test_easemob_2022_with_started_blocks_would_be_1700_more() -> None:
    assert sum(map(Decimal, easemob_2022("up"))) == 11426


def test_easemob_2026_pro_with_an_addon() -> None:
    prices = [
        flat("base", "1299"),
        blocks("dau", "10000", "1000", included="10000"),
        flat("callback-cache", "2000", addon=True),
    ]
    assert bill(prices, used("dau", {3: 15000}), quantities={"callback-cache": 1}) == "4299.00"
    assert bill(prices, used("dau", {3: 15000})) == "2299.00"


def test_agora_starter_counts_over_the_account() -> None:
    prices = [
        flat("base", "349"),
        per_unit("mau", "0.05", included="5000", scope="tenant_sum_of_peaks"),
    ]
    assert bill(prices, used("mau", {31: 2370}, {31: 7865})) == "610.75"


def test_tencent_legacy_with_free_users() -> None:
    prices = [blocks("dau", "10000", "1000", included="10000")]
    assert bill(prices, used("dau", {1: 22000})) == "2000.00"


def test_tencent_legacy_with_free_groups() -> None:
    prices = [
        blocks("dau", "10000", "1000"),
        blocks("groups", "100000", "1000", included="100000"),
    ]
    usage = {**used("dau", {1: 22000}), **used("groups", {1: 202000})}
    assert bill(prices, usage) == "5000.00"


def test_easemob_mqtt_per_ten_thousand_messages() -> None:
    def prices(times: int) -> list[Mapping[str, Any]]:
        messages = per_unit(
            "mqtt",
            "0.03",
            period_aggregation="sum",
            convert={"divide_by": "10000", "rounding": "up"},
            included=str(1000 * times),
        )
        return [blocks("dau", "10000", "588"), messages]

    messages = used("mqtt", {1: 60_000_000, 2: 40_000_000})
    assert bill(prices(1), {**used("dau", {1: 10000}), **messages}) == "858.00"
    assert bill(prices(2), {**used("dau", {1: 20000}), **messages}) == "1416.00"


def test_moderation_bills_the_dearer_of_use_and_a_fee() -> None:
    use = {
        "key": "use",
        "meter": "moderated",
        "period_aggregation": "sum",
        "model": "graduated",
        "tiers": [{"up_to": "100", "unit_price": "15"}, {"up_to": None, "unit_price": "22.5"}],
    }
    prices = [use, flat("fee", "500")]
    assert bill(prices, used("moderated", {1: 150}), max_of=["use", "fee"]) == "2625.00"
    assert bill(prices, used("moderated", {1: 10}), max_of=["use", "fee"]) == "500.00"


def test_sendbird_adds_the_peaks_of_an_organisation() -> None:
    prices = [per_unit("connections", "1", scope="tenant_sum_of_peaks")]
    assert bill(prices, used("connections", {7: 23, 23: 11}, {7: 20, 23: 50})) == "73.00"


def test_supabase_adds_peaks_of_different_days() -> None:
    prices = [per_unit("connections", "1", scope="tenant_sum_of_peaks")]
    assert bill(prices, used("connections", {4: 100}, {19: 150})) == "250.00"


def test_zitadel_counts_a_user_on_each_of_30_days() -> None:
    prices = [per_unit("dau", "1", period_aggregation="sum_days")]
    assert bill(prices, used("dau", dict.fromkeys(range(1, 31), 1))) == "30.00"


def test_zegocloud_pro_charges_its_price_again_for_each_started_block() -> None:
    prices = [flat("base", "449"), blocks("mau", "10000", "449", included="10000")]
    assert bill(prices, used("mau", {31: 32000})) == f"{449 * 4}.00"


def test_rongcloud_shares_the_month_out_by_days() -> None:
    from_the_20th = Period.of_days(date(2026, 7, 20), date(2026, 8, 1), ZONE)
    assert bill([flat("base", "3100", prorate=True)], {}, served=from_the_20th) == "1200.00"


def test_translation_counts_characters_once_a_language() -> None:
    prices = [per_unit("characters", "0.01", period_aggregation="sum")]
    assert bill(prices, used("characters", {1: 500 * 4})) == "20.00"


def test_free_below_300000_read_both_ways() -> None:
    """The old model: below the threshold nothing is due. Above it either all units count, or only
    the excess; both are plain terms."""
    all_units = {
        "key": "dau",
        "meter": "dau",
        "period_aggregation": "max_day",
        "model": "volume",
        "tiers": [{"up_to": "300000", "unit_price": "0"}, {"up_to": None, "unit_price": "0.01"}],
    }
    excess = per_unit("dau", "0.01", included="300000")
    for users, whole, above in (
        (299_999, "0.00", "0.00"),
        (300_000, "0.00", "0.00"),
        (300_001, "3000.01", "0.01"),
        (400_000, "4000.00", "1000.00"),
    ):
        assert bill([all_units], used("dau", {1: users})) == whole
        assert bill([excess], used("dau", {1: users})) == above
