"""Paying an invoice by card, over HTTP against a real `localstripe` process."""

from datetime import timedelta

import pytest

from billing.payments.domain import AttemptState, CardForm, TestCard
from billing.payments.gateways.port import GatewayBusy, GatewayRefused, OutcomeUnknown
from billing.payments.gateways.stripe import StripeGateway
from billing.payments.models import Payment, PaymentAttempt
from billing.payments.services.begin_card_payment import CardPayment, begin_card_payment
from billing.payments.services.pay_with_test_card import answer_test_bank, pay_with_test_card
from billing.payments.services.record_bank_transfer import record_bank_transfer
from billing.payments.services.settle_card_payment import settle_card_payment
from billing.payments.services.sweep_pending_payments import sweep_pending_payments
from billing.payments.services.withdraw_card_payment import withdraw_card_payment
from config.embedded.stripe import SECRET_KEY
from kernel.errors import Conflict, Invalid, NotFound, Unavailable
from kernel.money import Money
from tenants.scope import system_scope
from tests.services.payment_world import (
    NOW,
    Front,
    Owed,
    at_once,
    balances,
    finance,
    front,
    gateway,
    invoice_of,
    local_stripe,
    no_call_in_a_transaction,
    owe,
    stripe_settings,
)
from work.jobs import run_pending

__all__ = [  # fixtures
    "front",
    "gateway",
    "local_stripe",
    "no_call_in_a_transaction",
    "stripe_settings",
]

pytestmark = pytest.mark.usefixtures("db")


def begin(owed: Owed, gateway: StripeGateway, *, later: timedelta = timedelta(0)) -> CardPayment:
    return begin_card_payment(
        tenant_id=owed.tenant_id,
        invoice_id=owed.invoice_id,
        actor="user:1",
        now=NOW + later,
        gateway=gateway,
    )


def pay(owed: Owed, payment: CardPayment, gateway: StripeGateway, card: TestCard) -> AttemptState:
    return pay_with_test_card(
        tenant_id=owed.tenant_id,
        attempt_id=payment.attempt.id,
        card=card,
        now=NOW,
        gateway=gateway,
    ).state


def payments() -> list[Payment]:
    with system_scope(purpose="test"):
        return list(Payment.objects.order_by("booked_at"))


def attempts() -> list[PaymentAttempt]:
    with system_scope(purpose="test"):
        return list(PaymentAttempt.objects.order_by("number"))


def test_a_card_pays_the_invoice_and_the_ledger_says_so(gateway: StripeGateway) -> None:
    owed = owe("1299.00")

    payment = begin(owed, gateway)
    state = pay(owed, payment, gateway, TestCard.SUCCEEDS)

    assert payment.form is CardForm.TEST_CARDS
    assert payment.attempt.amount == owed.total
    assert payment.client_secret
    assert state is AttemptState.SUCCEEDED
    invoice = invoice_of(owed)
    assert (invoice.status, invoice.paid_minor, invoice.paid_at) == ("paid", 129900, NOW)
    assert balances(owed) == {"stripe_clearing": 129900, "revenue": -129900}
    assert [row.external_id for row in payments()] == [row.intent_id for row in attempts()]


def test_beginning_twice_gives_the_same_intent(gateway: StripeGateway, front: Front) -> None:
    owed = owe()

    first, second = begin(owed, gateway), begin(owed, gateway)

    assert first.client_secret == second.client_secret
    assert first.attempt.id == second.attempt.id
    assert front.made("/v1/payment_intents") == 1


def test_six_clicks_at_once_make_one_intent(gateway: StripeGateway, front: Front) -> None:
    owed = owe()

    results = at_once([lambda: begin(owed, gateway)] * 6)

    assert len({result.client_secret for result in results}) == 1
    assert front.made("/v1/payment_intents") == 1
    assert len(attempts()) == 1


def test_a_declined_card_leaves_the_invoice_open_for_another(gateway: StripeGateway) -> None:
    owed = owe()

    first = begin(owed, gateway)
    state = pay(owed, first, gateway, TestCard.DECLINED)
    failed = attempts()[0]
    second = begin(owed, gateway)
    then = pay(owed, second, gateway, TestCard.SUCCEEDS)

    assert state is AttemptState.FAILED
    assert failed.error_code == "card_declined"
    assert "declined" in failed.error_message
    assert second.attempt.number == 2
    assert then is AttemptState.SUCCEEDED
    assert [row.amount_minor for row in payments()] == [129900]


def test_the_banks_question_is_asked_and_answered(gateway: StripeGateway) -> None:
    owed = owe()
    payment = begin(owed, gateway)

    state = pay(owed, payment, gateway, TestCard.NEEDS_AUTHENTICATION)
    again = begin(owed, gateway)
    answered = answer_test_bank(
        tenant_id=owed.tenant_id,
        attempt_id=payment.attempt.id,
        accepted=True,
        now=NOW,
        gateway=gateway,
    )

    assert state is AttemptState.WAITING
    assert again.needs_authentication
    assert answered.state is AttemptState.SUCCEEDED
    assert invoice_of(owed).status == "paid"


def test_refusing_at_the_bank_fails_the_attempt(gateway: StripeGateway) -> None:
    owed = owe()
    payment = begin(owed, gateway)
    pay(owed, payment, gateway, TestCard.NEEDS_AUTHENTICATION)

    answered = answer_test_bank(
        tenant_id=owed.tenant_id,
        attempt_id=payment.attempt.id,
        accepted=False,
        now=NOW,
        gateway=gateway,
    )

    assert answered.state is AttemptState.FAILED
    assert answered.error_code == "authentication_failed"
    assert invoice_of(owed).status == "open"


def test_a_lost_answer_to_making_the_intent_makes_no_second_one(
    gateway: StripeGateway, front: Front
) -> None:
    owed = owe()
    front.lose_answers(1)

    with pytest.raises(OutcomeUnknown) as lost:
        begin(owed, gateway)
    unknown = attempts()[0]
    payment = begin(owed, gateway)

    assert lost.value.code == "payment_outcome_unknown"
    assert unknown.state == AttemptState.REQUESTED
    assert payment.attempt.id == unknown.id
    assert front.made("/v1/payment_intents") == 1


def test_a_lost_answer_is_found_by_looking_once_the_key_is_forgotten(
    gateway: StripeGateway, front: Front
) -> None:
    owed = owe()
    front.lose_answers(1)
    with pytest.raises(OutcomeUnknown):
        begin(owed, gateway)
    front.remembered.clear()

    payment = begin(owed, gateway, later=timedelta(hours=25))

    assert len(attempts()) == 1
    assert front.made("/v1/payment_intents") == 1
    assert payment.client_secret


def test_what_was_never_made_is_begun_anew_after_the_key_is_forgotten(
    gateway: StripeGateway, front: Front
) -> None:
    owed = owe()
    front.answer_with = 500
    with pytest.raises(OutcomeUnknown):
        begin(owed, gateway)
    front.answer_with = 0

    payment = begin(owed, gateway, later=timedelta(hours=25))

    assert [row.state for row in attempts()] == ["failed", "waiting"]
    assert payment.attempt.number == 2


def test_a_charge_whose_answer_is_lost_is_one_charge_and_settles(
    gateway: StripeGateway, front: Front
) -> None:
    owed = owe()
    payment = begin(owed, gateway)
    front.lose_answers(1, path="/confirm")

    with pytest.raises(OutcomeUnknown):
        pay(owed, payment, gateway, TestCard.SUCCEEDS)
    before = invoice_of(owed).status
    settled = settle_card_payment(
        tenant_id=owed.tenant_id, attempt_id=payment.attempt.id, now=NOW, gateway=gateway
    )

    assert before == "open"
    assert settled.state is AttemptState.SUCCEEDED
    assert len(payments()) == 1
    assert balances(owed)["stripe_clearing"] == 129900


def test_the_library_repeats_a_lost_call_with_the_same_key(front: Front) -> None:
    owed = owe()
    front.lose_answers(1)
    patient = StripeGateway(secret_key=SECRET_KEY, api_base=front.address, retries=2)

    payment = begin(owed, patient)

    assert payment.client_secret
    assert front.made("/v1/payment_intents") == 1


def test_settling_many_times_at_once_books_one_payment(
    gateway: StripeGateway, front: Front
) -> None:
    owed = owe()
    payment = begin(owed, gateway)
    front.lose_answers(1, path="/confirm")
    with pytest.raises(OutcomeUnknown):
        pay(owed, payment, gateway, TestCard.SUCCEEDS)

    results = at_once(
        [
            lambda: settle_card_payment(
                tenant_id=owed.tenant_id, attempt_id=payment.attempt.id, now=NOW, gateway=gateway
            )
        ]
        * 5
    )

    assert {result.state for result in results} == {AttemptState.SUCCEEDED}
    assert len(payments()) == 1
    assert balances(owed) == {"stripe_clearing": 129900, "revenue": -129900}


def test_the_sweep_finds_a_payment_that_no_event_told(
    stripe_settings: Front, gateway: StripeGateway
) -> None:
    owed = owe()
    payment = begin(owed, gateway)
    stripe_settings.lose_answers(1, path="/confirm")
    with pytest.raises(OutcomeUnknown):
        pay(owed, payment, gateway, TestCard.SUCCEEDS)

    too_early = sweep_pending_payments(slot="1", now=NOW + timedelta(minutes=5))
    found = sweep_pending_payments(slot="2", now=NOW + timedelta(hours=1))
    again = sweep_pending_payments(slot="2", now=NOW + timedelta(hours=1))
    run_pending(now=NOW + timedelta(hours=1), kinds=["payments.settle_attempt"])

    assert (too_early, found, again) == (0, 1, 0)
    assert invoice_of(owed).status == "paid"
    assert sweep_pending_payments(slot="3", now=NOW + timedelta(hours=2)) == 0


def test_beginning_again_finds_a_charge_that_nobody_told_of(
    gateway: StripeGateway, front: Front
) -> None:
    owed = owe()
    payment = begin(owed, gateway)
    front.lose_answers(1, path="/confirm")
    with pytest.raises(OutcomeUnknown):
        pay(owed, payment, gateway, TestCard.SUCCEEDS)

    with pytest.raises(Conflict) as refused:
        begin(owed, gateway)

    assert refused.value.code == "invoice_not_open"
    assert invoice_of(owed).status == "paid"
    assert front.made("/v1/payment_intents") == 1


def test_a_page_left_open_for_a_week_is_ended(
    stripe_settings: Front, gateway: StripeGateway
) -> None:
    owed = owe()
    begin(owed, gateway)

    swept = sweep_pending_payments(slot="1", now=NOW + timedelta(days=8))
    run_pending(now=NOW + timedelta(days=8), kinds=["payments.withdraw_attempt"])

    assert swept == 1
    assert [row.state for row in attempts()] == ["canceled"]
    assert invoice_of(owed).status == "open"


def test_a_transfer_while_the_card_page_is_open_lowers_what_the_card_pays(
    stripe_settings: Front, gateway: StripeGateway
) -> None:
    owed = owe("1000.00")
    before = begin(owed, gateway)
    record_bank_transfer(
        user=finance(),
        invoice_id=owed.invoice_id,
        amount=Money.of("400.00", "CNY"),
        received_on=NOW.date(),
        reference="FT-1",
        now=NOW,
    )

    after = begin(owed, gateway)
    pay(owed, after, gateway, TestCard.SUCCEEDS)
    run_pending(now=NOW, kinds=["payments.withdraw_attempt"])

    assert after.attempt.id != before.attempt.id
    assert after.attempt.amount == Money.of("600.00", "CNY")
    assert [row.state for row in attempts()] == ["canceled", "succeeded"]
    assert balances(owed) == {"bank": 40000, "stripe_clearing": 60000, "revenue": -100000}


def test_a_transfer_withdraws_the_open_card_page(
    stripe_settings: Front, gateway: StripeGateway
) -> None:
    owed = owe("1000.00")
    payment = begin(owed, gateway)
    record_bank_transfer(
        user=finance(),
        invoice_id=owed.invoice_id,
        amount=owed.total,
        received_on=NOW.date(),
        reference="FT-1",
        now=NOW,
    )
    run_pending(now=NOW, kinds=["payments.withdraw_attempt"])

    with pytest.raises(Conflict) as refused:
        pay(owed, payment, gateway, TestCard.SUCCEEDS)
    assert refused.value.code == "payment_not_waiting"
    assert len(payments()) == 1


def test_money_taken_after_the_invoice_was_paid_becomes_the_tenants_credit(
    gateway: StripeGateway, front: Front
) -> None:
    owed = owe("1000.00")
    payment = begin(owed, gateway)
    front.lose_answers(1, path="/confirm")
    with pytest.raises(OutcomeUnknown):
        pay(owed, payment, gateway, TestCard.SUCCEEDS)
    record_bank_transfer(
        user=finance(),
        invoice_id=owed.invoice_id,
        amount=owed.total,
        received_on=NOW.date(),
        reference="FT-1",
        now=NOW,
    )

    withdrawn = withdraw_card_payment(
        tenant_id=owed.tenant_id, attempt_id=payment.attempt.id, now=NOW, gateway=gateway
    )

    assert withdrawn.state is AttemptState.SUCCEEDED
    assert balances(owed) == {
        "bank": 100000,
        "stripe_clearing": 100000,
        "customer_credit": -100000,
        "revenue": -100000,
    }


def test_another_tenants_invoice_is_not_there(gateway: StripeGateway) -> None:
    mine, theirs = owe(), owe(tenant="other")
    stolen = Owed(tenant_id=mine.tenant_id, invoice_id=theirs.invoice_id, total=theirs.total)

    with pytest.raises(NotFound) as refused:
        begin(stolen, gateway)

    assert refused.value.code == "invoice_not_found"
    assert attempts() == []


def test_a_paid_invoice_is_not_paid_again(gateway: StripeGateway) -> None:
    owed = owe()
    pay(owed, begin(owed, gateway), gateway, TestCard.SUCCEEDS)

    with pytest.raises(Conflict) as refused:
        begin(owed, gateway)

    assert refused.value.code == "invoice_not_open"


def test_an_amount_that_cards_cannot_state_is_refused_and_leaves_nothing_open(
    gateway: StripeGateway, front: Front
) -> None:
    owed = owe("1.001", "KWD")

    with pytest.raises(Invalid) as refused:
        begin(owed, gateway)

    assert refused.value.code == "amount_not_chargeable"
    assert [row.state for row in attempts()] == ["failed"]
    assert front.calls == []


def test_stripe_is_told_whole_yen(gateway: StripeGateway) -> None:
    owed = owe("1299", "JPY")
    payment = begin(owed, gateway)

    intent_id = attempts()[0].intent_id
    assert intent_id is not None
    intent = gateway.fetch_intent(intent_id=intent_id)

    assert payment.attempt.amount == intent.amount == Money(1299, "JPY")


@pytest.mark.parametrize(
    ("status", "failure", "code"),
    [
        (429, GatewayBusy, "gateway_busy"),
        (409, GatewayBusy, "gateway_busy"),
        (500, OutcomeUnknown, "payment_outcome_unknown"),
        (503, OutcomeUnknown, "payment_outcome_unknown"),
        (401, GatewayRefused, "gateway_credentials"),
        (400, GatewayRefused, "gateway_refused"),
    ],
)
def test_every_failure_has_its_class(
    gateway: StripeGateway, front: Front, status: int, failure: type[Exception], code: str
) -> None:
    owed = owe()
    front.answer_with = status

    with pytest.raises(failure) as raised:
        begin(owed, gateway)

    assert getattr(raised.value, "code", "") == code
    is_open = attempts()[0].state == AttemptState.REQUESTED
    assert is_open is isinstance(raised.value, Unavailable)
    front.answer_with = 0
    assert begin(owed, gateway).client_secret


def test_nobody_listening_is_an_unknown_outcome() -> None:
    owed = owe()
    nowhere = StripeGateway(secret_key=SECRET_KEY, api_base="http://127.0.0.1:9", retries=0)

    with pytest.raises(OutcomeUnknown):
        begin(owed, nowhere)

    assert attempts()[0].state == AttemptState.REQUESTED


def test_an_intent_that_the_server_forgot_is_replaced(gateway: StripeGateway, front: Front) -> None:
    owed = owe()
    begin(owed, gateway)
    with system_scope(purpose="test"):
        first = PaymentAttempt.objects.get()
        PaymentAttempt.objects.filter(id=first.id).update(state="failed")
        PaymentAttempt.objects.create(
            tenant_id=owed.tenant_id,
            invoice_id=owed.invoice_id,
            number=2,
            gateway="stripe",
            intent_id="pi_forgotten",
            currency="CNY",
            amount_minor=owed.total.minor,
            state="waiting",
            requested_by="user:1",
            requested_at=NOW,
        )

    payment = begin(owed, gateway)

    assert payment.attempt.number == 3
    assert attempts()[1].error_code == "intent_not_found"


def test_test_cards_are_refused_at_stripe_itself() -> None:
    real = StripeGateway(secret_key="sk_test_x")

    assert real.form is CardForm.ELEMENTS
    with pytest.raises(GatewayRefused) as refused:
        real.pay_with_test_card(intent_id="pi_1", card=TestCard.SUCCEEDS)
    assert refused.value.code == "test_cards_off"


def test_a_live_key_is_refused_at_a_test_server(front: Front) -> None:
    with pytest.raises(Invalid) as refused:
        StripeGateway(secret_key="sk_live_x", api_base=front.address)

    assert refused.value.code == "live_key_at_test_server"
