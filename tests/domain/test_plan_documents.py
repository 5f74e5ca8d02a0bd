"""Plan documents: what is read, what is refused and with which words, what counts as the same."""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.catalog.domain import Fault, PlanFaults, content_hash, parse_plan, parse_price
from billing.rating.aggregations import PeriodAggregation
from billing.rating.charges.flat import FlatTerms
from billing.rating.charges.graduated import GraduatedTerms, Tier
from billing.rating.charges.package import PackageRounding, PackageTerms
from billing.rating.conversion import Conversion, ConversionRounding
from billing.rating.proration import DayCount
from billing.rating.terms import (
    Entitlement,
    Metering,
    PlanTerms,
    QuotaKind,
    Scope,
    Timing,
    ZeroUsage,
)
from kernel.period import Interval

D = Decimal
METERS = ("dau", "messages")

PRO: dict[str, Any] = {
    "key": "pro",
    "name": {"en": "Pro", "zh-hans": "专业版"},
    "currency": "CNY",
    "interval": "month",
    "interval_count": 1,
    "trial_days": 0,
    "effective_from": "2026-03-20",
    "entitlements": {
        "max_group_size": 3000,
        "message_history_days": 7,
        "dau": {"limit": 30000, "kind": "hard"},
    },
    "prices": [
        {
            "key": "base",
            "model": "flat",
            "amount": "1299",
            "timing": "in_advance",
            "prorate": True,
        },
        {
            "key": "dau",
            "meter": "dau",
            "scope": "app",
            "period_aggregation": "max_day",
            "included": "10000",
            "model": "package",
            "package_size": "10000",
            "package_price": "1000",
            "package_rounding": "up",
        },
        {"key": "history-180", "model": "flat", "amount": "500", "addon": True},
    ],
}

PER_UNIT = {"key": "p", "model": "per_unit", "unit_price": "1"}
METERED = {**PER_UNIT, "meter": "dau", "period_aggregation": "max_day"}


def plan(*prices: object, **fields: object) -> dict[str, Any]:
    return {"key": "x", "currency": "CNY", "prices": list(prices), **fields}


def parsed(document: object) -> PlanTerms:
    return parse_plan(document, known_meters=METERS)


def faults(document: object) -> list[tuple[str, str]]:
    with pytest.raises(PlanFaults) as refused:
        parsed(document)
    assert refused.value.code == "invalid_plan"
    for fault in refused.value.faults:
        assert fault.message.startswith(fault.path or "The plan")
        assert fault.message.endswith((".", "…", "}."))
    return [(fault.path, fault.code) for fault in refused.value.faults]


class TestReading:
    def test_the_whole_example(self) -> None:
        terms = parsed(PRO)
        assert (terms.key, terms.currency, terms.interval) == ("pro", "CNY", Interval.MONTH)
        assert (terms.interval_count, terms.trial_days, terms.grace) == (1, 0, None)
        assert terms.effective_from == date(2026, 3, 20)
        assert terms.entitlements == (
            Entitlement(feature="dau", value=D(30000), kind=QuotaKind.HARD),
            Entitlement(feature="max_group_size", value=D(3000), kind=QuotaKind.HARD),
            Entitlement(feature="message_history_days", value=D(7), kind=QuotaKind.HARD),
        )
        base, dau, history = terms.prices
        assert base.charge == FlatTerms(amount=D(1299))
        assert (base.timing, base.prorate, base.addon) == (Timing.IN_ADVANCE, True, False)
        assert dau.charge == PackageTerms(
            package_size=D(10000), package_price=D(1000), package_rounding=PackageRounding.UP
        )
        assert dau.metering == Metering(
            meter="dau", period_aggregation=PeriodAggregation.MAX_DAY, scope=Scope.APP
        )
        assert (dau.timing, dau.included) == (Timing.IN_ARREARS, D(10000))
        assert (history.timing, history.addon) == (Timing.IN_ADVANCE, True)

    def test_names(self) -> None:
        terms = parsed(PRO)
        assert terms.name("zh-hans") == "专业版"
        assert terms.name("de") == "Pro"
        assert parsed(plan(PER_UNIT)).name("en") == "x"
        assert parsed(plan(PER_UNIT, name="Small")).name("zh-hans") == "Small"
        assert parsed(plan(PER_UNIT, name={"de": "Klein"})).name("en") == "Klein"

    def test_everything_else_that_may_be_said(self) -> None:
        terms = parsed(
            plan(
                {
                    "key": "p",
                    "meter": "dau",
                    "model": "graduated",
                    "tiers": [
                        {"up_to": 10, "unit_price": "0.5", "flat_fee": 2},
                        {"unit_price": "0.25"},
                    ],
                    "scope": "tenant_sum_of_peaks",
                    "period_aggregation": "kth_max_day",
                    "k": "3",
                    "filter": {"kind": ["single", "group", "single"]},
                    "convert": {"divide_by": "1000", "rounding": "nearest", "decimals": 2},
                    "zero_usage": "free",
                    "minimum": "1.5",
                    "maximum": "100",
                },
                PER_UNIT | {"key": "q"},
                interval="quarter",
                interval_count="2",
                trial_days=14,
                grace="P2D",
                day_count="30/360",
                minimum="5",
                maximum="5000",
                max_of=["p", "q"],
                entitlements={
                    "sso": True,
                    "support": "business hours",
                    "rooms": {"limit": "12.5", "kind": "grace"},
                },
            )
        )
        price, other = terms.prices
        assert price.charge == GraduatedTerms(
            tiers=(
                Tier(up_to=D(10), unit_price=D("0.5"), flat_fee=D(2)),
                Tier(up_to=None, unit_price=D("0.25")),
            )
        )
        assert price.metering == Metering(
            meter="dau",
            period_aggregation=PeriodAggregation.KTH_MAX_DAY,
            scope=Scope.TENANT_SUM_OF_PEAKS,
            k=3,
            filter=(("kind", ("group", "single")),),
        )
        assert price.conversion == Conversion(
            divide_by=D(1000), rounding=ConversionRounding.NEAREST, decimals=2
        )
        assert price.zero_usage is ZeroUsage.FREE
        assert (price.minimum, price.maximum) == (D("1.5"), D(100))
        assert (terms.interval, terms.interval_count) == (Interval.QUARTER, 2)
        assert (terms.trial_days, terms.grace) == (14, timedelta(days=2))
        assert terms.day_count is DayCount.THIRTY_360
        assert (terms.minimum, terms.maximum, terms.max_of) == (D(5), D(5000), ("p", "q"))
        # The dearest is known when all are, so its rival is billed in arrears too.
        assert other.timing is Timing.IN_ARREARS
        assert terms.entitlements == (
            Entitlement(feature="rooms", value=D("12.5"), kind=QuotaKind.GRACE),
            Entitlement(feature="sso", value=True),
            Entitlement(feature="support", value="business hours"),
        )

    @pytest.mark.parametrize(
        ("model", "fields"),
        [
            ("flat", {"amount": "0"}),
            ("per_unit", {"unit_price": "0.000000000001"}),
            ("graduated", {"tiers": [{"up_to": "1", "unit_price": "2"}, {"flat_fee": "1"}]}),
            ("volume", {"tiers": [{"up_to": "1", "unit_price": "2"}, {"flat_fee": "1"}]}),
            ("stairstep", {"tiers": [{"up_to": "1", "flat_fee": "2"}, {"flat_fee": "1"}]}),
            ("package", {"package_size": "5", "package_price": "2", "package_rounding": "down"}),
            ("package", {"package_size": "5", "package_price": "2"}),
            ("percentage", {"rate_percent": "2.9", "fixed_fee": "0.3"}),
            ("percentage", {"rate_percent": "2.9"}),
            (
                "graduated_percentage",
                {"tiers": [{"up_to": "1", "rate_percent": "2"}, {"flat_fee": "1"}]},
            ),
        ],
    )
    def test_each_model_reads_its_canonical_form_back(
        self, model: str, fields: dict[str, Any]
    ) -> None:
        price = parse_price({"model": model, **fields})
        assert price.model == model
        again = parse_price(price.document)
        assert again == price
        assert again.document == price.document
        json.dumps(price.document)

    def test_a_price_alone_needs_neither_key_nor_meter(self) -> None:
        price = parse_price({"model": "per_unit", "unit_price": "0.05", "scope": "app", "k": 2})
        assert (price.key, price.metering) == ("price", None)
        metered = parse_price({**PER_UNIT, "meter": "anything"})
        assert metered.metering is not None
        assert metered.metering.period_aggregation is PeriodAggregation.SUM

    def test_a_price_alone_lists_its_faults(self) -> None:
        with pytest.raises(PlanFaults) as refused:
            parse_price({"model": "per_unit", "unit_price": "-1", "x": 1}, path="cases[2].price")
        assert [fault.path for fault in refused.value.faults] == [
            "cases[2].price.unit_price",
            "cases[2].price.x",
        ]
        assert refused.value.field == "cases[2].price.unit_price"

    def test_stored_documents_are_read_without_knowing_the_meters(self) -> None:
        document = plan({**METERED, "meter": "retired"})
        assert parse_plan(document, known_meters=None).prices[0].metering
        assert faults(document) == [("prices[0].meter", "unknown_meter")]


TIERED = {"key": "p", "model": "graduated"}


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, [("", "not_an_object")]),
        ([], [("", "not_an_object")]),
        ("pro", [("", "not_an_object")]),
        ({}, [("key", "missing"), ("currency", "missing"), ("prices", "missing")]),
        (plan(), [("prices", "missing")]),
        (plan(7), [("prices[0]", "not_an_object")]),
        ({**plan(PER_UNIT), "prices": {}}, [("prices", "not_a_list")]),
        (plan(PER_UNIT, key="two words"), [("key", "not_a_key")]),
        (plan(PER_UNIT, key="k" * 101), [("key", "not_a_key")]),
        (plan(PER_UNIT, key=5), [("key", "not_a_key")]),
        (plan(PER_UNIT, currency="XYZ"), [("currency", "unknown_currency")]),
        (plan(PER_UNIT, currency="HRK"), [("currency", "unknown_currency")]),
        (plan(PER_UNIT, currency=["CNY"]), [("currency", "unknown_currency")]),
        (plan(PER_UNIT, interval="fortnight"), [("interval", "unknown_interval")]),
        (plan(PER_UNIT, interval_count=0), [("interval_count", "not_a_whole_number")]),
        (plan(PER_UNIT, interval_count=1.5), [("interval_count", "not_a_whole_number")]),
        (plan(PER_UNIT, interval_count=True), [("interval_count", "not_a_whole_number")]),
        (plan(PER_UNIT, trial_days=-1), [("trial_days", "not_a_whole_number")]),
        (plan(PER_UNIT, effective_from="2026-02-30"), [("effective_from", "not_a_date")]),
        (plan(PER_UNIT, effective_from="20260301"), [("effective_from", "not_a_date")]),
        (plan(PER_UNIT, grace="24h"), [("grace", "not_a_duration")]),
        (plan(PER_UNIT, day_count="31/365"), [("day_count", "unknown_choice")]),
        (plan(PER_UNIT, name=[]), [("name", "not_an_object")]),
        (plan(PER_UNIT, name={"en": ""}), [("name.en", "not_a_text")]),
        (plan(PER_UNIT, name={"en": "a\nb"}), [("name.en", "not_a_text")]),
        (plan(PER_UNIT, name={"en": "\ud800"}), [("name.en", "not_a_text")]),
        (plan(PER_UNIT, name={"": "x"}), [("name.''", "unknown_field")]),
        (plan(PER_UNIT, name=" "), [("name", "not_a_text")]),
        (plan(PER_UNIT, pries=[]), [("pries", "unknown_field")]),
        (plan(PER_UNIT, **{"\ud800": 1}), [(r"'\ud800'", "unknown_field")]),
        (dict([*plan(PER_UNIT).items(), (5, 1)]), [("5", "unknown_field")]),
        (plan(PER_UNIT, minimum="-1"), [("minimum", "negative")]),
        (plan(PER_UNIT, minimum="2", maximum="1"), [("minimum", "minimum_above_maximum")]),
        (plan(PER_UNIT, entitlements=[]), [("entitlements", "not_an_object")]),
        (plan(PER_UNIT, entitlements={"a": []}), [("entitlements.a", "not_an_entitlement")]),
        (plan(PER_UNIT, entitlements={"a": 1.5}), [("entitlements.a", "not_an_entitlement")]),
        (plan(PER_UNIT, entitlements={"a": -1}), [("entitlements.a", "negative")]),
        (plan(PER_UNIT, entitlements={"a": {}}), [("entitlements.a.limit", "missing")]),
        (
            plan(PER_UNIT, entitlements={"a": {"limit": 1, "kind": "firm", "x": 1}}),
            [("entitlements.a.kind", "unknown_choice"), ("entitlements.a.x", "unknown_field")],
        ),
        (plan(PER_UNIT, PER_UNIT), [("prices[1].key", "duplicate_key")]),
        (plan({"model": "flat", "amount": "1"}), [("prices[0].key", "missing")]),
        (plan({"key": "p", "amount": "1"}), [("prices[0].model", "missing")]),
        (
            plan({"key": "p", "model": "flux", "amount": "1"}),
            [("prices[0].model", "unknown_model")],
        ),
        (plan({"key": "p", "model": "flat"}), [("prices[0].amount", "missing")]),
        (
            plan({"key": "p", "model": "flat", "amount": 0.5}),
            [("prices[0].amount", "not_a_decimal")],
        ),
        (plan({**PER_UNIT, "amount": "1"}), [("prices[0].amount", "unknown_field")]),
        (plan({**PER_UNIT, "unit_price": "NaN"}), [("prices[0].unit_price", "not_finite")]),
        (plan({**PER_UNIT, "unit_price": "1e30"}), [("prices[0].unit_price", "out_of_range")]),
        (plan({**PER_UNIT, "unit_price": "-1"}), [("prices[0].unit_price", "negative")]),
        (
            plan({**PER_UNIT, "unit_price": "0.0000000000001"}),
            [("prices[0].unit_price", "too_many_decimals")],
        ),
        (plan({**PER_UNIT, "prorate": "yes"}), [("prices[0].prorate", "not_a_flag")]),
        (plan({**PER_UNIT, "timing": "later"}), [("prices[0].timing", "unknown_choice")]),
        (plan({**PER_UNIT, "zero_usage": True}), [("prices[0].zero_usage", "unknown_choice")]),
        (plan({**PER_UNIT, "scope": "app"}), [("prices[0].scope", "needs_meter")]),
        (
            plan({**PER_UNIT, "minimum": "2", "maximum": "1"}),
            [("prices[0].minimum", "minimum_above_maximum")],
        ),
        (plan({**PER_UNIT, "convert": {}}), [("prices[0].convert.divide_by", "missing")]),
        (plan({**PER_UNIT, "convert": "1000"}), [("prices[0].convert", "not_an_object")]),
        (
            plan({**PER_UNIT, "convert": {"divide_by": "0", "rounding": "half", "decimals": 13}}),
            [
                ("prices[0].convert.divide_by", "not_positive"),
                ("prices[0].convert.rounding", "unknown_choice"),
                ("prices[0].convert.decimals", "not_a_whole_number"),
            ],
        ),
        (plan({**METERED, "meter": "mau"}), [("prices[0].meter", "unknown_meter")]),
        (plan({**METERED, "meter": 5}), [("prices[0].meter", "not_a_text")]),
        (plan({**METERED, "timing": "in_advance"}), [("prices[0].timing", "metered_in_advance")]),
        (plan({**METERED, "scope": "world"}), [("prices[0].scope", "unknown_choice")]),
        (plan({**PER_UNIT, "meter": "dau"}), [("prices[0].period_aggregation", "missing")]),
        (
            plan({**METERED, "period_aggregation": "peak"}),
            [("prices[0].period_aggregation", "unknown_aggregation")],
        ),
        (plan({**METERED, "k": 2}), [("prices[0].k", "needs_kth_max_day")]),
        (plan({**METERED, "period_aggregation": "kth_max_day"}), [("prices[0].k", "missing")]),
        (
            plan({**METERED, "period_aggregation": "kth_max_day", "k": 0}),
            [("prices[0].k", "not_a_whole_number")],
        ),
        (plan({**METERED, "filter": "single"}), [("prices[0].filter", "not_an_object")]),
        (plan({**METERED, "filter": {}}), [("prices[0].filter", "missing")]),
        (plan({**METERED, "filter": {"kind": []}}), [("prices[0].filter.kind", "missing")]),
        (
            plan({**METERED, "filter": {"kind": ["a", 5]}}),
            [("prices[0].filter.kind[1]", "not_a_text")],
        ),
        (
            plan({**METERED, "filter": {"kind": "a", "color": "red"}}),
            [("prices[0].filter.color", "unknown_field")],
        ),
        (plan(TIERED), [("prices[0].tiers", "missing")]),
        (plan({**TIERED, "tiers": []}), [("prices[0].tiers", "missing")]),
        (plan({**TIERED, "tiers": "none"}), [("prices[0].tiers", "not_a_list")]),
        (plan({**TIERED, "tiers": [5]}), [("prices[0].tiers[0]", "not_an_object")]),
        (
            plan({**TIERED, "tiers": [{"up_to": "10", "unit_price": "1"}]}),
            [("prices[0].tiers[0].up_to", "missing_open_tier")],
        ),
        (
            plan(
                {**TIERED, "model": "volume", "tiers": [{"unit_price": "1"}, {"unit_price": "1"}]}
            ),
            [("prices[0].tiers[0].up_to", "tiers_overlap")],
        ),
        (
            plan(
                {
                    **TIERED,
                    "model": "graduated_percentage",
                    "tiers": [
                        {"up_to": "10", "rate_percent": "1"},
                        {"up_to": "10", "rate_percent": "-1"},
                        {"up_to": None, "unit_price": "1"},
                    ],
                }
            ),
            [
                ("prices[0].tiers[1].rate_percent", "negative"),
                ("prices[0].tiers[2].rate_percent", "missing"),
                ("prices[0].tiers[2].unit_price", "unknown_field"),
                ("prices[0].tiers[1].up_to", "up_to_not_increasing"),
            ],
        ),
        (
            plan(
                {
                    **TIERED,
                    "model": "stairstep",
                    "tiers": [{"up_to": "-5"}, {"flat_fee": "1", "x": 1}],
                }
            ),
            [
                ("prices[0].tiers[0].up_to", "negative"),
                ("prices[0].tiers[0].flat_fee", "missing"),
                ("prices[0].tiers[1].x", "unknown_field"),
            ],
        ),
        (
            plan({**TIERED, "model": "stairstep", "tiers": [{"up_to": "5", "flat_fee": "1"}]}),
            [("prices[0].tiers[0].up_to", "missing_open_tier")],
        ),
        (
            plan({"key": "p", "model": "package", "package_size": "0", "package_rounding": "half"}),
            [
                ("prices[0].package_size", "not_positive"),
                ("prices[0].package_price", "missing"),
                ("prices[0].package_rounding", "unknown_choice"),
            ],
        ),
        (plan(PER_UNIT, max_of=[]), [("max_of", "missing")]),
        (plan(PER_UNIT, max_of=["p"]), [("max_of", "too_few")]),
        (
            plan(PER_UNIT, {**PER_UNIT, "key": "q"}, max_of=["p", "q", "p", "r", 5]),
            [
                ("max_of[2]", "duplicate_key"),
                ("max_of[3]", "unknown_price"),
                ("max_of[4]", "unknown_price"),
            ],
        ),
    ],
)
def test_a_wrong_plan_is_refused_with_every_fault(
    document: object, expected: list[tuple[str, str]]
) -> None:
    assert faults(document) == expected


def test_many_faults_are_all_kept_and_some_told() -> None:
    document = plan(*[{"key": f"p{index}", "model": "flat"} for index in range(30)])
    with pytest.raises(PlanFaults) as refused:
        parsed(document)
    assert len(refused.value.faults) == 30
    assert refused.value.message.endswith("and 10 more")
    assert refused.value.params["faults"][0] == {
        "path": "prices[0].amount",
        "code": "missing",
        "message": "prices[0].amount is missing; give it.",
    }
    assert refused.value.faults[0] == Fault(
        path="prices[0].amount", code="missing", message="prices[0].amount is missing; give it."
    )


def _reordered(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _reordered(value[key]) for key in reversed(list(value))}
    return [_reordered(each) for each in value] if isinstance(value, list) else value


class TestRecognising:
    def test_the_order_of_keys_does_not_matter(self) -> None:
        assert content_hash(_reordered(PRO)) == content_hash(PRO)
        assert len(content_hash(PRO)) == 32

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("prices", 0, "amount"), "1299.00"),
            (("prices", 0, "amount"), 1299),
            (("prices", 0, "amount"), "1.299e3"),
            (("prices", 0, "timing"), None),
            (("prices", 1, "package_rounding"), None),
            (("prices", 1, "scope"), None),
            (("prices", 1, "zero_usage"), "charge"),
            (("prices", 1, "prorate"), False),
            (("prices", 1, "timing"), "in_arrears"),
            (("interval_count",), "1"),
            (("trial_days",), None),
            (("interval",), None),
            (("day_count",), "actual"),
            (("entitlements", "max_group_size"), {"limit": "3000.0"}),
        ],
    )
    def test_the_same_said_otherwise(self, path: tuple[Any, ...], value: object) -> None:
        assert content_hash(self._changed(path, value)) == content_hash(PRO)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("key",), "pro-2"),
            (("name", "en"), "Professional"),
            (("currency",), "EUR"),
            (("interval",), "year"),
            (("interval_count",), 2),
            (("trial_days",), 7),
            (("effective_from",), "2026-03-21"),
            (("grace",), "PT1H"),
            (("day_count",), "second"),
            (("minimum",), "1"),
            (("maximum",), "1"),
            (("max_of",), ["base", "dau"]),
            (("entitlements", "max_group_size"), 3001),
            (("entitlements", "sso"), True),
            (("entitlements", "dau", "kind"), "soft"),
            (("prices", 0, "key"), "basis"),
            (("prices", 0, "amount"), "1299.01"),
            (("prices", 0, "prorate"), False),
            (("prices", 0, "timing"), "in_arrears"),
            (("prices", 2, "addon"), False),
            (("prices", 1, "scope"), "tenant"),
            (("prices", 1, "included"), "10001"),
            (("prices", 1, "package_rounding"), "down"),
            (("prices", 1, "period_aggregation"), "mean_day"),
            (("prices", 1, "filter"), {"kind": "single"}),
            (("prices", 1, "convert"), {"divide_by": "10"}),
            (("prices", 1, "zero_usage"), "free"),
            (("prices", 1, "minimum"), "0"),
            (("prices", 1, "maximum"), "1"),
        ],
    )
    def test_every_other_wording_is_another_version(
        self, path: tuple[Any, ...], value: object
    ) -> None:
        assert content_hash(self._changed(path, value)) != content_hash(PRO)

    def test_conversions_differ_by_what_they_do(self) -> None:
        def hashed(**convert: object) -> bytes:
            return content_hash(plan({**PER_UNIT, "convert": {"divide_by": "10", **convert}}))

        assert hashed() == hashed(rounding="none") == hashed(decimals=2)
        assert len({hashed(), hashed(rounding="up"), hashed(rounding="up", decimals=1)}) == 3
        assert hashed(rounding="up") == hashed(rounding="up", decimals=0)

    def test_a_wrong_plan_has_no_hash(self) -> None:
        with pytest.raises(PlanFaults):
            content_hash({})

    def test_the_canonical_form_means_the_same(self) -> None:
        terms = parsed(PRO)
        again = parsed(terms.document)
        assert again == terms
        assert again.content_hash == terms.content_hash == content_hash(PRO).hex()
        assert hash(again) == hash(terms)

    @staticmethod
    def _changed(path: tuple[Any, ...], value: object) -> dict[str, Any]:
        document = deepcopy(PRO)
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return document


@dataclass(frozen=True, kw_only=True)
class _Meter:
    dimensions: frozenset[str] = frozenset()
    counts_users: bool = False
    holds_level: bool = False


KNOWN: Mapping[str, _Meter] = {
    "dau": _Meter(counts_users=True),
    "storage": _Meter(dimensions=frozenset({"region"}), holds_level=True),
    "messages": _Meter(dimensions=frozenset({"kind", "direction", "region"})),
}


def test_a_filter_names_any_property_that_the_meter_is_kept_by() -> None:
    terms = parse_plan(
        plan(
            {
                **METERED,
                "meter": "messages",
                "filter": {"region": ["us", "eu"], "direction": "up", "kind": ["group"]},
            }
        ),
        known_meters=KNOWN,
    )
    (price,) = terms.prices
    assert price.metering is not None
    assert price.metering.filter == (
        ("direction", ("up",)),
        ("kind", ("group",)),
        ("region", ("eu", "us")),
    )
    assert price.document["filter"] == {
        "direction": ["up"],
        "kind": ["group"],
        "region": ["eu", "us"],
    }


def test_what_the_meter_cannot_tell_is_refused_with_what_it_can() -> None:
    with pytest.raises(PlanFaults) as caught:
        parse_plan(
            plan(
                {**METERED, "key": "a", "filter": {"region": "eu"}},
                {**METERED, "key": "b", "meter": "storage", "filter": {"kind": "x"}},
                {**METERED, "key": "c", "meter": "messages", "period_aggregation": "distinct"},
                {**METERED, "key": "d", "meter": "mau"},
            ),
            known_meters=KNOWN,
        )
    assert [(each.path, each.code) for each in caught.value.faults] == [
        ("prices[0].filter", "unsupported_filter"),
        ("prices[1].filter.kind", "unknown_field"),
        ("prices[2].period_aggregation", "unsupported_aggregation"),
        ("prices[3].meter", "unknown_meter"),
    ]
    assert "write one of region." in caught.value.faults[1].message


def test_a_price_knows_whether_its_meter_holds_a_level() -> None:
    terms = parse_plan(
        plan(
            {**METERED, "key": "a", "meter": "storage", "period_aggregation": "time_weighted_mean"},
            {**METERED, "key": "b", "period_aggregation": "time_weighted_mean"},
            {**METERED, "key": "c", "period_aggregation": "distinct"},
        ),
        known_meters=KNOWN,
    )
    holds = [price.metering.holds_level for price in terms.prices if price.metering is not None]
    assert holds == [True, False, False]
    # It is the meter's, and not a word of the plan.
    again = parse_plan(terms.document, known_meters=KNOWN)
    assert again == terms
