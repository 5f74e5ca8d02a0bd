"""Whatever is discounted and changed: nothing is taken twice, and nothing comes back that was not paid."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from billing.discounts.domain import DiscountTerms, HeldDiscount
from billing.invoicing.change_facts import BilledAhead, Facts
from billing.invoicing.changes import decide
from billing.invoicing.drafting import Contract, Draft, draft_document
from billing.rating.adjustments.discounts import Discount, DiscountType
from billing.subscriptions.domain import Anchor, AskedChange, ChangeKind
from kernel.errors import DomainError
from kernel.ids import new_id
from kernel.period import local_midnight
from tests.properties.test_changes import FIRST, LAST, ZONES, contract_of, version

OFF = st.tuples(
    st.sampled_from([DiscountType.PERCENTAGE, DiscountType.FIXED]),
    st.integers(1, 100),
    st.sampled_from([None, frozenset({"base"}), frozenset({"seats", "extra"})]),
)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from(["plan", "seats", "add", "remove", "pause", "resume", "cancel"]),
        st.integers(0, 5),
    ),
    max_size=8,
)


def held(number: int, off: tuple[DiscountType, int, frozenset[str] | None]) -> HeldDiscount:
    kind, value, keys = off
    # Fixed amounts up to 500, so that some are larger than what they are for.
    amount = Decimal(value * 5 if kind is DiscountType.FIXED else value)
    return HeldDiscount(
        id=new_id(),
        number=number,
        terms=DiscountTerms(
            name=f"no. {number}",
            discount=Discount(type=kind, value=amount, keys=keys),
            currency="CNY" if kind is DiscountType.FIXED else "",
        ),
        starts_on=FIRST,
        ends_on=None,
    )


def ahead_of(drafts: Sequence[Draft]) -> list[BilledAhead]:
    """The newest document first, as they are read from what was issued."""
    return [
        BilledAhead(
            document=place,
            plan=str(each.line.explanation["plan"]),
            version=1,
            price=each.line.key,
            amount=each.line.amount,
            discounts=each.line.discounts,
        )
        for place, draft in reversed(list(enumerate(drafts)))
        for each in draft.lines
    ]


def billed(
    contract: Contract, steps: Sequence[tuple[int, str, int]]
) -> tuple[list[Draft], Contract]:
    """The documents of a first period with changes on the way."""
    cadence = contract.cadence
    zone = cadence.zone
    starts_on = cadence.starts_on
    versions = [version("a", 310, 31, "actual"), version("b", 777, 13, "actual")]
    first = draft_document(
        contract=contract, boundary=cadence.boundary(cadence.first_boundary()), usage={}
    )
    drafts = [] if first is None else [first]
    ends_on = cadence.period_of(starts_on).served.end_day(zone)
    for offset, what, number in sorted(steps, key=lambda step: step[0]):
        day = starts_on + timedelta(days=offset)
        if day >= ends_on or contract.cadence.ends_on is not None:
            break
        other = versions[1] if contract.version_on(day).terms.key == "a" else versions[0]
        asked = {
            "plan": AskedChange(kind=ChangeKind.PLAN, plan=other.terms.key),
            "seats": AskedChange(kind=ChangeKind.QUANTITY, price="seats", quantity=Decimal(number)),
            "add": AskedChange(kind=ChangeKind.ADD, price="extra"),
            "remove": AskedChange(kind=ChangeKind.REMOVE, price="extra"),
            "pause": AskedChange(kind=ChangeKind.PAUSE),
            "resume": AskedChange(kind=ChangeKind.RESUME),
            "cancel": AskedChange(kind=ChangeKind.CANCEL),
        }[what]
        now = local_midnight(day, zone) + timedelta(hours=3)
        facts = Facts(
            contract=contract,
            starts_at=contract.cadence.first_boundary(),
            ends_at=None,
            next_boundary_at=contract.cadence.after(now),
            ahead=ahead_of(drafts),
            new=other,
        )
        try:
            decision = decide(facts=facts, asked=asked, now=now)
        except DomainError:
            continue
        drafts.extend(each.draft for each in decision.documents)
        contract = decision.after
    return drafts, contract


@given(
    zone=st.sampled_from(ZONES),
    anchor=st.sampled_from(Anchor),
    starts_on=st.dates(FIRST, LAST),
    offs=st.lists(OFF, min_size=1, max_size=3),
    steps=STEPS,
)
def test_no_discount_is_taken_twice_and_no_more_comes_back_than_was_paid(
    zone: object,
    anchor: Anchor,
    starts_on: date,
    offs: list[tuple[DiscountType, int, frozenset[str] | None]],
    steps: list[tuple[int, str, int]],
) -> None:
    contract = contract_of(
        version("a", 310, 31, "actual"),
        starts_on=starts_on,
        zone=zone,  # type: ignore[arg-type]  # of ZONES
        anchor=anchor,
    )
    discounts = tuple(held(number, off) for number, off in enumerate(offs, start=1))
    drafts, _ = billed(replace(contract, discounts=discounts), steps)

    taken: dict[str, int] = {}
    paid = 0
    for draft in drafts:
        assert draft.settlement.discount_total.minor == sum(
            each.line.discount.minor for each in draft.lines
        )
        for each in draft.lines:
            line = each.line
            # Between nothing and the whole line, on the side on which the line is.
            low, high = sorted((0, line.amount.minor))
            assert low <= line.discount.minor <= high
            for discount in line.discounts:
                assert low <= discount.amount.minor <= high
                taken[discount.id] = taken.get(discount.id, 0) + discount.amount.minor
        paid += draft.total.minor
        assert paid >= 0
    for one in discounts:
        if one.terms.discount.type is DiscountType.FIXED:
            # The minor unit that splitting what comes back rounds by is not more.
            room = 2 * len(drafts)
            assert -room <= taken.get(one.key, 0) <= int(one.terms.discount.value * 100) + room


@given(
    starts_on=st.dates(FIRST, LAST),
    percent=st.integers(1, 100),
    steps=STEPS,
)
def test_a_percentage_off_all_is_that_percentage_off_whatever_is_changed(
    starts_on: date, percent: int, steps: list[tuple[int, str, int]]
) -> None:
    contract = contract_of(
        version("a", 310, 31, "actual"),
        starts_on=starts_on,
        zone=ZONES[1],
        anchor=Anchor.CALENDAR,
    )
    off = held(1, (DiscountType.PERCENTAGE, percent, None))
    plain, _ = billed(contract, steps)
    drafts, _ = billed(replace(contract, discounts=(off,)), steps)
    lines = [each.line for draft in drafts for each in draft.lines]
    assert [line.amount for line in lines] == [
        each.line.amount for draft in plain for each in draft.lines
    ]
    gross = sum(line.amount.minor for line in lines)
    net = sum(line.net.minor for line in lines)
    assert abs(Fraction(gross * (100 - percent), 100) - net) <= len(lines)
