"""``POST /api/v1/events``: usage events of one tenant (contract section 6)."""

import hashlib
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.request import Request

from kernel import clock
from kernel.errors import Unavailable
from metering.api.chunks import body_chunks, read_away
from metering.api.intake import INTAKE, size_of
from metering.api.outcomes import count_outcomes
from metering.api.schemas import EVENT, EVENTS, INGEST_RESULT
from metering.ingest.domain import limits
from metering.ingest.domain.bodies import (
    BodyTooLarge,
    Media,
    UnknownMedia,
    decoded_events,
    media_of,
    read_body,
)
from metering.ingest.domain.plain_events import plain_events
from metering.ingest.services.admit import IngestResult
from metering.ingest.services.ingest_events import ingest_events
from metering.ingest.services.ingest_plain_events import ingest_plain_events
from tenants.api.authentication import recent_tenant
from tenants.api.endpoint import Endpoint
from tenants.api.idempotency import HEADER, Answer, answer_once
from tenants.api.problems import problem
from tenants.api.schema import IDEMPOTENCY_KEY, UNSAFE, answers
from tenants.domain import KeyScope


class EventsView(Endpoint):
    """Takes in events; answers after the commit."""

    key_scopes = {"POST": {KeyScope.INGEST}}  # read by the permission only
    # The body is read below as a stream: no parser may touch it.
    parser_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        # A flood is refused before its key is looked up: it costs others neither a thread nor a query.
        tenant_id = recent_tenant(request)
        if tenant_id is not None:
            try:
                INTAKE.refuse_if_full(tenant_id)
            except Unavailable:
                read_away(request._request)
                raise
        super().initial(request, *args, **kwargs)

    @extend_schema(
        operation_id="send_events",
        summary="Send usage events",
        description=(
            "CloudEvents 1.0: one object, a list, a batch, or one object a line. Each event is "
            "stored exactly once by (source, id); sending it again is a duplicate. One bad event "
            "never rejects its neighbours. Bounds: "
            f"{limits.MOST_EVENTS:,} events, {limits.MOST_WIRE_BYTES >> 20} MiB on the wire, "
            f"{limits.MOST_INFLATED_BYTES >> 20} MiB inflated."
        ),
        parameters=[
            OpenApiParameter(
                "Content-Encoding", str, OpenApiParameter.HEADER, enum=["identity", "gzip", "zstd"]
            ),
            IDEMPOTENCY_KEY,
        ],
        request={
            Media.JSON.value: {"oneOf": [EVENT, EVENTS]},
            Media.CLOUDEVENT.value: EVENT,
            Media.CLOUDEVENT_BATCH.value: EVENTS,
            Media.LINES.value: EVENT,
        },
        responses=answers(INGEST_RESULT, *UNSAFE, 429, 503),
    )
    def post(self, request: Request) -> HttpResponse:
        django_request = request._request
        try:
            with INTAKE.place(self.caller.tenant_id, size=size_of(django_request)):
                return self._take_in(request)
        except Unavailable:
            read_away(django_request)
            raise

    def _take_in(self, request: Request) -> HttpResponse:
        try:
            media = media_of(request.headers.get("Content-Type", Media.JSON.value))
            body = read_body(
                body_chunks(request._request), coding=request.headers.get("Content-Encoding", "")
            )
            plain = plain_events(body, media=media)
            events = [] if plain is not None else decoded_events(body, media=media)
        except BodyTooLarge as error:
            read_away(request._request)
            return problem(
                code=error.code,
                detail=error.message,
                http_status=status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
            )
        except UnknownMedia as error:
            return problem(
                code=error.code,
                detail=error.message,
                http_status=status.HTTP_415_UNSUPPORTED_MEDIA_TYPE,
            )
        # Only repeated calls need the digest, which takes its time over a large body.
        content = hashlib.sha256(body).hexdigest() if HEADER in request.headers else ""

        done: list[IngestResult] = []

        def ingest() -> Answer:
            tenant_id, now = self.caller.tenant_id, clock.now()
            result = (
                None
                if plain is None
                else ingest_plain_events(tenant_id=tenant_id, events=plain, now=now)
            )
            if result is None:
                read = events or decoded_events(body, media=media)
                result = ingest_events(tenant_id=tenant_id, events=read, now=now)
            done.append(result)
            data: dict[str, Any] = {
                "accepted": result.accepted,
                "duplicates": result.duplicates,
                "rejected": [
                    {"index": item.index, "id": item.id, "code": item.code, "detail": item.detail}
                    for item in result.rejected
                ],
            }
            return Answer(data=data)

        answer = answer_once(request=request, endpoint="POST /events", content=content, call=ingest)
        for result in done:  # none where an earlier call was answered again
            count_outcomes(result)
        return answer
