"""POST /api/v1/events as a tenant's program calls it: over HTTP, as the restricted role."""

import gzip
import json
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest
import zstandard
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import Client

from kernel import clock
from metering.ingest.models import RejectedEvent
from metering.services import roll_up_pending
from tenants.scope import system_scope, tenant_scope
from tenants.services.api_keys import create_api_key
from tenants.services.create_tenant import CreatedTenant
from tests.factories import NOW, a_tenant
from tests.services.metering_world import message, stored_events, stored_usage

pytestmark = pytest.mark.usefixtures("db")

JSON = "application/json"
LINES = "application/x-ndjson"


def a_key(tenant: CreatedTenant, scope: str = "ingest") -> str:
    with tenant_scope(tenant.id):
        return create_api_key(
            tenant_id=tenant.id, scope=scope, label="test", now=NOW, actor="test"
        ).text


def post(key: str, body: Any, content_type: str = JSON, **headers: str) -> HttpResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if key:
        named["Authorization"] = f"Bearer {key}"
    with clock.moved_to(NOW):
        response: Any = Client().post(
            "/api/v1/events", data=data, content_type=content_type, headers=named
        )
    answered: HttpResponse = response
    return answered


def answer(response: HttpResponse) -> tuple[int, int, list[tuple[int, str]]]:
    assert response.status_code == 200, response.content
    document = json.loads(response.content)
    assert set(document) == {"accepted", "duplicates", "rejected"}
    return (
        document["accepted"],
        document["duplicates"],
        [(item["index"], item["code"]) for item in document["rejected"]],
    )


def problem(response: HttpResponse) -> tuple[int, str]:
    assert response["Content-Type"] == "application/problem+json"
    return response.status_code, json.loads(response.content)["code"]


def test_one_event_a_list_a_batch_and_lines_are_taken() -> None:
    key = a_key(a_tenant())
    assert answer(post(key, message("1"))) == (1, 0, [])
    assert answer(post(key, message("1"), "application/cloudevents+json")) == (0, 1, [])
    assert answer(post(key, [message("1"), message("2")])) == (1, 1, [])
    batch = "application/cloudevents-batch+json; charset=utf-8"
    assert answer(post(key, [message("3")], batch)) == (1, 0, [])
    lines = b"\n".join(json.dumps(message(each)).encode() for each in "34567")
    assert answer(post(key, lines, LINES)) == (4, 1, [])
    assert answer(post(key, [])) == (0, 0, [])
    with system_scope(purpose="test"):
        assert len(stored_events()) == 7


def test_what_was_taken_is_counted() -> None:
    tenant = a_tenant()
    post(a_key(tenant), [message("1", "a"), message("2", "b"), message("3", "b", count=4)])
    roll_up_pending(now=NOW)
    assert sorted(stored_usage(tenant.id).values()) == [2, 6]


def test_what_became_of_events_is_a_metric_and_an_answer_sent_again_is_none() -> None:
    key = a_key(a_tenant())
    before = outcomes()
    events = [message("1"), message("2"), message("2"), message("3", app="nobodys")]
    for _ in range(2):
        post(key, events, Idempotency_Key="once")
    post(key, message("1"))
    told = outcomes()
    assert {outcome: told[outcome] - before.get(outcome, 0) for outcome in told} == {
        "accepted": 2,
        "duplicate": 2,
        "rejected": 1,
    }


def outcomes() -> dict[str, float]:
    lines = Client().get("/metrics").content.decode().splitlines()
    begin = 'summit_events_total{outcome="'
    told = [line.removeprefix(begin).split('"} ') for line in lines if line.startswith(begin)]
    return {outcome: float(value) for outcome, value in told}


def test_an_offset_that_the_database_does_not_read_is_an_instant_all_the_same() -> None:
    key = a_key(a_tenant())
    events = [message("1"), message("2", time="2026-03-01T15:30:00+23:30")]
    assert answer(post(key, events)) == (2, 0, [])
    with system_scope(purpose="test"):
        assert {each.occurred_at for each in stored_events()} == {
            NOW,
            NOW - timedelta(hours=8),
        }


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity"])
def test_bodies_may_be_compressed(coding: str) -> None:
    key = a_key(a_tenant())
    body = json.dumps([message(str(n)) for n in range(10_000)]).encode()
    wire = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}.get(
        coding, lambda data: data
    )(body)
    assert answer(post(key, wire, Content_Encoding=coding)) == (10_000, 0, [])


def test_rejected_events_are_told_each_and_kept() -> None:
    tenant = a_tenant()
    key = a_key(tenant)
    post(key, message("1"))
    lines = [
        json.dumps(message("2")),
        '{"specversion":"1.0","id":"torn',
        json.dumps(message("1", "another")),
        json.dumps(message("3", time=NOW - timedelta(days=36))),
        json.dumps(message("4", app="nowhere")),
        json.dumps(message("5"))[:-1] + ',"id":"5"}',
        json.dumps(message("6")),
    ]
    response = post(key, "\n".join(lines).encode(), LINES)
    assert answer(response) == (
        2,
        0,
        [
            (1, "bad_json"),
            (2, "conflicting_duplicate"),
            (3, "event_too_old"),
            (4, "unknown_app"),
            (5, "duplicate_key"),
        ],
    )
    rejected = json.loads(response.content)["rejected"]
    assert [item["id"] for item in rejected] == [None, "1", "3", "4", None]
    assert all(set(item) == {"index", "id", "code", "detail"} for item in rejected)
    with tenant_scope(tenant.id):
        assert RejectedEvent.objects.count() == 5


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"", JSON, 400, "empty_body"),
        (b"{", JSON, 400, "malformed_json"),
        (b'{"a":NaN}', JSON, 400, "malformed_json"),
        (b'{"id":"1","id":"2"}', JSON, 400, "duplicate_key"),
        (b'{"id":1e400}', JSON, 400, "bad_number"),
        (b"[" * 10_000, JSON, 400, "json_too_deep"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"{}", "application/json; charset=gbk", 415, "unsupported_media_type"),
        (b"{}\n" * 10_001, LINES, 413, "too_many_events"),
        (b" " * (5 * 1024 * 1024 + 1), JSON, 413, "body_too_large"),
    ],
)
def test_what_cannot_be_read_is_a_problem(
    body: bytes, content_type: str, status: int, code: str
) -> None:
    assert problem(post(a_key(a_tenant()), body, content_type)) == (status, code)


def test_a_body_that_is_too_large_is_read_away_so_that_its_sender_hears_the_answer() -> None:
    body = BytesIO(b" " * (6 << 20))
    environ: dict[str, Any] = {"wsgi.input": body, "CONTENT_LENGTH": str(6 << 20)}
    environ["HTTP_AUTHORIZATION"] = f"Bearer {a_key(a_tenant())}"
    refused: Any = Client().post("/api/v1/events", data=b"x", content_type=JSON, **environ)
    assert problem(refused) == (413, "body_too_large")
    assert body.read() == b""


def test_a_body_that_breaks_off_between_two_lines_is_not_taken_for_a_shorter_one() -> None:
    key = a_key(a_tenant())
    lines = b"".join(json.dumps(message(str(n))).encode() + b"\n" for n in range(3))
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/api/v1/events",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "CONTENT_TYPE": LINES,
        "CONTENT_LENGTH": str(len(lines)),
        "HTTP_AUTHORIZATION": f"Bearer {key}",
        "wsgi.input": BytesIO(lines[: len(lines) * 2 // 3]),
        "wsgi.url_scheme": "http",
    }
    statuses: list[str] = []
    start_response: Any = lambda status, headers, *_: statuses.append(status)  # noqa: E731  # no more to say
    with clock.moved_to(NOW):
        answered = b"".join(WSGIHandler()(environ, start_response))
    assert statuses == ["400 Bad Request"]
    assert json.loads(answered)["code"] == "incomplete_body"
    assert answer(post(key, lines, LINES)) == (3, 0, [])


def test_codings_that_lie_or_swell_are_problems() -> None:
    key = a_key(a_tenant())
    assert problem(post(key, b"[]", Content_Encoding="gzip")) == (400, "bad_compression")
    assert problem(post(key, b"[]", Content_Encoding="br")) == (
        415,
        "unsupported_content_encoding",
    )
    bomb = gzip.compress(b"\0" * (80 << 20))
    assert len(bomb) < 100_000
    assert problem(post(key, bomb, Content_Encoding="gzip")) == (413, "inflated_body_too_large")


def test_only_a_key_that_may_ingest_is_let_in() -> None:
    tenant = a_tenant()
    assert problem(post("", message("1")))[0] == 401
    assert problem(post("smt_live_nonsense", message("1")))[0] == 401
    assert problem(post(a_key(tenant, "read"), message("1")))[0] == 403
    assert answer(post(a_key(tenant, "full"), message("1"))) == (1, 0, [])


def test_another_tenants_app_is_unknown() -> None:
    key = a_key(a_tenant())
    other = a_tenant("globex", apps=("theirs",))
    foreign = post(key, message("1", app="theirs"))
    nobodys = post(key, message("2", app="nobody"))
    assert answer(foreign) == (0, 0, [(0, "unknown_app")])
    first, second = (
        json.loads(each.content)["rejected"][0]["detail"] for each in (foreign, nobodys)
    )
    assert first.replace("theirs", "*") == second.replace("nobody", "*")
    assert stored_usage(other.id) == {}


def test_only_post_is_answered() -> None:
    key = a_key(a_tenant())
    response = Client().get("/api/v1/events", headers={"Authorization": f"Bearer {key}"})
    assert response.status_code in {403, 405}
    assert response["Content-Type"] == "application/problem+json"
