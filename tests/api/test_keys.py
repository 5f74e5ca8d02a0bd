"""Who may enter: the key's form, its scope, its end, its addresses, its traces."""

import statistics
import time
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, override_settings

from kernel import clock
from kernel.errors import Invalid
from tenants import key_format
from tenants.api.authentication import client_address
from tenants.domain import KeyScope
from tenants.models import ApiKey, AuditRecord
from tenants.scope import system_scope
from tenants.services.api_keys import create_api_key
from tests.api.test_answers import OPERATIONS, QUERIES, address, bodies
from tests.api.world import World, a_key, call

MAY: dict[str, set[KeyScope]] = {
    # Reviewed by hand: which scopes each operation takes.
    "GET /api/v1/apps": {KeyScope.READ, KeyScope.FULL},
    "POST /api/v1/apps": {KeyScope.FULL},
    "POST /api/v1/events": {KeyScope.INGEST, KeyScope.FULL},
    "GET /api/v1/events/rejected": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/billing-profile": {KeyScope.READ, KeyScope.FULL},
    "PATCH /api/v1/billing-profile": {KeyScope.FULL},
    "GET /api/v1/balance": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/credit-notes": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/credit-notes/{credit_note_id}": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/entitlements": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/entitlements/check": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/statements": {KeyScope.READ, KeyScope.FULL},
    "POST /api/v1/statements": {KeyScope.FULL},
    "GET /api/v1/statements/{statement_id}": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/statements/{statement_id}/files/{file_name}": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/invoices": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/invoices/{invoice_id}": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/invoices/{invoice_id}/explanation": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/invoices/{invoice_id}/ubl": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/credit-notes/{credit_note_id}/pdf": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/credit-notes/{credit_note_id}/ubl": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/invoices/{invoice_id}/pdf": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/keys": {KeyScope.READ, KeyScope.FULL},
    "POST /api/v1/keys": {KeyScope.FULL},
    "POST /api/v1/keys/{key_id}/revoke": {KeyScope.FULL},
    "GET /api/v1/members": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/meters": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/payments": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/plans": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/plans/{plan_key}": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/plans/{plan_key}/in-force": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/subscriptions": {KeyScope.READ, KeyScope.FULL},
    "POST /api/v1/subscriptions/{subscription_id}/preview": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/subscriptions/{subscription_id}/changes": {KeyScope.READ, KeyScope.FULL},
    "POST /api/v1/subscriptions/{subscription_id}/changes": {KeyScope.FULL},
    "GET /api/v1/subscriptions/{subscription_id}/changes/{change_id}": {
        KeyScope.READ,
        KeyScope.FULL,
    },
    "GET /api/v1/tenant": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/terms": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/usage": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/usage/proof": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/usage/proof/hashes": {KeyScope.READ, KeyScope.FULL},
    "GET /api/v1/usage/proof/inclusion": {KeyScope.READ, KeyScope.FULL},
}


def test_the_table_above_names_every_operation() -> None:
    assert set(MAY) == {f"{method} {path}" for method, path in OPERATIONS}


@pytest.mark.parametrize("scope", KeyScope)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_scope_opens_what_the_table_says_and_no_more(
    method: str, path: str, scope: KeyScope, alpha: World
) -> None:
    answer = call(
        method,
        address(path, alpha) + QUERIES.get(path, ""),
        key=alpha.keys[scope],
        body=bodies(alpha).get(path),
    )
    if scope in MAY[f"{method} {path}"]:
        assert answer.status_code in {200, 201, 202, 409}, answer.content  # 409: created before
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_not_allowed")


def tenant(key: str, **options: Any) -> Any:
    return call("GET", "/tenant", key=key, **options)


def test_every_key_that_may_not_enter_gets_the_same_answer(alpha: World) -> None:
    good = a_key(alpha)
    revoked, expired, elsewhere = (
        a_key(alpha),
        a_key(alpha),
        a_key(alpha, allowed_addresses=["192.0.2.0/24"]),
    )
    with system_scope(purpose="test"):
        ApiKey.objects.filter(public_id=revoked.split("_")[2]).update(revoked_at=clock.now())
        ApiKey.objects.filter(public_id=expired.split("_")[2]).update(expires_at=clock.now())
    _, unknown = key_format.new_key(), key_format.new_key()[0]
    stranger, parts = key_format.new_key()
    body = f"smt_live_{good.split('_')[2]}_{parts.secret}"
    other_secret = f"{body}_{key_format._check(body)}"
    refused = [
        revoked,
        expired,
        elsewhere,
        unknown,
        stranger,
        other_secret,
        good[:-1],
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good.replace("smt_live", "smt_test"),
        "",
        "x",
        "ключ",
        "a_b_c_d_e",
        "\x00" * 12,
    ]
    assert tenant(good).status_code == 200
    answers = {(each.status_code, each.content) for each in map(tenant, refused)}
    assert len(answers) == 1
    assert answers.pop()[0] == 401


@pytest.mark.parametrize(
    "header", ["Basic YTpi", "Bearer", "bearer  ", "Token x", "Bearer a b", "x" * 8000]
)
def test_any_header_is_read_or_refused(header: str, alpha: World) -> None:
    answer = call("GET", "/tenant", headers={"Authorization": header})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_api_key")


def test_a_revoked_key_is_refused_at_once(alpha: World) -> None:
    key = a_key(alpha)
    with system_scope(purpose="test"):
        row = ApiKey.objects.get(public_id=key.split("_")[2])
    shown = next(
        each
        for each in call("GET", "/keys", key=key).json()["data"]
        if each["public_id"] == row.public_id
    )
    assert call("POST", f"/keys/{shown['id']}/revoke", key=key).json()["status"] == "revoked"
    assert tenant(key).status_code == 401
    with system_scope(purpose="test"):
        trail = list(
            AuditRecord.objects.filter(target=f"api_key:{row.public_id}").order_by("sequence")
        )
    assert [each.action for each in trail] == ["api_key.created", "api_key.revoked"]
    assert trail[1].actor == f"api_key:{row.public_id}"
    assert trail[1].address == "127.0.0.1"
    assert trail[1].request_id


def test_the_request_id_is_the_clients_or_a_new_one(alpha: World) -> None:
    key = alpha.keys[KeyScope.READ]
    assert tenant(key, headers={"X-Request-Id": "mine-1"})["X-Request-Id"] == "mine-1"
    for unusable in ("x" * 65, "ü"):
        assert tenant(key, headers={"X-Request-Id": unusable})["X-Request-Id"] != unusable
    assert len(tenant(key)["X-Request-Id"]) == 36


def test_the_last_use_is_written_once_a_minute(alpha: World) -> None:
    key = a_key(alpha)

    def used_at() -> Any:
        with system_scope(purpose="test"):
            return ApiKey.objects.get(public_id=key.split("_")[2]).last_used_at

    now = clock.now()
    for seconds, expected in ((0, 0), (59, 0), (60, 60), (61, 60)):
        with clock.moved_to(now + timedelta(seconds=seconds)):
            tenant(key)
        assert used_at() == now + timedelta(seconds=expected)


@pytest.mark.parametrize(
    ("address", "enters"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("2001:db8::1", True),
        ("192.0.3.7", False),
        ("2001:db9::1", False),
        ("", False),
        ("unix:", False),
    ],
)
def test_a_key_may_be_bound_to_addresses(address: str, enters: bool, alpha: World) -> None:
    key = a_key(alpha, allowed_addresses=["192.0.2.0/24", "2001:db8::/32"])
    client = Client(REMOTE_ADDR=address)
    answer = call("GET", "/tenant", key=key, client=client)
    assert answer.status_code == (200 if enters else 401)


def test_only_our_own_proxy_is_believed_about_addresses(alpha: World) -> None:
    key = a_key(alpha, allowed_addresses=["192.0.2.7"])
    forwarded = {"X-Forwarded-For": "192.0.2.7"}
    assert tenant(key, headers=forwarded).status_code == 401

    from dataclasses import replace

    with override_settings(ENVIRONMENT=replace(settings.ENVIRONMENT, behind_proxy=True)):
        assert tenant(key, headers=forwarded).status_code == 200
        # What stands before the last address came from the client.
        forged = {"X-Forwarded-For": "192.0.2.7, 198.51.100.1"}
        assert tenant(key, headers=forged).status_code == 401
        assert client_address(Client().get("/healthz").wsgi_request) == ""


@pytest.mark.parametrize("network", ["", "300.1.1.1", "192.0.2.1/24", "example.com", "1.2.3.4/33"])
def test_what_is_no_network_is_refused(network: str, alpha: World) -> None:
    with pytest.raises(Invalid) as refused, system_scope(purpose="test"):
        create_api_key(
            tenant_id=alpha.tenant.id,
            scope="read",
            label="",
            now=clock.now(),
            actor="test",
            allowed_addresses=[network],
        )
    assert refused.value.code == "invalid_network"


def test_time_does_not_tell_a_known_key_from_an_unknown_one(alpha: World) -> None:
    """Roughly: medians of interleaved calls are within the noise of each other."""
    _, parts = key_format.new_key()
    body = f"smt_live_{alpha.keys[KeyScope.READ].split('_')[2]}_{parts.secret}"
    known = f"{body}_{key_format._check(body)}"
    unknown = key_format.new_key()[0]
    taken: dict[str, list[float]] = {known: [], unknown: []}
    for _ in range(60):
        for key, times in taken.items():
            start = time.perf_counter()
            tenant(key)
            times.append(time.perf_counter() - start)
    first, second = (statistics.median(times) for times in taken.values())
    assert 0.5 < first / second < 2
