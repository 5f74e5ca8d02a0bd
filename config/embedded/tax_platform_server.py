"""A local stand-in for the tax platform: issues fapiao that nobody may use, on loopback only.

It speaks what `billing.fapiao.gateways.http` speaks, gives each request id one number, takes its time
(`--delay`), and misbehaves when told: ``POST /_config {"lose": 2}`` does the next two requests and breaks
the connection before it answers, ``{"fail": 2}`` answers 503 without doing them, ``{"refuse": "code"}``
refuses from then on (``""``: no more).
"""

import argparse
import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from aiohttp import web

from billing.invoicing.documents.typesetting import typeset

_SPECIMEN: Final = Path(__file__).with_name("specimen.typ")


@dataclass(kw_only=True)
class Platform:
    """The requests by id, as they came; `state` is the file that keeps them."""

    state: Path
    delay: float
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    lose: int = 0
    fail: int = 0
    refuse: str = ""
    calls: int = 0

    def load(self) -> None:
        if self.state.exists():
            self.requests = json.loads(self.state.read_text("utf-8"))

    def take(self, told: Mapping[str, Any]) -> bool:
        """Whether the request is a new one."""
        request_id = str(told["request_id"])
        if request_id in self.requests:
            return False
        now = datetime.now(tz=UTC)
        self.requests[request_id] = {
            "color": told["color"],
            "document": told["document"],
            "at": now.timestamp(),
            "number": f"{now:%y}11{len(self.requests) + 1:016}",
            "issued_on": now.date().isoformat(),
        }
        draft = self.state.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(self.requests, ensure_ascii=False), "utf-8")
        draft.rename(self.state)
        return True

    def answer(self, request_id: str) -> Mapping[str, Any] | None:
        """What became of a request; a red one is confirmed halfway."""
        known = self.requests.get(request_id)
        if known is None:
            return None
        age = time.time() - known["at"]
        is_red = known["color"] == "red"
        confirmation = f"C{known['number']}" if is_red else ""
        if age < self.delay / 2 or (not is_red and age < self.delay):
            return {"state": "processing"}
        if age < self.delay:
            return {"state": "confirmed", "confirmation": confirmation}
        return {
            "state": "issued",
            "number": known["number"],
            "issued_on": known["issued_on"],
            "confirmation": confirmation,
            "files": [
                {"media_type": media_type, "content": base64.b64encode(content).decode("ascii")}
                for media_type, content in (
                    ("application/xml", _xml(known)),
                    ("application/pdf", _pdf(known)),
                )
            ],
        }


def _xml(known: Mapping[str, Any]) -> bytes:
    document = known["document"]
    root = ElementTree.Element("Fapiao", {"specimen": "true", "color": known["color"]})
    for name, text in (
        ("Number", known["number"]),
        ("IssuedOn", known["issued_on"]),
        ("Seller", document["seller"]["name"]),
        ("Buyer", document["buyer"]["name"]),
        ("Net", document["net"]),
        ("Tax", document["tax"]),
        ("Total", document["total"]),
    ):
        ElementTree.SubElement(root, name).text = text
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _pdf(known: Mapping[str, Any]) -> bytes:
    """The same bytes each time, since the date is that of the issue."""
    document = known["document"]
    is_special, sign = document["kind"] == "special", "-" if known["color"] == "red" else ""
    content = typeset(
        layout=_SPECIMEN,
        data={
            "title": "电子发票（增值税专用发票）" if is_special else "电子发票（普通发票）",
            "number": known["number"],
            "is_red": known["color"] == "red",
            "seller": document["seller"],
            "facts": [
                ("发票号码", known["number"]),
                ("开票日期", known["issued_on"]),
                ("备注", document["remark"]),
                ("购买方", document["buyer"]["name"]),
                ("购买方税号", document["buyer"]["tax_id"]),
                ("被红冲发票号码", document["of_number"]),
                ("销售方", document["seller"]["name"]),
                ("销售方税号", document["seller"]["tax_id"]),
                ("", ""),
            ],
            "lines": [
                {
                    "name": line["name"],
                    "unit": line["unit"],
                    "net": sign + line["net"],
                    "rate": f"{line['rate_percent']}%",
                    "tax": sign + line["tax"],
                }
                for line in document["lines"]
            ],
            "total": sign + document["total"],
        },
        dated=datetime.fromtimestamp(known["at"], tz=UTC),
    )
    if not isinstance(content, bytes):
        raise TypeError("a specimen is one file")
    return content


def application(platform: Platform) -> web.Application:
    async def submit(request: web.Request) -> web.StreamResponse:
        platform.calls += 1
        told = await request.json()
        if platform.refuse:
            return web.json_response(
                {"code": platform.refuse, "detail": "the stand-in was told to refuse"}, status=422
            )
        if platform.fail:
            platform.fail -= 1
            return web.Response(status=503)
        is_new = platform.take(told)
        if platform.lose:
            platform.lose -= 1
            if request.transport is not None:
                request.transport.abort()
        return web.json_response({}, status=202 if is_new else 409)

    async def look(request: web.Request) -> web.StreamResponse:
        answer = platform.answer(request.match_info["id"])
        return web.Response(status=404) if answer is None else web.json_response(answer)

    async def configure(request: web.Request) -> web.StreamResponse:
        for name, value in (await request.json()).items():
            if name not in {"lose", "fail", "refuse", "delay"}:
                return web.Response(status=400)
            setattr(platform, name, value)
        return web.json_response({"calls": platform.calls, "requests": len(platform.requests)})

    app = web.Application()
    app.router.add_post("/fapiao", submit)
    app.router.add_get("/fapiao/{id}", look)
    app.router.add_post("/_config", configure)
    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True, help="file that keeps the requests")
    parser.add_argument("--delay", type=float, default=5.0, help="seconds until one is issued")
    arguments = parser.parse_args()
    platform = Platform(state=arguments.state, delay=arguments.delay)
    platform.load()
    web.run_app(
        application(platform), host="127.0.0.1", port=arguments.port, print=None, access_log=None
    )


if __name__ == "__main__":
    main()
