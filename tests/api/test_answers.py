"""Every operation of the OpenAPI document answers as the document says."""

import functools
from typing import Any

import jsonschema
import pytest
from drf_spectacular.generators import SchemaGenerator

from kernel.ids import public_id
from tenants.domain import KeyScope
from tests.api.world import World, an_event, call


@functools.cache
def document() -> dict[str, Any]:
    generator = SchemaGenerator()  # type: ignore[no-untyped-call]  # ships no types
    found: dict[str, Any] = generator.get_schema(  # type: ignore[no-untyped-call]  # the same
        request=None, public=True
    )
    return found


def strict(schema: Any) -> Any:
    """The schema in the words of JSON Schema: OpenAPI 3.0 says `nullable` instead of a type."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: strict(each) for name, each in schema.items() if name != "nullable"}
    if schema.get("nullable") and "type" in plain:
        plain["type"] = [plain["type"], "null"]
    if "$ref" in plain:
        name = plain["$ref"].rpartition("/")[2]
        return strict(document()["components"]["schemas"][name])
    return plain


SIGNED_BY_GATEWAYS = {"/api/v1/reports"}
"""Called with a signature instead of a key; see the tests of reports."""

OPERATIONS = [
    (method.upper(), path)
    for path, item in document()["paths"].items()
    for method in item
    if method in {"get", "post", "put", "patch", "delete"} and path not in SIGNED_BY_GATEWAYS
]

QUERIES: dict[str, str] = {
    "/api/v1/usage": "?meter=dau&from=2026-03-01&to=2026-04-01",
    "/api/v1/usage/proof": "?app=alpha-chat&day=2026-03-05",
    "/api/v1/usage/proof/hashes": "?app=alpha-chat&day=2026-03-05",
    "/api/v1/usage/proof/inclusion": f"?app=alpha-chat&day=2026-03-05&user_hash={'0' * 32}",
    "/api/v1/entitlements/check": "?app=alpha-chat&feature=dau",
}


def bodies(world: World) -> dict[str, Any]:
    return {
        "/api/v1/billing-profile": {"city": "Paris", "street": "1 Rue"},
        "/api/v1/apps": {"key": "alpha-new", "name": "New"},
        "/api/v1/keys": {"scope": "read", "label": "new", "allowed_addresses": ["10.0.0.0/8"]},
        "/api/v1/subscriptions/{subscription_id}/preview": {"kind": "cancel", "when": "now"},
        "/api/v1/subscriptions/{subscription_id}/changes": {"kind": "cancel", "when": "now"},
        "/api/v1/statements": {"currency": "CNY", "from": "2026-03-01", "to": "2026-04-01"},
        "/api/v1/events": [an_event(world.tenant.apps[0].key)],
    }


def address(path: str, world: World) -> str:
    """The path with the world's ids in it."""
    ids = {
        "{invoice_id}": public_id("inv", world.invoice_ids[0]),
        "{credit_note_id}": public_id("crn", world.credit_note_id),
        "{key_id}": public_id("key", world.key_id),
        "{subscription_id}": public_id("sub", world.subscription_id),
        "{change_id}": public_id("chg", world.change_id),
        "{statement_id}": public_id("stm", world.statement_id),
        "{file_name}": "details.xlsx",
        "{plan_key}": "standard",
    }
    for name, value in ids.items():
        path = path.replace(name, value)
    assert "{" not in path, f"tests don't know an id for {path}"
    return path


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_the_answer_is_the_documented_one(method: str, path: str, alpha: World) -> None:
    answer = call(
        method,
        address(path, alpha) + QUERIES.get(path, ""),
        key=alpha.keys[KeyScope.FULL],
        body=bodies(alpha).get(path),
    )
    told = document()["paths"][path][method.lower()]["responses"]
    assert 200 <= answer.status_code < 300, answer.content
    media = told[str(answer.status_code)]["content"]
    media_type = answer["Content-Type"].partition(";")[0]
    assert media_type in media
    if media_type == "application/json":
        schema = strict(media[media_type]["schema"])
        jsonschema.validate(answer.json(), schema, format_checker=jsonschema.FormatChecker())
    assert answer["Cache-Control"] in {"no-store", ""} or "private" in answer["Cache-Control"]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_without_a_key_nothing_is_answered(method: str, path: str, alpha: World) -> None:
    answer = call(method, address(path, alpha))
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_an_unknown_parameter_is_refused_and_named(method: str, path: str, alpha: World) -> None:
    sign = "&" if path in QUERIES else "?"
    answer = call(
        method,
        address(path, alpha) + QUERIES.get(path, "") + sign + "colour=red",
        key=alpha.keys[KeyScope.FULL],
        body=bodies(alpha).get(path),
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_parameter")
    assert "'colour'" in answer.json()["detail"]


def test_every_operation_is_named_and_guarded() -> None:
    for path, item in document()["paths"].items():
        for method, told in item.items():
            guard = "GatewaySignature" if path in SIGNED_BY_GATEWAYS else "ApiKey"
            assert told["security"] == [{guard: []}], (method, path)
            assert told["summary"], (method, path)
            assert {"400", "401"} <= set(told["responses"]) or path in {
                "/api/v1/events",
                "/api/v1/usage",
            }, (method, path)
