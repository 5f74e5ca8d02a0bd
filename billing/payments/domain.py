"""What a payment is, what an attempt may become, and how received money is posted. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from billing.ledger.domain import Account, Posting, balanced, credit, debit
from kernel.errors import Invalid
from kernel.money import Money


class Method(StrEnum):
    CARD = "card"
    BANK_TRANSFER = "bank_transfer"


class Gateway(StrEnum):
    """Where a payment's external id comes from."""

    STRIPE = "stripe"
    BANK = "bank"


class AttemptState(StrEnum):
    """The life of one attempt to pay an invoice by card.

    `requested`: our row stands, and whether the gateway knows of it is not known yet; `waiting`: the
    payer has to act; `processing`: the gateway works on it. The other three are final.
    """

    REQUESTED = "requested"
    WAITING = "waiting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


OPEN_STATES: Final = frozenset(
    {AttemptState.REQUESTED, AttemptState.WAITING, AttemptState.PROCESSING}
)


class IntentStatus(StrEnum):
    """A payment intent's status, in Stripe's words; `unknown` stands for one that we don't know."""

    REQUIRES_PAYMENT_METHOD = "requires_payment_method"
    REQUIRES_CONFIRMATION = "requires_confirmation"
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    CANCELED = "canceled"
    SUCCEEDED = "succeeded"
    UNKNOWN = "unknown"


class CardForm(StrEnum):
    """How the payer gives the card: in Stripe's own frame, or, at a test server, by choosing one of
    its test cards. No card number ever reaches this service."""

    ELEMENTS = "elements"
    TEST_CARDS = "test_cards"


class TestCard(StrEnum):
    """What a test server is asked to play."""

    __test__ = False  # not a test, whatever its name looks like to pytest

    SUCCEEDS = "succeeds"
    DECLINED = "declined"
    NEEDS_AUTHENTICATION = "needs_authentication"


_STATES: Final = {
    IntentStatus.SUCCEEDED: AttemptState.SUCCEEDED,
    IntentStatus.CANCELED: AttemptState.CANCELED,
    IntentStatus.PROCESSING: AttemptState.PROCESSING,
    IntentStatus.REQUIRES_CAPTURE: AttemptState.PROCESSING,
}

KEY_LIFETIME: Final = timedelta(hours=23)
"""Stripe forgets idempotency keys after 24 hours: when a call's outcome is not known for so long, the
call is not repeated, only looked up."""

CALL_LEASE: Final = timedelta(seconds=60)
"""How long one caller alone may talk to the gateway about an attempt."""


def state_after(*, before: AttemptState, status: IntentStatus) -> AttemptState:
    """The attempt's state once the intent was seen in `status`.

    Order-free: what is final stays, whatever is seen later or was seen earlier and told late.
    """
    if before not in OPEN_STATES:
        return before
    return _STATES.get(status, AttemptState.WAITING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Received money: what settles the invoice, and the surplus that stays the tenant's credit."""

    allocated: Money
    credited: Money


def split(*, received: Money, outstanding: Money) -> Split:
    """`received` over an invoice of which `outstanding` is unpaid; the parts sum to `received`.

    Raises Invalid `amount_not_positive`, `currency_mismatch`.
    """
    if received.minor <= 0:
        raise Invalid(
            "amount_not_positive",
            "amount is not above zero; give what was received.",
            field="amount",
        )
    allocated = max(min(received, outstanding), Money.zero(received.currency))
    return Split(allocated=allocated, credited=received - allocated)


_MONEY_ACCOUNT: Final = {
    Method.CARD: Account.STRIPE_CLEARING,
    Method.BANK_TRANSFER: Account.BANK,
}


def payment_postings(*, method: Method, parts: Split) -> tuple[Posting, ...]:
    """Money comes in; the tenant owes less, and what it paid too much we owe it."""
    return balanced(
        [
            debit(_MONEY_ACCOUNT[method], parts.allocated + parts.credited),
            credit(Account.RECEIVABLE, parts.allocated),
            credit(Account.CUSTOMER_CREDIT, parts.credited),
        ]
    )


def bank_reference(text: str) -> str:
    """A statement's reference in the one form in which it is unique: no blanks, capital letters.

    Raises Invalid `invalid_bank_reference`.
    """
    reference = "".join(text.split()).upper()
    if not reference or len(reference) > 140 or not reference.isprintable():
        raise Invalid(
            "invalid_bank_reference",
            "bank_reference must be the statement's reference, 1 to 140 characters.",
            field="bank_reference",
        )
    return reference
