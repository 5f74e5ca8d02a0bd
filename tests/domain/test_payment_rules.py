"""The pure rules of payments: amounts at Stripe, signatures, states, splitting."""

import hashlib
import hmac
import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.payments.domain import (
    OPEN_STATES,
    AttemptState,
    IntentStatus,
    Method,
    bank_reference,
    payment_postings,
    split,
    state_after,
)
from billing.payments.gateways.port import EventRefused
from billing.payments.gateways.stripe_amounts import from_stripe, stripe_decimals, to_stripe
from billing.payments.gateways.stripe_signature import check_signature
from kernel.currencies import current_codes, exponent
from kernel.errors import Invalid
from kernel.money import Money

GOLDEN = [
    ("12.30", "CNY", 1230),
    ("12.30", "USD", 1230),
    ("1", "JPY", 1),
    ("1299", "KRW", 1299),
    ("5", "ISK", 500),
    ("10.45", "HUF", 1045),
    ("8.00", "TWD", 800),
    ("5.120", "KWD", 5120),
    ("1.000", "BHD", 1000),
    ("7.00", "MGA", 7),
    ("500", "CLP", 500),
    ("500", "VND", 500),
]


@pytest.mark.parametrize(("amount", "currency", "units"), GOLDEN)
def test_stripes_integer(amount: str, currency: str, units: int) -> None:
    money = Money.of(amount, currency)

    assert to_stripe(money) == units
    assert from_stripe(units, currency.lower()) == money


@pytest.mark.parametrize("amount", [("5.124", "KWD"), ("1.001", "BHD"), ("7.50", "MGA")])
def test_amounts_that_cards_cannot_state(amount: tuple[str, str]) -> None:
    with pytest.raises(Invalid) as refused:
        to_stripe(Money.of(*amount))

    assert refused.value.code == "amount_not_chargeable"


@pytest.mark.parametrize("currency", ["CLF", "UYW", "UGX"])
def test_currencies_that_are_not_offered(currency: str) -> None:
    with pytest.raises(Invalid) as refused:
        to_stripe(Money(100, currency))

    assert refused.value.code == "currency_not_chargeable"


def test_stripe_never_tells_less_than_a_krona() -> None:
    with pytest.raises(Invalid):
        from_stripe(550, "isk")


@given(
    currency=st.sampled_from(sorted(current_codes())),
    minor=st.integers(min_value=1, max_value=10**12),
)
def test_every_amount_comes_back_as_it_went_or_is_refused(currency: str, minor: int) -> None:
    money = Money(minor, currency)
    try:
        units = to_stripe(money)
    except Invalid:
        return
    assert from_stripe(units, currency) == money
    assert units * 10 ** exponent(currency) == minor * 10 ** stripe_decimals(currency)


STAMP = 1_775_181_600
OURS = "whsec_a"
AT = datetime.fromtimestamp(STAMP, UTC)


def header(payload: bytes, *, secret: str = OURS, stamp: int = STAMP) -> str:
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + payload, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def test_a_genuine_signature_holds_also_among_others() -> None:
    good = header(b"{}").removeprefix(f"t={STAMP},")

    check_signature(payload=b"{}", header=header(b"{}"), secrets=["whsec_a"], now=AT)
    check_signature(
        payload=b"{}",
        header=f"t={STAMP},v0=abc,v1={'0' * 64},{good}",
        secrets=["whsec_b", "whsec_a"],
        now=AT,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "t=,v1=",
        "v1=abc",
        f"t={STAMP}",
        f"t={STAMP},v0=abc",
        f"t=x{STAMP},v1=abc",
        f"t=-1,v1={'0' * 64}",
        f"t={STAMP},v1=é",
        f"t={STAMP},t={STAMP},v1={'0' * 64}",
        f"t={STAMP}," + ",".join(["v1=00"] * 17),
        f"t={STAMP},v1=" + "0" * 5000,
        "t=１２,v1=00",
        f"t={'9' * 400},v1=00",
    ],
)
def test_every_other_header_is_refused(wrong: str) -> None:
    with pytest.raises(EventRefused):
        check_signature(payload=b"{}", header=wrong, secrets=["whsec_a"], now=AT)


@pytest.mark.parametrize("secrets", [[], [""]])
def test_without_a_secret_nothing_is_genuine(secrets: list[str]) -> None:
    with pytest.raises(EventRefused):
        check_signature(payload=b"{}", header=header(b"{}", secret=""), secrets=secrets, now=AT)


@given(payload=st.binary(max_size=200), position=st.integers(min_value=0), flip=st.integers(1, 255))
def test_any_altered_byte_is_refused(payload: bytes, position: int, flip: int) -> None:
    altered = bytearray(payload + b"x")
    altered[position % len(altered)] ^= flip

    with pytest.raises(EventRefused):
        check_signature(
            payload=bytes(altered), header=header(payload + b"x"), secrets=["whsec_a"], now=AT
        )


@given(st.lists(st.sampled_from(IntentStatus), max_size=12))
def test_what_is_final_stays_whatever_is_seen_later(seen: list[IntentStatus]) -> None:
    state = AttemptState.REQUESTED
    finals = []
    for status in seen:
        state = state_after(before=state, status=status)
        if state not in OPEN_STATES:
            finals.append(state)
    assert len(set(finals)) <= 1


def test_every_order_of_a_paid_life_ends_paid() -> None:
    life = [
        IntentStatus.REQUIRES_PAYMENT_METHOD,
        IntentStatus.REQUIRES_ACTION,
        IntentStatus.PROCESSING,
        IntentStatus.SUCCEEDED,
        IntentStatus.UNKNOWN,
    ]
    for order in itertools.permutations(life):
        state = AttemptState.REQUESTED
        for status in order:
            state = state_after(before=state, status=status)
        assert state is AttemptState.SUCCEEDED


@given(received=st.integers(1, 10**15), outstanding=st.integers(0, 10**15))
def test_a_split_conserves_money_and_never_settles_too_much(
    received: int, outstanding: int
) -> None:
    parts = split(received=Money(received, "CNY"), outstanding=Money(outstanding, "CNY"))

    assert parts.allocated + parts.credited == Money(received, "CNY")
    assert 0 <= parts.allocated.minor <= outstanding
    assert parts.credited.minor >= 0
    for method in Method:
        postings = payment_postings(method=method, parts=parts)
        assert sum(posting.amount.minor for posting in postings) == 0


@pytest.mark.parametrize("minor", [0, -5])
def test_nothing_received_is_no_payment(minor: int) -> None:
    with pytest.raises(Invalid):
        split(received=Money(minor, "CNY"), outstanding=Money(100, "CNY"))


def test_a_bank_reference_has_one_form() -> None:
    assert bank_reference(" ft 26 093\t-1 ") == "FT26093-1"
    with pytest.raises(Invalid):
        bank_reference("\x07")
