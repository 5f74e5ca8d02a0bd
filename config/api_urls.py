"""The API, version 1."""

from django.urls import URLPattern, URLResolver, include, path
from django.views.decorators.csrf import csrf_exempt

from config import errors

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("metering.api.urls")),
    path("", include("tenants.api.urls")),
    path("", include("billing.api.urls")),
    path("<path:path>", csrf_exempt(errors.nothing_here), name="api-nothing"),
]
