"""Is the process alive, can it serve, and how does it do."""

import math
from contextlib import suppress

from django.db import DatabaseError, connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from billing.invoicing.services.check_uninvoiced import CHECK_KIND
from work.connections import DEFAULT
from work.queries import newest_result

_UNINVOICED = Gauge(
    "summit_uninvoiced_periods",
    "Periods of subscriptions without an invoice 10 days after their end, by the last daily check.",
)


@require_safe
def alive(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """The process can serve: its database answers."""
    try:
        with connections[DEFAULT].cursor() as cursor:
            cursor.execute("SELECT fingerprint IS NOT NULL FROM summit_schema")
            cursor.fetchone()
    except DatabaseError:
        return JsonResponse({"status": "unavailable", "code": "database_unavailable"}, status=503)
    return JsonResponse({"status": "ok"})


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Counters of this process in Prometheus' text format, and what the daily check of periods found last;
    no tenant is named in them."""
    with suppress(DatabaseError):  # the counters are told without a database as well
        checked = newest_result(kind=CHECK_KIND)
        _UNINVOICED.set(math.nan if checked is None else checked["uninvoiced"])
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
