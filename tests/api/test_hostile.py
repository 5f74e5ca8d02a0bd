"""Whatever comes in, the answer is a problem with a code, quickly, and never a server error."""

import gzip
import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from django.apps import apps
from django.test import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tenants.domain import KeyScope
from tests.api.test_answers import OPERATIONS, QUERIES, address, bodies, document
from tests.api.test_isolation import body_names
from tests.api.world import World, call, rows_of

TEXTS = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "",
            " ",
            "\x00",
            "a\x00b",
            "\ud800",
            "'; DROP TABLE tenants_tenant; --",
            "%s",
            "../../etc/passwd",
            "1e400",
            "NaN",
            "-1",
            "9" * 400,
            "0001-01-01",
            "9999-12-31",
            "inv_" + "z" * 22,
            "inv_" + "0" * 22,
            "key_" + "Z" * 22,
            "💥" * 10,
            "x" * 2000,
            "\u202e",
        ]
    ),
)
VALUES = st.recursive(
    st.one_of(
        TEXTS,
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=10**30, max_value=10**40),
        st.floats(allow_nan=False, allow_infinity=False),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=5,
)
FUZZED = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def assert_answered(answer: Any) -> None:
    assert answer.status_code < 500, answer.content
    if answer.status_code >= 400:
        assert answer["Content-Type"] == "application/problem+json"
        told = answer.json()
        assert told["status"] == answer.status_code
        assert told["code"].replace("_", "").isalnum()
        assert told["detail"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@FUZZED
@given(data=st.data())
def test_queries_and_parts_of_addresses(
    method: str, path: str, alpha: World, data: st.DataObject
) -> None:
    names = [
        each["name"]
        for each in document()["paths"][path][method.lower()].get("parameters", ())
        if each["in"] == "query"
    ]
    for name in ("{invoice_id}", "{plan_key}", "{key_id}"):
        if name in path:
            part = data.draw(TEXTS, label=name)
            path = path.replace(name, quote(part, safe="", errors="replace"))
    asked = data.draw(st.dictionaries(st.sampled_from([*names, "x"]), TEXTS, max_size=4))
    query = "&".join(f"{name}={quote(text, errors='replace')}" for name, text in asked.items())
    assert_answered(
        call(
            method,
            f"{path}?{query}",
            key=alpha.keys[KeyScope.FULL],
            body={} if method != "GET" else None,
        )
    )


@pytest.mark.parametrize(("method", "path"), [each for each in OPERATIONS if each[0] != "GET"])
@FUZZED
@given(data=st.data())
@example(data=None)
def test_bodies(method: str, path: str, alpha: World, data: st.DataObject | None) -> None:
    names = body_names(document()["paths"][path][method.lower()]) or ["x"]
    shape = st.one_of(
        VALUES,
        st.dictionaries(st.sampled_from([*names, "tenant_id", "id"]), VALUES, max_size=5),
    )
    body = data.draw(shape) if data else None
    key = alpha.keys[KeyScope.FULL]
    assert_answered(call(method, address(path, alpha), key=key, body=json.dumps(body)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b'"text"',
        b"[]",
        b"[" * 10_000,
        b'{"key":' * 10_000,
        b'{"key": NaN}',
        b'{"key": 1e400}',
        b'{"key": "a", "key": "b"}',
        b'{"key": "\\u0000"}',
        b'{"key": "\\ud800"}',
        b'{"\\u0000": 1}',
        b"\xff\xfe",
        b'{"key": ' + b"9" * 5000 + b"}",
        b" " * (1024 * 1024 + 1),
        gzip.compress(b'{"key": "x"}', mtime=0),
    ],
    ids=lambda body: repr(body[:20]),
)
@pytest.mark.parametrize("path", ["/apps", "/keys"])
def test_bodies_that_are_no_good_json(path: str, body: bytes, alpha: World) -> None:
    before = rows_of(alpha.tenant.id)
    start = time.perf_counter()
    answer = call("POST", path, key=alpha.keys[KeyScope.FULL], body=body)
    taken = time.perf_counter() - start
    assert 400 <= answer.status_code < 500, answer.content
    assert_answered(answer)
    assert taken < 3  # far from it, but other tests may run beside
    assert rows_of(alpha.tenant.id) == before


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "multipart/form-data", ""])
def test_bodies_of_other_types_are_refused(media_type: str, alpha: World) -> None:
    answer = Client().generic(
        "POST",
        "/api/v1/apps",
        b'{"key": "typed"}',
        content_type=media_type,
        headers={"Authorization": f"Bearer {alpha.keys[KeyScope.FULL]}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, path)
        for path in sorted({path for _, path in OPERATIONS})
        for method in ("OPTIONS", "TRACE", "DELETE", "PUT", "PATCH", "BREW")
        if (method, path) not in OPERATIONS
    ],
)
def test_methods_that_an_address_does_not_have(method: str, path: str, alpha: World) -> None:
    answer = call(method, address(path, alpha), key=alpha.keys[KeyScope.FULL])
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


def test_what_is_issued_is_neither_deleted_nor_voided() -> None:
    """It is corrected by credit notes alone."""
    documents = [
        each for each in OPERATIONS if "/invoices" in each[1] or "/credit-notes" in each[1]
    ]
    assert {method for method, _ in documents} == {"GET"}
    assert not [path for _, path in OPERATIONS if "void" in path]


@pytest.mark.parametrize(("path", "model"), [("/apps", "tenants.App"), ("/keys", "tenants.ApiKey")])
def test_only_declared_fields_can_be_written(path: str, model: str, alpha: World) -> None:
    """Mass assignment: every other column of the table is refused by name."""
    declared = body_names(document()["paths"][f"/api/v1{path}"]["post"])
    good = bodies(alpha)[f"/api/v1{path}"]
    for field in apps.get_model(model)._meta.concrete_fields:
        for name in {field.name, field.column} - set(declared):
            answer = call("POST", path, key=alpha.keys[KeyScope.FULL], body={**good, name: "x"})
            assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field"), name
            assert answer.json()["field"] == name


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "*/*", "x", "image/*;q=2"])
@pytest.mark.parametrize("language", ["zh-hans", "de", "x" * 300])
def test_what_the_client_would_accept_changes_nothing(
    accept: str, language: str, alpha: World
) -> None:
    plain = call("GET", "/apps?limit=x", key=alpha.keys[KeyScope.READ])
    answer = call(
        "GET",
        "/apps?limit=x",
        key=alpha.keys[KeyScope.READ],
        headers={
            "Accept": accept,
            "Accept-Language": language,
            "Cookie": "summit_language=zh-hans; sessionid=x",
        },
        client=Client(),
    )
    assert answer.content == plain.content
    assert answer["Content-Type"] == plain["Content-Type"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
@pytest.mark.parametrize("with_key", [True, False])
def test_security_headers_are_on_every_answer(
    method: str, path: str, with_key: bool, alpha: World
) -> None:
    key = alpha.keys[KeyScope.FULL] if with_key else None
    answer = call(method, address(path, alpha) + QUERIES.get(path, ""), key=key)
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert answer["Cache-Control"] == "no-store"
    assert answer["X-Request-Id"]
    assert not answer.cookies
