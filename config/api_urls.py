"""The API, version 1."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("metering.api.urls")),
    path("", include("tenants.api.urls")),
    path("", include("billing.api.urls")),
]
