"""Paying an invoice by card.

The payment page alone lets Stripe's script in, by a content policy of its own. At a test server no
script is needed: the page offers the server's test cards. No card number reaches this service.
"""

from typing import Final
from uuid import UUID

from csp.decorators import csp_update
from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from billing.invoicing.listings import InvoiceDetail, invoice_detail
from billing.payments.domain import AttemptState, CardForm, TestCard
from billing.payments.services.begin_card_payment import CardPayment, begin_card_payment
from billing.payments.services.card_offer import card_offer
from billing.payments.services.observe_intent import AttemptView
from billing.payments.services.pay_with_test_card import answer_test_bank, pay_with_test_card
from billing.payments.services.settle_card_payment import settle_card_payment
from kernel import clock
from kernel.errors import DomainError
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.scope import tenant_scope
from ui.errors import message_of, status_of

_CARDS: Final = [
    (TestCard.SUCCEEDS.value, _("A card that is accepted")),
    (TestCard.NEEDS_AUTHENTICATION.value, _("A card whose bank asks for approval")),
    (TestCard.DECLINED.value, _("A card that is declined")),
]


class TestCardForm(forms.Form):
    """The choice among the test server's cards."""

    __test__ = False  # not a test, whatever its name looks like to pytest

    card = forms.ChoiceField(label=_("Test card"), choices=_CARDS)


class BankAnswerForm(forms.Form):
    """The payer's answer to the bank's question, at a test server."""

    attempt = forms.UUIDField(widget=forms.HiddenInput)
    accepted = forms.ChoiceField(choices=[("yes", _("Approve")), ("no", _("Refuse"))])


@never_cache
@member_page(action=MemberAction.INVOICES_PAY, own_scope=True)
def pay(request: HttpRequest, here: Here, invoice_id: UUID) -> HttpResponse:
    """What is to be paid and how; a POST begins, or at a test server makes, the payment."""
    with tenant_scope(here.tenant_id):
        invoice = invoice_detail(
            invoice_id=invoice_id, now=clock.now(), tenant_id=here.tenant_id, issued_only=True
        )
    if not invoice.outstanding:
        messages.info(request, gettext("Nothing of this invoice is left to pay."))
        return redirect("portal:invoice", tenant_key=here.tenant_key, invoice_id=invoice_id)
    offer = card_offer()
    if request.method != "POST" or offer.form is None:
        return _payment_page(request, here, invoice)
    try:
        if offer.form is CardForm.ELEMENTS:
            begun = _begin(here, invoice_id)
            return _payment_page(request, here, invoice, begun=begun)
        return _pay_at_test_server(request, here, invoice)
    except DomainError as error:
        return _payment_page(
            request, here, invoice, fault=message_of(error), status=status_of(error)
        )


@require_POST
@member_page(action=MemberAction.INVOICES_PAY, own_scope=True)
def answer_bank(request: HttpRequest, here: Here, invoice_id: UUID) -> HttpResponse:
    """At a test server: the payer approves or refuses at the bank."""
    form = BankAnswerForm(request.POST)
    if not form.is_valid():
        return redirect("portal:pay", tenant_key=here.tenant_key, invoice_id=invoice_id)
    attempt = answer_test_bank(
        tenant_id=here.tenant_id,
        attempt_id=form.cleaned_data["attempt"],
        accepted=form.cleaned_data["accepted"] == "yes",
        now=clock.now(),
    )
    return _told(request, here, invoice_id, attempt)


@never_cache
@member_page(action=MemberAction.INVOICES_PAY, own_scope=True)
def paid(request: HttpRequest, here: Here, invoice_id: UUID, attempt_id: UUID) -> HttpResponse:
    """Where Stripe sends the payer back: ask what came of the payment and say it."""
    attempt = settle_card_payment(tenant_id=here.tenant_id, attempt_id=attempt_id, now=clock.now())
    return _told(request, here, invoice_id, attempt)


def _begin(here: Here, invoice_id: UUID) -> CardPayment:
    return begin_card_payment(
        tenant_id=here.tenant_id, invoice_id=invoice_id, actor=here.actor, now=clock.now()
    )


def _pay_at_test_server(request: HttpRequest, here: Here, invoice: InvoiceDetail) -> HttpResponse:
    form = TestCardForm(request.POST)
    if not form.is_valid():
        return _payment_page(request, here, invoice, form=form, status=422)
    begun = _begin(here, invoice.id)
    if begun.needs_authentication:
        return _payment_page(request, here, invoice, begun=begun)
    attempt = pay_with_test_card(
        tenant_id=here.tenant_id,
        attempt_id=begun.attempt.id,
        card=TestCard(form.cleaned_data["card"]),
        now=clock.now(),
    )
    if attempt.state is AttemptState.WAITING:
        return _payment_page(request, here, invoice, begun=_begin(here, invoice.id))
    return _told(request, here, invoice.id, attempt)


def _told(request: HttpRequest, here: Here, invoice_id: UUID, attempt: AttemptView) -> HttpResponse:
    """Back to the invoice, or to another try, with what came of the attempt."""
    if attempt.state is AttemptState.SUCCEEDED:
        messages.success(request, gettext("Thank you: the payment has been received."))
    elif attempt.state is AttemptState.PROCESSING:
        messages.info(
            request, gettext("Your bank is still working on the payment. This page will show it.")
        )
    else:
        messages.error(
            request,
            gettext("The payment did not go through. Nothing was charged; try again.")
            + (f" ({attempt.error_code})" if attempt.error_code else ""),
        )
        return redirect("portal:pay", tenant_key=here.tenant_key, invoice_id=invoice_id)
    return redirect("portal:invoice", tenant_key=here.tenant_key, invoice_id=invoice_id)


def _payment_page(
    request: HttpRequest,
    here: Here,
    invoice: InvoiceDetail,
    *,
    form: TestCardForm | None = None,
    begun: CardPayment | None = None,
    fault: str = "",
    status: int = 200,
) -> HttpResponse:
    offer = card_offer()
    response = page(
        request,
        here,
        "portal/pay.html",
        place="invoices",
        status=status,
        invoice=invoice,
        offer=offer,
        at_test_server=offer.form is CardForm.TEST_CARDS,
        form=form or TestCardForm(),
        begun=begun,
        asks_bank=begun is not None
        and begun.form is CardForm.TEST_CARDS
        and begun.needs_authentication,
        return_url=request.build_absolute_uri(
            reverse("portal:paid", args=[here.tenant_key, invoice.id, begun.attempt.id])
        )
        if begun
        else "",
        fault=fault,
    )
    if begun is None or not offer.sources:
        return response
    let_in = {name: list(offer.sources) for name in ("script-src", "frame-src", "connect-src")}
    csp_update(let_in)(lambda _request: response)(request)
    return response
