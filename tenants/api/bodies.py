"""Bodies of requests that may never come."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase

from tenants.api.problems import MEDIA_TYPE, problem_data

MOST_AT_ONCE: Final = 7
"""Requests with a body that a process carries out at once; `make run` gives it 8 threads."""
MOST_OF_ONE_KEY: Final = 5
"""So many of them with one key, however fast its sender repeats what is refused: the rest is for others."""

_RETRY_SECONDS: Final = "1"
_TOO_MANY: Final = (
    429,
    "too_many_at_once",
    (
        "More requests of yours are being carried out at once than one sender may have; nothing of this "
        "one was stored. Wait for answers before you send more."
    ),
)
_OVERLOADED: Final = (
    503,
    "overloaded",
    (
        "As much is being taken in as there is room for; nothing of this request was stored. Send it "
        "again in a moment."
    ),
)


class Places:
    """Who is being read from; shared by the threads of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: Counter[str] = Counter()

    def refusal(self, key: str) -> tuple[int, str, str] | None:
        """Take a place for a request with that key ("" for none); status, code and detail where there
        is none to take."""
        with self._lock:
            if key and self._of[key] >= MOST_OF_ONE_KEY:
                return _TOO_MANY
            if self._of.total() >= MOST_AT_ONCE:
                return _OVERLOADED
            self._of[key] += 1
            return None

    def give_back(self, key: str) -> None:
        """End what `refusal` began."""
        with self._lock:
            self._of[key] -= 1
            if not self._of[key]:
                del self._of[key]


def leave_a_thread(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: however many announce a body and send none, a thread is left for those who only read.

    A thread waits for a body for as long as its client keeps the connection; who is beyond the bound is
    told to come again before anything is read. One key has fewer places than there are, so that a
    tenant's flood finds itself full before it fills those of others.
    """
    places = Places()

    def answer(request: HttpRequest) -> HttpResponseBase:
        told = request.META.get("CONTENT_LENGTH") or "0"
        if told == "0" and "Transfer-Encoding" not in request.headers:
            return get_response(request)
        key = request.headers.get("Authorization", "")
        refused = places.refusal(key)
        if refused is not None:
            return _refuse(request, *refused)
        try:
            return get_response(request)
        finally:
            places.give_back(key)

    return answer


def _refuse(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    headers = {"Retry-After": _RETRY_SECONDS}
    if request.path.startswith("/api/"):
        return JsonResponse(
            problem_data(code=code, detail=detail, http_status=status),
            status=status,
            content_type=MEDIA_TYPE,
            headers=headers,
        )
    return HttpResponse(
        f"{detail}\n", status=status, content_type="text/plain; charset=utf-8", headers=headers
    )
