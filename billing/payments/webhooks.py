"""Where a gateway sends its events."""

import logging

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.payments.gateways.port import EventRefused
from billing.payments.services.receive_gateway_event import receive_gateway_event
from kernel import clock
from kernel.errors import Unavailable

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1024 * 1024


@csrf_exempt
@require_POST
def stripe_webhook(request: HttpRequest) -> HttpResponse:
    """Store a signed event and answer at once: 200 also for a repeat, 400 for what is not genuine,
    503 where it could not be stored, so that Stripe sends it again."""
    try:
        announced = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        announced = 0
    if announced > MAX_BODY_BYTES:
        return _problem("body_too_large", status=413)
    payload = request.read(MAX_BODY_BYTES + 1)
    if len(payload) > MAX_BODY_BYTES:
        return _problem("body_too_large", status=413)
    try:
        received = receive_gateway_event(
            payload=payload,
            signature=request.headers.get("Stripe-Signature", ""),
            now=clock.now(),
        )
    except EventRefused as refused:
        logger.warning("webhook refused: %s", refused.code)
        return _problem(refused.code, status=400)
    except (Unavailable, OperationalError) as error:
        logger.warning("webhook not stored: %s", type(error).__name__)
        return _problem("try_again", status=503)
    return JsonResponse({"received": received.event_id, "new": received.is_new})


def _problem(code: str, *, status: int) -> HttpResponse:
    return JsonResponse(
        {"type": "about:blank", "title": code.replace("_", " "), "status": status, "code": code},
        status=status,
        content_type="application/problem+json",
    )
