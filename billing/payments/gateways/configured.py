"""The gateway that the settings describe."""

from functools import lru_cache

from django.conf import settings

from billing.payments.gateways.port import CardGateway
from kernel.errors import Unavailable


def card_gateway() -> CardGateway:
    """The configured card gateway. Raises Unavailable `card_payments_off` without a key."""
    if not settings.STRIPE_SECRET_KEY:
        raise Unavailable(
            "card_payments_off",
            "Cards can't be taken here yet: STRIPE_SECRET_KEY is not set. Pay by bank transfer.",
        )
    return _stripe(
        settings.STRIPE_SECRET_KEY, settings.STRIPE_PUBLISHABLE_KEY, settings.STRIPE_API_BASE
    )


def cards_are_taken() -> bool:
    """Whether an invoice can be paid by card here."""
    return bool(settings.STRIPE_SECRET_KEY)


def webhook_secrets() -> list[str]:
    """The endpoint's secret; two, with a comma between, while it is being rotated."""
    return [each.strip() for each in settings.STRIPE_WEBHOOK_SECRET.split(",") if each.strip()]


@lru_cache(maxsize=8)
def _stripe(secret_key: str, publishable_key: str, api_base: str) -> CardGateway:
    # A quarter of what a command's start costs; most processes take no card.
    from billing.payments.gateways.stripe import StripeGateway

    return StripeGateway(secret_key=secret_key, publishable_key=publishable_key, api_base=api_base)
