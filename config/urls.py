"""Every address that the service answers."""

from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView

from config import api_docs, health, start

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", health.alive, name="healthz"),
    path("readyz", health.ready, name="readyz"),
    path("metrics", health.metrics, name="metrics"),
    path("api/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("api/docs/", api_docs.reference, name="api-docs"),
    path("api/v1/", include("config.api_urls")),
    path("webhooks/", include("billing.payments.urls")),
    path("webhooks/", include("billing.mailing.urls")),
    path("console/", include("console.urls")),
    path("portal/", include("portal.urls")),
    path("", include("ui.urls")),
    path("", start.start, name="start"),
]

handler400 = "config.errors.bad_request"
handler403 = "config.errors.forbidden"
handler404 = "config.errors.not_found"
handler500 = "config.errors.server_error"
