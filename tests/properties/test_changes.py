"""Whatever is changed, whenever: each day is billed once, by what was held on it."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import assume, given
from hypothesis import strategies as st

from billing.catalog.domain import parse_plan
from billing.invoicing.change_facts import Facts
from billing.invoicing.changes import Decision, decide
from billing.invoicing.drafting import Contract, Draft, HeldVersion, draft_document
from billing.subscriptions.domain import (
    Anchor,
    AskedChange,
    Cadence,
    ChangeKind,
    EffectiveWhen,
    Pace,
)
from kernel.errors import DomainError
from kernel.period import Interval, local_day, local_midnight

ZONES = [
    ZoneInfo(name)
    for name in (
        "UTC",
        "Asia/Shanghai",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
        "Europe/Berlin",
        "America/St_Johns",
    )
]
FIRST, LAST = date(2023, 12, 25), date(2025, 3, 5)
"""Over the leap day of 2024, a year's end, and changes of the clocks."""


def version(key: str, base: int, seat: int, day_count: str, interval: str = "month") -> HeldVersion:
    terms = parse_plan(
        {
            "key": key,
            "currency": "CNY",
            "interval": interval,
            "day_count": day_count,
            "prices": [
                {"key": "base", "model": "flat", "amount": str(base), "prorate": True},
                {"key": "seats", "model": "per_unit", "unit_price": str(seat), "prorate": True},
                {
                    "key": "extra",
                    "model": "flat",
                    "amount": str(seat + 1),
                    "prorate": True,
                    "addon": True,
                },
            ],
        },
        known_meters=None,
    )
    return HeldVersion(starts_on=FIRST, plan_version_id=UUID(int=base), number=1, terms=terms)


def contract_of(held: HeldVersion, *, starts_on: date, zone: ZoneInfo, anchor: Anchor) -> Contract:
    held = replace(held, starts_on=starts_on)
    return Contract(
        subscription_id=UUID(int=1),
        tenant_id=UUID(int=2),
        tenant_key="acme",
        language="en",
        versions=(held,),
        phases=(held,),
        cadence=Cadence(
            starts_on=starts_on,
            ends_on=None,
            anchor=anchor,
            interval=held.terms.interval,
            interval_count=held.terms.interval_count,
            zone=zone,
        ),
        apps=(),
    )


def exact_sum(drafts: list[Draft]) -> Fraction:
    return sum((each.line.exact for draft in drafts for each in draft.lines), start=Fraction(0))


@given(
    zone=st.sampled_from(ZONES),
    anchor=st.sampled_from(Anchor),
    day_count=st.sampled_from(["actual", "30/360"]),
    starts_on=st.dates(FIRST, LAST),
    steps=st.lists(
        st.tuples(
            st.integers(0, 40),
            st.sampled_from(["plan", "seats", "add", "remove", "pause", "resume"]),
            st.integers(0, 5),
        ),
        max_size=8,
    ),
)
def test_each_day_of_a_period_is_billed_once_by_what_was_held_on_it(
    zone: ZoneInfo,
    anchor: Anchor,
    day_count: str,
    starts_on: date,
    steps: list[tuple[int, str, int]],
) -> None:
    versions = [version("a", 310, 31, day_count), version("b", 777, 13, day_count)]
    contract = contract_of(versions[0], starts_on=starts_on, zone=zone, anchor=anchor)
    cadence = contract.cadence
    opened = cadence.boundary(cadence.first_boundary())
    first = draft_document(contract=contract, boundary=opened, usage={})
    drafts = [] if first is None else [first]
    service = cadence.period_of(starts_on)
    ends_on = service.served.end_day(zone)
    for offset, what, number in sorted(steps, key=lambda step: step[0]):
        day = starts_on + timedelta(days=offset)
        if day >= ends_on:
            break
        held = contract.version_on(day)
        other = versions[1] if held.terms.key == "a" else versions[0]
        asked = {
            "plan": AskedChange(kind=ChangeKind.PLAN, plan=other.terms.key),
            "seats": AskedChange(kind=ChangeKind.QUANTITY, price="seats", quantity=Decimal(number)),
            "add": AskedChange(kind=ChangeKind.ADD, price="extra"),
            "remove": AskedChange(kind=ChangeKind.REMOVE, price="extra"),
            "pause": AskedChange(kind=ChangeKind.PAUSE),
            "resume": AskedChange(kind=ChangeKind.RESUME),
        }[what]
        now = local_midnight(day, zone) + timedelta(hours=3)
        try:
            decision = decide_at(contract, asked, other, now=now)
        except DomainError:
            continue  # it holds none, is paused already, …
        drafts.extend(each.draft for each in decision.documents)
        contract = decision.after
        assert contract.cadence.period_of(day) == service  # the anchor stays

    assert exact_sum(drafts) == day_by_day(contract, starts_on, ends_on)


def decide_at(
    contract: Contract, asked: AskedChange, new: HeldVersion, *, now: datetime
) -> Decision:
    facts = Facts(
        contract=contract,
        starts_at=contract.cadence.first_boundary(),
        ends_at=None,
        next_boundary_at=contract.cadence.after(now),
        new=new,
    )
    return decide(facts=facts, asked=asked, now=now)


def day_by_day(contract: Contract, starts_on: date, ends_on: date) -> Fraction:
    """The slow way: every day at what its plan and its quantities cost a day."""
    total = Fraction(0)
    zone = contract.cadence.zone
    full = contract.cadence.period_of(starts_on).full
    for offset in range((ends_on - starts_on).days):
        day = starts_on + timedelta(days=offset)
        state = contract.state_on(day)
        if state.is_paused:
            continue
        terms = state.version.terms
        month = {"a": (310, 31, 32), "b": (777, 13, 14)}[terms.key]
        seats = Fraction(state.quantities.get("seats", Decimal(1)))
        extras = Fraction(state.quantities.get("extra", Decimal(0)))
        if terms.day_count.value == "30/360":
            share = Fraction(
                days_360(day, day + timedelta(days=1)),
                days_360(full.first_day(zone), full.end_day(zone)),
            )
        else:
            share = Fraction(1, full.day_count(zone))
        total += (month[0] + month[1] * seats + month[2] * extras) * share
    return total


def days_360(first: date, end: date) -> int:
    return (
        360 * (end.year - first.year)
        + 30 * (end.month - first.month)
        + (min(end.day, 30) - min(first.day, 30))
    )


@given(
    zone=st.sampled_from(ZONES),
    anchor=st.sampled_from(Anchor),
    starts_on=st.dates(FIRST, LAST),
    days=st.integers(0, 30),
    hours=st.integers(0, 22),
    intervals=st.lists(
        st.sampled_from([Interval.MONTH, Interval.YEAR, Interval.WEEK]),
        min_size=2,
        max_size=2,
        unique=True,
    ),
)
def test_a_change_to_another_interval_leaves_no_day_unbilled_and_none_twice(
    zone: ZoneInfo,
    anchor: Anchor,
    starts_on: date,
    days: int,
    hours: int,
    intervals: list[Interval],
) -> None:
    old, new = (
        version(key, base, 0, "actual", interval.value)
        for key, base, interval in zip("ab", (310, 777), intervals, strict=True)
    )
    contract = contract_of(old, starts_on=starts_on, zone=zone, anchor=anchor)
    service = contract.cadence.period_of(starts_on)
    day = starts_on + timedelta(days=days)
    assume(day < service.served.end_day(zone))
    now = local_midnight(day, zone) + timedelta(hours=hours, minutes=1)
    assume(local_day(now, zone) == day)
    first = draft_document(
        contract=contract,
        boundary=contract.cadence.boundary(contract.cadence.first_boundary()),
        usage={},
    )
    assert first is not None

    decision = decide_at(contract, AskedChange(kind=ChangeKind.PLAN, plan="b"), new, now=now)

    after = decision.after.cadence
    following = after.period_of(day)
    assert following.served.first_day(zone) == day
    billed = exact_sum([first, *(each.draft for each in decision.documents)])
    served_before = Fraction(days, service.full.day_count(zone))
    served_after = Fraction(following.served.day_count(zone), following.full.day_count(zone))
    assert billed == 310 * served_before + 777 * served_after
    # The document of the cut bills nothing ahead once more, and the next one follows it.
    cut = decision.next_boundary_at
    assert cut is not None
    if cut <= now:
        boundary = after.boundary(cut)
        assert boundary.opened is None
        assert boundary.ended is not None
        assert boundary.ended.served.end_day(zone) == day
        cut = after.after(cut)
    assert cut == following.served.ends_at


@given(
    zone=st.sampled_from(ZONES),
    anchor=st.sampled_from(Anchor),
    interval=st.sampled_from(Interval),
    count=st.integers(1, 7),
    starts_on=st.dates(date(1999, 12, 25), date(2032, 3, 5)),
    cut_after=st.none() | st.integers(1, 400),
    lasts=st.none() | st.integers(1, 900),
)
def test_periods_meet_whatever_interval_anchor_and_zone(
    zone: ZoneInfo,
    anchor: Anchor,
    interval: Interval,
    count: int,
    starts_on: date,
    cut_after: int | None,
    lasts: int | None,
) -> None:
    ends_on = None if lasts is None else starts_on + timedelta(days=lasts)
    paces = (
        ()
        if cut_after is None
        else (
            Pace(
                starts_on=starts_on + timedelta(days=cut_after),
                interval=Interval.MONTH,
                interval_count=1,
                cuts=cut_after % 2 == 0,
            ),
        )
    )
    cadence = Cadence(
        starts_on=starts_on,
        ends_on=ends_on,
        anchor=anchor,
        interval=interval,
        interval_count=count,
        zone=zone,
        paces=paces,
    )
    at: datetime | None = cadence.first_boundary()
    before = None
    for _ in range(8):
        assert at is not None
        boundary = cadence.boundary(at)
        assert (boundary.ended is None) == (before is None)
        if boundary.ended is not None and before is not None:
            # What ended is what lay between the boundaries, within its full period.
            assert (boundary.ended.served.starts_at, boundary.ended.served.ends_at) == (before, at)
            assert boundary.ended.full.starts_at <= before
            assert at <= boundary.ended.full.ends_at
            day = boundary.ended.served.first_day(zone)
            assert cadence.period_of(day) == boundary.ended
        following = cadence.after(at)
        if boundary.opened is not None and not paces:
            assert boundary.opened.served.starts_at == at
            assert boundary.opened.served.ends_at == following
        before, at = at, following
        if at is None:
            assert ends_on is not None
            assert before == local_midnight(ends_on, zone)
            break


@given(
    starts_on=st.dates(FIRST, LAST), days=st.integers(0, 27), planned=st.sampled_from(EffectiveWhen)
)
def test_a_change_that_is_taken_back_leaves_nothing(
    starts_on: date, days: int, planned: EffectiveWhen
) -> None:
    a, b = version("a", 310, 31, "actual"), version("b", 777, 13, "actual")
    contract = contract_of(a, starts_on=starts_on, zone=ZONES[1], anchor=Anchor.ANNIVERSARY)
    now = local_midnight(starts_on + timedelta(days=days), ZONES[1])
    there = decide_at(
        contract, AskedChange(kind=ChangeKind.PLAN, plan="b", when=planned), b, now=now
    )
    back = decide_at(
        there.after,
        AskedChange(kind=ChangeKind.PLAN, plan="a", when=planned),
        contract.versions[0],
        now=now,
    )
    assert exact_sum([each.draft for each in (*there.documents, *back.documents)]) == 0
    assert [(each.starts_on, each.plan_version_id) for each in back.after.phases[:1]] == [
        (starts_on, a.plan_version_id)
    ]
    assert len(back.after.phases) == 1
