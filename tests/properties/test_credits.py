"""Whatever a tenant holds to its credit and whatever a document bills, credits pay within their bounds."""

from hypothesis import given
from hypothesis import strategies as st

from billing.rating.adjustments.credits import (
    CreditScope,
    PayableLine,
    ScopedCredit,
    drawn_credits,
    read_scope,
)
from kernel.money import Money, total

NOTHING = Money.zero("CNY")

keys = st.sampled_from(["a", "b", "c"])
some_keys = st.frozensets(keys, max_size=2)
scopes = st.builds(CreditScope, prices=some_keys, plans=some_keys, apps=some_keys)
held = st.lists(
    st.builds(
        ScopedCredit, left=st.integers(0, 500).map(lambda minor: Money(minor, "CNY")), scope=scopes
    ),
    max_size=5,
)
lines = st.lists(
    st.builds(
        PayableLine,
        price=keys,
        plan=keys,
        app=st.sampled_from(["", "a", "b"]),
        gross=st.integers(-100, 300).map(lambda minor: Money(minor, "CNY")),
    ),
    max_size=6,
)


def sum_of(billed: list[PayableLine]) -> Money:
    return max(NOTHING, total((line.gross for line in billed), currency="CNY"))


@given(credits_held=held, billed=lines)
def test_credits_pay_no_more_than_they_hold_nor_than_is_due(
    credits_held: list[ScopedCredit], billed: list[PayableLine]
) -> None:
    drawn = drawn_credits(credits_held, lines=billed, outstanding=sum_of(billed))

    for credit, part in zip(credits_held, drawn, strict=True):
        assert NOTHING <= part <= credit.left
    assert total(drawn, currency="CNY") <= sum_of(billed)


@given(credits_held=held, billed=lines)
def test_credits_of_a_scope_pay_no_more_than_what_it_covers_costs(
    credits_held: list[ScopedCredit], billed: list[PayableLine]
) -> None:
    """All that lie within a scope together, whatever the wider ones paid."""
    drawn = drawn_credits(credits_held, lines=billed, outstanding=sum_of(billed))

    for scope in {credit.scope for credit in credits_held}:
        charged = [line for line in billed if scope.covers(line) and line.gross.minor > 0]
        within = [
            part for credit, part in zip(credits_held, drawn, strict=True) if credit.scope == scope
        ]
        assert total(within, currency="CNY") <= sum_of(charged)


@given(credits_held=held, billed=lines)
def test_a_first_credit_for_everything_pays_all_that_it_can(
    credits_held: list[ScopedCredit], billed: list[PayableLine]
) -> None:
    first = ScopedCredit(left=Money(250, "CNY"), scope=CreditScope())

    drawn = drawn_credits([first, *credits_held], lines=billed, outstanding=sum_of(billed))

    assert drawn[0] == min(first.left, sum_of(billed))


@given(lefts=st.lists(st.integers(0, 500), max_size=5), billed=lines)
def test_without_scopes_it_is_one_purse(lefts: list[int], billed: list[PayableLine]) -> None:
    due = sum_of(billed)

    drawn = drawn_credits(
        [ScopedCredit(left=Money(left, "CNY"), scope=CreditScope()) for left in lefts],
        lines=billed,
        outstanding=due,
    )

    assert total(drawn, currency="CNY") == min(Money(sum(lefts), "CNY"), due)


@given(scope=scopes)
def test_a_scope_is_read_as_it_was_told(scope: CreditScope) -> None:
    assert read_scope(scope.told()) == scope
