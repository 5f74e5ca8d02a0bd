"""Bodies of requests that may never come."""

import threading
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

MOST_AT_ONCE: Final = 7
"""Requests with a body that a process carries out at once; `make run` gives it 8 threads."""


def leave_a_thread(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: however many announce a body and send none, a thread is left for those who only read.

    A thread waits for a body for as long as its client keeps the connection; who is beyond the bound is
    told to come again before anything is read.
    """
    places = threading.BoundedSemaphore(MOST_AT_ONCE)

    def answer(request: HttpRequest) -> HttpResponseBase:
        told = request.META.get("CONTENT_LENGTH") or "0"
        if told == "0" and "Transfer-Encoding" not in request.headers:
            return get_response(request)
        if not places.acquire(blocking=False):
            return HttpResponse(
                "Too much at once; send it again in a moment.\n",
                status=503,
                content_type="text/plain; charset=utf-8",
                headers={"Retry-After": "1"},
            )
        try:
            return get_response(request)
        finally:
            places.release()

    return answer
