"""Addresses that gateways call, below /webhooks/."""

from django.urls import URLPattern, URLResolver, path

from billing.payments.webhooks import stripe_webhook

urlpatterns: list[URLPattern | URLResolver] = [
    path("stripe/", stripe_webhook, name="stripe-webhook"),
    # Without the slash too: a redirect would lose the body.
    path("stripe", stripe_webhook),
]
