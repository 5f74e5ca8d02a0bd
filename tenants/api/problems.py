"""Errors of the API as ``application/problem+json`` (RFC 9457) with a stable ``code``.

`docs/errors.md` lists every code with its meaning and mend.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions, status
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from kernel.errors import Conflict, DomainError, Forbidden, Invalid, NotFound, Unavailable

_STATUS: Final[Mapping[type[DomainError], int]] = {
    Invalid: status.HTTP_400_BAD_REQUEST,
    Forbidden: status.HTTP_403_FORBIDDEN,
    NotFound: status.HTTP_404_NOT_FOUND,
    Conflict: status.HTTP_409_CONFLICT,
    Unavailable: status.HTTP_503_SERVICE_UNAVAILABLE,
}
_STATUS_OF_CODE: Final[Mapping[str, int]] = {
    "too_many_at_once": status.HTTP_429_TOO_MANY_REQUESTS,
    "body_too_large": status.HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    "invalid_signature": status.HTTP_401_UNAUTHORIZED,
    "idempotency_key_reused": status.HTTP_422_UNPROCESSABLE_ENTITY,
}
"""Codes whose status is another than their kind's."""

MEDIA_TYPE: Final = "application/problem+json"
_RETRY_AFTER_SECONDS: Final = 5


class ProblemRenderer(JSONRenderer):
    """JSON under the media type of problems."""

    media_type = MEDIA_TYPE
    format = "problem"


def status_of(error: DomainError) -> int:
    """The HTTP status of a domain error: one table for every interface."""
    if error.code in _STATUS_OF_CODE:
        return _STATUS_OF_CODE[error.code]
    for kind, code in _STATUS.items():
        if isinstance(error, kind):
            return code
    return status.HTTP_400_BAD_REQUEST


def problem_data(*, code: str, detail: str, http_status: int, **extra: Any) -> dict[str, Any]:
    """The members of a problem."""
    return {
        "type": "about:blank",
        "title": code.replace("_", " "),
        "status": http_status,
        "code": code,
        "detail": detail,
        **extra,
    }


def problem(*, code: str, detail: str, http_status: int, **extra: Any) -> Response:
    """A problem response."""
    response = Response(
        problem_data(code=code, detail=detail, http_status=http_status, **extra),
        status=http_status,
        content_type=MEDIA_TYPE,
    )
    if http_status in {status.HTTP_429_TOO_MANY_REQUESTS, status.HTTP_503_SERVICE_UNAVAILABLE}:
        response["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    return response


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: every error that has a meaning becomes a problem; others stay server errors."""
    if isinstance(error, DomainError):
        return _of_domain_error(error)
    if isinstance(error, Http404):
        return problem(
            code="not_found", detail="There is nothing at this address.", http_status=404
        )
    if isinstance(error, (OperationalError, InterfaceError)):
        return problem(
            code="database_unavailable",
            detail="The database can't be reached just now; nothing was stored. Send again.",
            http_status=503,
        )
    if isinstance(error, exceptions.ValidationError):
        return _of_fields(error)
    if isinstance(error, exceptions.APIException):
        return _of_framework(error)
    return None


def _of_domain_error(error: DomainError) -> Response:
    extra = {"field": error.field} if error.field else {}
    response = problem(code=error.code, detail=error.message, http_status=status_of(error), **extra)
    if "retry_after_seconds" in error.params:
        response["Retry-After"] = str(error.params["retry_after_seconds"])
    return response


def _of_fields(error: exceptions.ValidationError) -> Response:
    """All wrong fields of a body or query, the first one also in `field` and `detail`."""
    faults = list(_faults(error.get_full_details()))
    first = faults[0]
    detail = f"{first['field']}: {first['detail']}" if first["field"] else first["detail"]
    return problem(
        code="invalid_request",
        detail=detail,
        http_status=status.HTTP_400_BAD_REQUEST,
        field=first["field"],
        errors=faults,
    )


def _faults(details: Any, path: str = "") -> Iterator[dict[str, str]]:
    if isinstance(details, list):
        for each in details:
            yield from _faults(each, path)
    elif isinstance(details, Mapping) and isinstance(details.get("message"), str):
        yield {"field": path, "code": str(details["code"]), "detail": str(details["message"])}
    else:
        for name, each in details.items():
            below = path if name == "non_field_errors" else f"{path}.{name}".lstrip(".")
            yield from _faults(each, below)


def _of_framework(error: exceptions.APIException) -> Response:
    codes = error.get_codes()
    response = problem(
        code=codes if isinstance(codes, str) else error.default_code,
        detail=str(error.detail),
        http_status=error.status_code,
    )
    if isinstance(error, (exceptions.NotAuthenticated, exceptions.AuthenticationFailed)):
        response["WWW-Authenticate"] = getattr(error, "auth_header", 'Bearer realm="api"')
    return response
