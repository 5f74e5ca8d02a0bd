"""Is the process alive, can it serve, and how does it do."""

from django.db import DatabaseError, connections
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from work.connections import DEFAULT


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
    """Counters of this process in Prometheus' text format; no tenant is named in them."""
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
