"""Errors of the API as ``application/problem+json`` (RFC 9457) with a stable ``code``."""

from typing import Any

from django.db import OperationalError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from kernel.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, Unavailable

_STATUS: dict[type[DomainError], int] = {
    Invalid: status.HTTP_400_BAD_REQUEST,
    Forbidden: status.HTTP_403_FORBIDDEN,
    NotFound: status.HTTP_404_NOT_FOUND,
    Conflict: status.HTTP_409_CONFLICT,
    Unavailable: status.HTTP_503_SERVICE_UNAVAILABLE,
}


class ProblemRenderer(JSONRenderer):
    """JSON under the media type of problems."""

    media_type = "application/problem+json"
    format = "problem"


def status_of(error: DomainError) -> int:
    """The HTTP status of a domain error: one table for every interface."""
    for kind, code in _STATUS.items():
        if isinstance(error, kind):
            return code
    return status.HTTP_400_BAD_REQUEST


def problem(*, code: str, detail: str, http_status: int, **extra: Any) -> Response:
    """A problem response."""
    response = Response(
        {
            "type": "about:blank",
            "title": code.replace("_", " "),
            "status": http_status,
            "code": code,
            "detail": detail,
            **extra,
        },
        status=http_status,
        content_type="application/problem+json",
    )
    if http_status in {status.HTTP_429_TOO_MANY_REQUESTS, status.HTTP_503_SERVICE_UNAVAILABLE}:
        response["Retry-After"] = "5"
    return response


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: every error that has a meaning becomes a problem; others stay server errors."""
    if isinstance(error, DomainError):
        extra = {"field": error.field} if error.field else {}
        return problem(code=error.code, detail=error.message, http_status=status_of(error), **extra)
    if isinstance(error, Http404):
        return problem(
            code="not_found", detail="There is nothing at this address.", http_status=404
        )
    if isinstance(error, OperationalError):
        return problem(
            code="database_unavailable",
            detail="The database can't be reached just now; nothing was stored. Send again.",
            http_status=503,
        )
    if isinstance(error, exceptions.APIException):
        codes = error.get_codes()
        code = codes if isinstance(codes, str) else error.default_code
        detail = error.detail if isinstance(error.detail, str) else "The request is not valid."
        response = problem(code=str(code), detail=str(detail), http_status=error.status_code)
        if isinstance(error, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
            response["WWW-Authenticate"] = getattr(error, "auth_header", 'Bearer realm="api"')
        if isinstance(error.detail, (dict, list)):
            response.data["errors"] = error.detail
        return response
    return None
