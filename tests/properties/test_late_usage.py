"""Whatever usage comes late, and however often: what was billed and its adjustments are together what a
rating of the final usage bills, line by line."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from billing.catalog.domain import parse_plan
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.drafting import Contract, DraftLine, HeldVersion, arrears_lines
from billing.invoicing.late_usage import (
    Billed,
    BilledPeriod,
    LineName,
    adjusted_period,
    name_of,
)
from billing.rating.usage import Usage, UsageKey
from billing.subscriptions.domain import Anchor, Cadence
from kernel.money import Money, total
from kernel.period import Interval, Period, local_midnight
from kernel.zones import zone_named

ZONE = zone_named("Europe/Berlin")
MARCH = Period.of_days(date(2026, 3, 1), date(2026, 4, 1), ZONE)
ONE = UUID(int=1)
NOTHING = Money.zero("CNY")

figures = st.decimals(min_value=0, max_value=50, places=3).map(str)
bounds = st.none() | st.integers(0, 800).map(str)
models = st.one_of(
    st.fixed_dictionaries({"model": st.just("per_unit"), "unit_price": figures}),
    st.fixed_dictionaries(
        {
            "model": st.sampled_from(["graduated", "volume"]),
            "tiers": st.tuples(figures, figures).map(
                lambda prices: [
                    {"up_to": "40", "unit_price": prices[0], "flat_fee": "1"},
                    {"up_to": None, "unit_price": prices[1], "flat_fee": "2"},
                ]
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "model": st.just("package"),
            "package_size": st.just("10"),
            "package_price": figures,
            "package_rounding": st.sampled_from(["up", "down"]),
        }
    ),
)


@st.composite
def prices(draw: st.DrawFn, key: str) -> dict[str, Any]:
    return {
        "key": key,
        "meter": draw(st.sampled_from(["dau", "messages"])),
        "scope": draw(st.sampled_from(["app", "tenant", "tenant_sum_of_peaks"])),
        "period_aggregation": draw(st.sampled_from(["max_day", "sum_days", "mean_day", "p95_day"])),
        "included": draw(st.integers(0, 30).map(str)),
        "prorate": draw(st.booleans()),
        "zero_usage": draw(st.sampled_from(["charge", "free"])),
        **draw(models),
        **{
            name: value
            for name in ("minimum",)
            if (value := draw(st.none() | st.integers(0, 60).map(str))) is not None
        },
    }


@st.composite
def plans(draw: st.DrawFn) -> dict[str, Any]:
    keys = ["a", "b", "c"]
    minimum, maximum = draw(bounds), draw(bounds)
    if minimum is not None and maximum is not None and int(minimum) > int(maximum):
        minimum, maximum = maximum, minimum
    return {
        "key": "p",
        "currency": "CNY",
        "prices": [draw(prices(key)) for key in keys],
        **({"max_of": ["a", "b"]} if draw(st.booleans()) else {}),
        **({"minimum": minimum} if minimum is not None else {}),
        **({"maximum": maximum} if maximum is not None else {}),
    }


usages: st.SearchStrategy[Usage] = st.dictionaries(
    st.builds(
        UsageKey,
        app=st.sampled_from(["chat", "voice"]),
        meter=st.sampled_from(["dau", "messages"]),
    ),
    st.dictionaries(
        st.integers(1, 31).map(lambda day: date(2026, 3, day)),
        st.integers(1, 100).map(Decimal),
        max_size=4,
    ),
    max_size=4,
)


@given(
    documents=st.tuples(plans(), plans()),
    changed_on=st.none() | st.integers(2, 31),
    states=st.lists(usages, min_size=2, max_size=6),
)
def test_adjustments_sum_to_the_rating_of_the_final_usage(
    documents: tuple[dict[str, Any], dict[str, Any]],
    changed_on: int | None,
    states: list[Usage],
) -> None:
    contract = _contract(documents, changed_on)
    boundary_at = local_midnight(date(2026, 4, 1), ZONE)
    boundary = contract.cadence.boundary(boundary_at)
    period = BilledPeriod(
        invoice_id=ONE,
        invoice="INV-2026-000001",
        kind=InvoiceKind.SUBSCRIPTION,
        boundary_at=boundary_at,
        period=MARCH,
        corrections=1,
    )
    billed: dict[LineName, Billed] = {}
    for line in arrears_lines(contract=contract, ended=boundary.ended, usage=states[0]):
        _bill(billed, name_of(line.line), line, line.line.quantity, line.line.explanation)

    for usage in states[1:]:
        adjusted = adjusted_period(contract=contract, billed=period, lines=billed, usage=usage)
        for line in adjusted.lines:
            adjusts = line.line.explanation["adjusts"]
            assert isinstance(adjusts, dict)
            name = name_of(line.line)._replace(kind=adjusts["kind"])
            working = line.line.explanation["working"]
            assert isinstance(working, Mapping)
            assert line.line.amount
            _bill(billed, name, line, Decimal(adjusts["quantity_now"]), working)

        fresh: dict[LineName, Money] = defaultdict(lambda: NOTHING)
        for line in arrears_lines(contract=contract, ended=boundary.ended, usage=usage):
            fresh[name_of(line.line)] += line.line.amount
        for name in {*fresh, *billed}:
            assert billed.get(name, _NONE).amount == fresh[name]
        assert total((each.amount for each in billed.values()), currency="CNY") == total(
            fresh.values(), currency="CNY"
        )
        again = adjusted_period(contract=contract, billed=period, lines=billed, usage=usage)
        assert again.lines == ()


_NONE = Billed(
    amount=NOTHING,
    waived=NOTHING,
    credited=NOTHING,
    quantity=Decimal(0),
    working={},
    plan_version_id=None,
    first_line=None,
    invoice="",
)


def _bill(
    billed: dict[LineName, Billed],
    name: LineName,
    line: DraftLine,
    quantity: Decimal,
    working: Mapping[str, object],
) -> None:
    before = billed.get(name, _NONE)
    billed[name] = replace(
        before,
        amount=before.amount + line.line.amount,
        quantity=quantity,
        working=working,
        plan_version_id=line.plan_version_id,
        invoice="INV-2026-000001",
    )


def _contract(documents: tuple[dict[str, Any], dict[str, Any]], changed_on: int | None) -> Contract:
    terms = [parse_plan(each, known_meters={"dau", "messages"}) for each in documents]
    versions = [
        HeldVersion(
            starts_on=date(2026, 1, 1), plan_version_id=UUID(int=11), number=1, terms=terms[0]
        )
    ]
    if changed_on is not None:
        versions.append(
            HeldVersion(
                starts_on=date(2026, 3, changed_on),
                plan_version_id=UUID(int=12),
                number=2,
                terms=terms[1],
            )
        )
    return Contract(
        subscription_id=ONE,
        tenant_id=ONE,
        tenant_key="acme",
        language="en",
        versions=versions,
        cadence=Cadence(
            starts_on=date(2026, 1, 1),
            ends_on=None,
            anchor=Anchor.CALENDAR,
            interval=Interval.MONTH,
            interval_count=1,
            zone=ZONE,
        ),
        apps=("chat", "voice"),
    )
