"""``POST /api/v1/reports``: a gateway's counts of one window (contract section 6)."""

from typing import Any, Final

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import status
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from kernel import clock
from kernel.errors import Conflict, Unavailable
from metering.api.chunks import body_chunks, read_away
from metering.api.intake import INTAKE, size_of
from metering.api.schemas import REPORT, REPORT_RESULT
from metering.ingest.domain import limits
from metering.ingest.domain.bodies import BodyTooLarge, Media, UnknownMedia, media_of, read_body
from metering.reports.domain import read_report
from metering.reports.services.gateways import note_conflict
from metering.reports.services.receive_report import receive_report
from tenants.api.authentication import client_address
from tenants.api.endpoint import Endpoint, originating
from tenants.api.problems import problem
from tenants.api.schema import answers
from tenants.scope import system_scope

SIGNATURE_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")


class GatewaySignature(BaseAuthentication):
    """Finds out whether a call is signed at all; by whom, and whether it is right, the service finds
    out from the body."""

    def authenticate_header(self, request: Request) -> str:
        return 'Signature realm="gateway"'

    def authenticate(self, request: Request) -> tuple[AnonymousUser, str] | None:
        if not all(request.headers.get(name) for name in SIGNATURE_HEADERS):
            return None
        return AnonymousUser(), "signed"


class GatewayScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its metaclass-like registration is untyped
    """Tells OpenAPI of the signature."""

    target_class = GatewaySignature
    name = "GatewaySignature"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "webhook-signature",
            "description": "A gateway's signature of the report (Standard Webhooks).",
        }


class IsSigned(BasePermission):
    """Lets in what is signed."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return bool(request.auth == "signed")


class ReportsView(Endpoint):
    """Takes in reports of gateways, which have a secret of their own instead of an API key."""

    authentication_classes = (GatewaySignature,)
    permission_classes = (IsSigned,)
    parser_classes = ()

    @extend_schema(
        operation_id="send_report",
        summary="Send a gateway's report",
        description=(
            "Counts and active users of one gateway and window, signed with the gateway's secret "
            "(Standard Webhooks: HMAC-SHA256 over id, timestamp and body). Counted once for each "
            "gateway, epoch and sequence; a gap in the sequence is told in the answer and keeps the "
            f"days of the gateway's tenants open. At most {limits.MOST_WIRE_BYTES >> 20} MiB on the wire."
        ),
        parameters=[
            *(
                OpenApiParameter(name, str, OpenApiParameter.HEADER, required=True)
                for name in SIGNATURE_HEADERS
            ),
            OpenApiParameter(
                "Content-Encoding", str, OpenApiParameter.HEADER, enum=["identity", "gzip", "zstd"]
            ),
        ],
        request={Media.JSON.value: REPORT},
        responses=answers(REPORT_RESULT, 409, 413, 415, 429, 503),
    )
    def post(self, request: Request) -> HttpResponse | Response:
        django_request: HttpRequest = request._request
        try:
            # Whose report it is only its whole body tells; until then its sender is where it comes from.
            sender = f"gateways at {client_address(django_request)}"
            with INTAKE.place(sender, size=size_of(django_request)):
                return self._take_in(request)
        except Unavailable:
            read_away(django_request)
            raise

    def _take_in(self, request: Request) -> HttpResponse | Response:
        django_request: HttpRequest = request._request
        try:
            media = media_of(request.headers.get("Content-Type", Media.JSON.value))
            if media is not Media.JSON:
                raise UnknownMedia("unsupported_media_type", f"Send a report as {Media.JSON}.")
            body = read_body(
                body_chunks(django_request), coding=request.headers.get("Content-Encoding", "")
            )
        except BodyTooLarge as error:
            read_away(django_request)
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
        report = read_report(body)
        headers = {name: request.headers.get(name, "") for name in SIGNATURE_HEADERS}
        try:
            with (
                originating(request),
                system_scope(purpose="gateway report", actor=f"gateway:{report.gateway}"),
            ):
                result = receive_report(report=report, body=body, headers=headers, now=clock.now())
        except Conflict as error:
            if error.code != "conflicting_report":
                raise
            # The transaction that found it is undone; that it was found is for operations to see.
            with system_scope(purpose="gateway report", actor=f"gateway:{report.gateway}"):
                note_conflict(key=report.gateway, sequence=report.sequence, now=clock.now())
            raise
        return Response(
            {
                "gateway": report.gateway,
                "sequence": report.sequence,
                "status": "duplicate" if result.is_duplicate else "accepted",
                "apps": result.apps,
                "active_users": result.marks,
                "rejected": [
                    {"app": each.app, "code": each.code, "detail": each.detail}
                    for each in result.rejected
                ],
                "gaps": [
                    {"epoch": epoch, "from": first, "to": last}
                    for epoch, first, last in result.gaps
                ],
            }
        )
