"""Whether and how an invoice can be paid by card here; for the page that offers it."""

from collections.abc import Sequence
from dataclasses import dataclass

from billing.payments.domain import CardForm
from billing.payments.gateways.configured import card_gateway, cards_are_taken

STRIPE_SCRIPT = "https://js.stripe.com/endive/stripe.js"
"""Stripe's script of the pinned API version; it must be loaded from Stripe, never bundled."""

STRIPE_SOURCES = ("https://js.stripe.com", "https://hooks.stripe.com", "https://api.stripe.com")
"""What the payment page alone adds to script-src, frame-src and connect-src."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOffer:
    """`form` is None where cards aren't taken. `script` and `sources` are empty at a test server."""

    form: CardForm | None
    publishable_key: str = ""
    script: str = ""
    sources: Sequence[str] = ()


def card_offer() -> CardOffer:
    """What the payment page can offer, without asking anybody."""
    if not cards_are_taken():
        return CardOffer(form=None)
    gateway = card_gateway()
    if gateway.form is CardForm.TEST_CARDS:
        return CardOffer(form=gateway.form, publishable_key=gateway.publishable_key)
    return CardOffer(
        form=gateway.form,
        publishable_key=gateway.publishable_key,
        script=STRIPE_SCRIPT,
        sources=STRIPE_SOURCES,
    )
