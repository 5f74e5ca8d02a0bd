"""What holds for every price and every usage."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.catalog.domain import parse_plan, parse_price
from billing.rating.aggregations import (
    EventPeriodAggregation,
    PeriodAggregation,
    aggregate_days,
)
from billing.rating.charges import charge
from billing.rating.events import EventAggregation, UsageEvent, aggregate_period
from billing.rating.pipeline import rate_plan
from billing.rating.pricing import price_quantity
from billing.rating.proration import DayCount, proration
from billing.rating.terms import PriceTerms, Timing
from billing.rating.usage import Usage, UsageKey
from kernel.allocation import allocate
from kernel.money import Money, round_amount
from kernel.period import Period, local_midnight
from kernel.zones import zone_named
from metering.meters.domain import METERS

ZONE = zone_named("America/New_York")
MARCH = Period.of_days(date(2026, 3, 1), date(2026, 4, 1), ZONE)

figures = st.decimals(min_value=0, max_value=1000, places=4).map(str)
quantities = st.one_of(
    st.integers(0, 400).map(Decimal),
    st.decimals(min_value=0, max_value=400, places=3),
    st.sampled_from([Decimal(10) ** 12, Decimal("0.000000000001")]),
)
bounds = st.lists(st.integers(1, 300), min_size=0, max_size=5, unique=True).map(sorted)


@st.composite
def tiers(draw: st.DrawFn, *names: str) -> list[dict[str, Any]]:
    """Right tiers with the figures of these names."""
    return [
        {"up_to": bound if bound is None else str(bound), **{name: draw(figures) for name in names}}
        for bound in [*draw(bounds), None]
    ]


flat = st.fixed_dictionaries({"model": st.just("flat"), "amount": figures})
per_unit = st.fixed_dictionaries({"model": st.just("per_unit"), "unit_price": figures})
graduated = st.fixed_dictionaries(
    {"model": st.just("graduated"), "tiers": tiers("unit_price", "flat_fee")}
)
volume = st.fixed_dictionaries(
    {"model": st.just("volume"), "tiers": tiers("unit_price", "flat_fee")}
)
stairstep = st.fixed_dictionaries({"model": st.just("stairstep"), "tiers": tiers("flat_fee")})
package = st.fixed_dictionaries(
    {
        "model": st.just("package"),
        "package_size": st.integers(1, 100).map(str),
        "package_price": figures,
        "package_rounding": st.sampled_from(["up", "down"]),
    }
)
percentage = st.fixed_dictionaries(
    {"model": st.just("percentage"), "rate_percent": figures, "fixed_fee": figures}
)
graduated_percentage = st.fixed_dictionaries(
    {"model": st.just("graduated_percentage"), "tiers": tiers("rate_percent", "flat_fee")}
)
always_monotone = st.one_of(
    flat, per_unit, graduated, package, percentage, graduated_percentage
).map(parse_price)
any_model = st.one_of(always_monotone, st.one_of(volume, stairstep).map(parse_price))


@given(any_model, quantities)
def test_lines_sum_to_the_charge(price: PriceTerms, quantity: Decimal) -> None:
    charged = charge(price.charge, quantity)
    assert charged.amount >= 0
    assert sum(line.amount for line in charged.lines) == charged.amount
    if price.model in ("graduated", "graduated_percentage"):
        assert sum(line.quantity for line in charged.lines) == Fraction(quantity)


@given(always_monotone, quantities, quantities)
def test_more_never_costs_less(price: PriceTerms, one: Decimal, other: Decimal) -> None:
    low, high = sorted((one, other))
    assert charge(price.charge, low).amount <= charge(price.charge, high).amount


@given(tiers("unit_price"))
def test_graduated_without_fees_has_no_jump_at_a_bound(given_tiers: list[dict[str, Any]]) -> None:
    price = parse_price({"model": "graduated", "tiers": given_tiers})
    trace = Fraction(1, 10**12)
    for tier in given_tiers[:-1]:
        at_bound = charge(price.charge, Decimal(tier["up_to"])).amount
        past_it = charge(price.charge, Decimal(tier["up_to"]) + Decimal("1E-12")).amount
        assert 0 <= past_it - at_bound <= 1000 * trace


@given(tiers("unit_price", "flat_fee"), st.integers(0, 350))
def test_graduated_unit_by_unit(given_tiers: list[dict[str, Any]], quantity: int) -> None:
    """Each unit is priced by itself, and each tier's fee falls due with its first unit."""
    price = parse_price({"model": "graduated", "tiers": given_tiers})
    slow = Fraction(given_tiers[0]["flat_fee"])
    entered = {0}
    for unit in range(1, quantity + 1):
        index = next(
            index
            for index, tier in enumerate(given_tiers)
            if tier["up_to"] is None or unit <= int(tier["up_to"])
        )
        slow += Fraction(given_tiers[index]["unit_price"])
        if index not in entered:
            entered.add(index)
            slow += Fraction(given_tiers[index]["flat_fee"])
    assert charge(price.charge, quantity).amount == slow


@given(package, st.integers(0, 400))
def test_packages_one_by_one(document: dict[str, Any], quantity: int) -> None:
    size, left, packages = int(document["package_size"]), quantity, 0
    while left >= size:
        left -= size
        packages += 1
    if left and document["package_rounding"] == "up":
        packages += 1
    price = parse_price(document)
    assert charge(price.charge, quantity).amount == packages * Fraction(document["package_price"])


@given(tiers("unit_price", "flat_fee"), quantities)
def test_volume_and_stairs_take_one_tier(
    given_tiers: list[dict[str, Any]], quantity: Decimal
) -> None:
    holding = [
        tier
        for tier, lower in zip(given_tiers, [-1, *(t["up_to"] for t in given_tiers)], strict=False)
        if Decimal(lower) < quantity
        and (tier["up_to"] is None or quantity <= Decimal(tier["up_to"]))
    ]
    assert len(holding) == 1
    fee = Fraction(holding[0]["flat_fee"])
    by_volume = parse_price({"model": "volume", "tiers": given_tiers})
    expected = Fraction(quantity) * Fraction(holding[0]["unit_price"]) + fee
    assert charge(by_volume.charge, quantity).amount == expected
    steps = [{"up_to": tier["up_to"], "flat_fee": tier["flat_fee"]} for tier in given_tiers]
    by_step = parse_price({"model": "stairstep", "tiers": steps})
    assert charge(by_step.charge, quantity).amount == fee


@given(
    always_monotone,
    quantities,
    st.integers(0, 500),
    st.none() | figures,
    st.none() | figures,
    st.booleans(),
)
def test_an_amount_stays_within_its_bounds(
    price: PriceTerms,
    quantity: Decimal,
    included: int,
    one: str | None,
    other: str | None,
    prorate: bool,
) -> None:
    minimum = None if one is None else Decimal(one)
    maximum = None if other is None else max(Decimal(other), minimum or Decimal(0))
    terms = replace(
        price, included=Decimal(included), minimum=minimum, maximum=maximum, prorate=prorate
    )
    found = price_quantity(terms, quantity, ratio=Fraction(17, 31))
    assert found.chargeable >= 0
    assert found.total == found.amount + found.true_up
    assert found.true_up >= 0
    if found.minimum is not None:
        assert found.total >= found.minimum
    if found.maximum is not None:
        assert found.total <= found.maximum


by_day = st.dictionaries(
    st.integers(0, 30).map(lambda offset: date(2026, 3, 1) + timedelta(days=offset)),
    st.integers(0, 5000).map(Decimal),
    max_size=31,
)
MARCH_DAYS = MARCH.days(ZONE)


@given(by_day, st.integers(1, 40))
def test_aggregations_agree_with_all_days_written_out(values: dict[date, Decimal], k: int) -> None:
    written_out = [values.get(day, Decimal(0)) for day in MARCH_DAYS]
    falling = sorted(written_out, reverse=True)

    def found(aggregation: PeriodAggregation) -> Fraction:
        return aggregate_days(aggregation, values=values, days=MARCH_DAYS, k=k).value

    assert found(PeriodAggregation.MAX_DAY) == falling[0]
    assert found(PeriodAggregation.KTH_MAX_DAY) == (falling[k - 1] if k <= 31 else 0)
    assert found(PeriodAggregation.SUM_DAYS) == sum(written_out)
    assert found(PeriodAggregation.MEAN_DAY) == Fraction(int(sum(written_out)), 31)
    # Nearest rank: the smallest value with at least 95 % of the days at or below it.
    assert found(PeriodAggregation.P95_DAY) == min(
        value for value in written_out if 100 * sum(v <= value for v in written_out) >= 95 * 31
    )


@given(st.sets(st.integers(1, 30), max_size=6), st.sampled_from(DayCount), figures)
def test_parts_of_a_period_make_the_whole(cuts: set[int], day_count: DayCount, amount: str) -> None:
    edges = [date(2026, 3, 1) + timedelta(days=offset) for offset in [0, *sorted(cuts), 31]]
    shares = [
        proration(
            part=Period.of_days(starts_on, ends_on, ZONE),
            whole=MARCH,
            zone=ZONE,
            day_count=day_count,
        )
        for starts_on, ends_on in pairwise(edges)
    ]
    assert sum(share.ratio for share in shares) == 1
    whole = round_amount(Decimal(amount), "CNY")
    parts = allocate(whole, [share.ratio for share in shares])
    assert sum(part.minor for part in parts) == whole.minor
    # Rounding each part by itself strays by at most half a minor unit a part.
    alone = [round_amount(Decimal(amount) * share.part / share.whole, "CNY") for share in shares]
    strayed = abs(sum(part.minor for part in alone) - whole.minor)
    assert 2 * strayed <= len(shares) + 1


@given(
    st.lists(any_model, min_size=1, max_size=4),
    st.lists(by_day, min_size=1, max_size=3),
    st.sampled_from(["app", "tenant", "tenant_sum_of_peaks"]),
    st.integers(1, 31),
)
@settings(max_examples=100)
def test_a_plan_s_lines(
    prices: list[PriceTerms],
    usages: list[dict[date, Decimal]],
    scope: str,
    first_day: int,
) -> None:
    documents: list[Mapping[str, Any]] = [
        {
            **price.document,
            "key": f"p{index}",
            "meter": "dau",
            "period_aggregation": "max_day",
            "scope": scope,
            "minimum": "3.33",
            "prorate": index % 2 == 0,
        }
        for index, price in enumerate(prices)
    ]
    terms = parse_plan({"key": "x", "currency": "CNY", "prices": documents}, known_meters=["dau"])
    usage: Usage = {UsageKey(f"app{index}", "dau"): values for index, values in enumerate(usages)}
    served = Period.of_days(date(2026, 3, first_day), date(2026, 4, 1), ZONE)

    def rated() -> list[Any]:
        return rate_plan(
            terms=terms,
            version=1,
            period=MARCH,
            served=served,
            zone=ZONE,
            usage=usage,
            timing=Timing.IN_ARREARS,
            apps=[f"app{index}" for index in range(len(usages))],
        )

    lines = rated()
    assert lines == rated()
    sums: dict[tuple[str, str | None], list[Any]] = {}
    for line in lines:
        sums.setdefault((line.key, line.app_key), []).append(line)
        if line.unit_price is not None:
            assert round_amount(line.quantity * line.unit_price, "CNY") == line.amount
    for together in sums.values():
        whole = round_amount(sum(line.exact for line in together), "CNY")
        assert sum(line.amount.minor for line in together) == whole.minor
    days_served = 32 - first_day
    share = Fraction(days_served, 31)
    for (key, _), together in sums.items():
        least = Fraction("3.33") * (share if int(key[1:]) % 2 == 0 else 1)
        assert sum(line.exact for line in together) >= least


@given(st.integers(-(10**9), 10**9), st.integers(1, 31))
def test_a_credit_mirrors_its_charge(minor: int, day: int) -> None:
    amount = Money(minor, "CNY").amount
    ratio = Fraction(day, 31)
    assert round_amount(-Fraction(amount) * ratio, "CNY") == -round_amount(
        Fraction(amount) * ratio, "CNY"
    )


@given(
    st.dictionaries(st.integers(0, 30), st.integers(0, 50), max_size=12),
    st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "America/New_York"]),
)
def test_a_level_s_mean_over_days_is_that_of_events_at_midnight(
    readings: dict[int, int], zone_name: str
) -> None:
    """The calculator's operation on events is the definition; a plan sees only the days."""
    zone = zone_named(zone_name)
    march = Period.of_days(date(2026, 3, 1), date(2026, 4, 1), zone)
    values = {date(2026, 3, 1 + day): Decimal(value) for day, value in readings.items()}
    events = [
        UsageEvent(id=str(day), at=local_midnight(day, zone), value=value)
        for day, value in sorted(values.items())
    ]
    by_events = aggregate_period(
        EventPeriodAggregation.TIME_WEIGHTED_MEAN,
        EventAggregation.LATEST,
        events,
        window=march,
        zone=zone,
    )
    terms = parse_plan(
        {
            "key": "x",
            "currency": "CNY",
            "prices": [
                {
                    "key": "p",
                    "meter": "storage",
                    "period_aggregation": "time_weighted_mean",
                    "model": "per_unit",
                    "unit_price": "1",
                }
            ],
        },
        known_meters=METERS,
    )
    lines = rate_plan(
        terms=terms,
        version=1,
        period=march,
        served=march,
        zone=zone,
        usage={UsageKey("a", "storage"): values},
        timing=Timing.IN_ARREARS,
    )
    assert sum((line.exact for line in lines), Fraction(0)) == by_events
