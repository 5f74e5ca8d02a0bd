"""Errors outside any view: below /api/ they are problems, elsewhere pages."""

import json

from django.http import HttpRequest, HttpResponse

from tenants.api.problems import MEDIA_TYPE, problem_data
from ui import errors as pages

_API = "/api/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not request.path.startswith(_API):
        return pages.bad_request(request, exception)
    return _problem("bad_request", "The request can't be read.", 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not request.path.startswith(_API):
        return pages.forbidden(request, exception)
    return _problem("forbidden", "This is not allowed.", 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not request.path.startswith(_API):
        return pages.not_found(request, exception)
    return _problem("not_found", "There is nothing at this address.", 404)


def server_error(request: HttpRequest) -> HttpResponse:
    if not request.path.startswith(_API):
        return pages.server_error(request)
    return _problem(
        "internal_error",
        "Something went wrong on our side and was recorded. Send the request again; with the same "
        "Idempotency-Key it is safe.",
        500,
    )


def nothing_here(request: HttpRequest, path: str = "") -> HttpResponse:
    """Any address below /api/v1/ that no other pattern takes.

    A pattern of its own, so that a slash too many is answered with 404 for every method and not
    redirected, which would lose the body of a POST.
    """
    response = _problem("not_found", "There is nothing at this address.", 404)
    response.headers["Cache-Control"] = "no-store"
    return response


def _problem(code: str, detail: str, status: int) -> HttpResponse:
    data = problem_data(code=code, detail=detail, http_status=status)
    return HttpResponse(json.dumps(data), status=status, content_type=MEDIA_TYPE)
