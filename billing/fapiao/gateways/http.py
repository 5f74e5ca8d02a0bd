"""The tax platform over HTTP, in the form that the local stand-in speaks.

`POST /fapiao` takes ``{"request_id", "color", "document"}``: 202, or 409 where it came before, or 422 with
``{"code", "detail"}``. `GET /fapiao/ID` gives ``{"state", "number", "issued_on", "confirmation", "files":
[{"media_type", "content" (base64)}], "code", "detail"}``, or 404. A provider of one's own gets an adapter
beside this one.
"""

import base64
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

import requests

from billing.fapiao.gateways.port import (
    PlatformAnswer,
    PlatformRefused,
    PlatformState,
    PlatformUnavailable,
)

_TIMEOUT_SECONDS: Final = (5.0, 20.0)
_TAKEN: Final = frozenset({200, 201, 202, 409})


class HttpTaxPlatform:
    """`TaxPlatform` at an address, with a key."""

    def __init__(self, *, api_base: str, api_key: str) -> None:
        self._api_base = api_base.rstrip("/")
        self._headers = {"Authorization": f"Bearer {api_key}"}

    def submit(self, *, request_id: str, color: str, document: Mapping[str, Any]) -> None:
        answer = self._call(
            "POST",
            "/fapiao",
            json={"request_id": request_id, "color": color, "document": document},
        )
        if answer.status_code in _TAKEN:
            return
        if answer.status_code == requests.codes.unprocessable_entity:
            told = self._json(answer)
            raise PlatformRefused(
                str(told.get("code") or "refused")[:64], str(told.get("detail", ""))[:500]
            )
        raise _unavailable(f"it answered {answer.status_code}")

    def look(self, *, request_id: str) -> PlatformAnswer:
        answer = self._call("GET", f"/fapiao/{request_id}")
        if answer.status_code == requests.codes.not_found:
            return PlatformAnswer(state=PlatformState.UNKNOWN)
        if answer.status_code != requests.codes.ok:
            raise _unavailable(f"it answered {answer.status_code}")
        told = self._json(answer)
        try:
            return PlatformAnswer(
                state=PlatformState(told["state"]),
                number=str(told.get("number") or ""),
                issued_on=date.fromisoformat(told["issued_on"]) if told.get("issued_on") else None,
                confirmation=str(told.get("confirmation") or "")[:64],
                files={
                    str(each["media_type"])[:100]: base64.b64decode(each["content"], validate=True)
                    for each in told.get("files", ())
                },
                code=str(told.get("code") or "")[:64],
                detail=str(told.get("detail") or "")[:500],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _unavailable(f"its answer can't be read: {type(error).__name__}") from error

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            return requests.request(
                method,
                self._api_base + path,
                headers=self._headers,
                timeout=_TIMEOUT_SECONDS,
                allow_redirects=False,
                **options,
            )
        except requests.RequestException as error:
            raise _unavailable(type(error).__name__) from error

    @staticmethod
    def _json(answer: requests.Response) -> Mapping[str, Any]:
        try:
            told = answer.json()
        except ValueError:
            told = None
        if not isinstance(told, Mapping):
            raise _unavailable("its answer can't be read")
        return told


def _unavailable(detail: str) -> PlatformUnavailable:
    return PlatformUnavailable(
        "tax_platform_unavailable",
        f"The tax platform could not be asked ({detail}); it is asked again.",
    )
