"""No address gives one tenant anything of another's, and none changes it.

Generated from the URL configuration and the OpenAPI document: each route x method x credential of
`alpha` is tried with every id of `bravo`. An address whose variable parts or fields have no value
here fails, so a new one can't be forgotten. All is done three times: with both defences, with row
security switched off (the queries' own filters must be enough), and with the queries' filters
taken out (row security must be enough).
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.account.internal.flows.login import record_authentication
from django.db import connections
from django.db.models import QuerySet
from django.http import HttpRequest
from django.test import Client

from billing.invoicing.models import BillingRun
from kernel import ids
from kernel.ids import public_id
from tenants.domain import KeyScope, Role
from tenants.models import User
from tenants.scope import system_scope
from tests.api.addresses import Address, all_addresses
from tests.api.test_answers import document
from tests.api.world import World, an_event, call, rows_of
from work.connections import OWNER

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

ADDRESSES = all_addresses()
API = [each for each in ADDRESSES if each.route.startswith("api/v1/")]
PORTAL = [each for each in ADDRESSES if each.route.startswith("portal/")]
CONSOLE = [each for each in ADDRESSES if each.route.startswith("console/")]
WEBHOOKS = [each for each in ADDRESSES if each.route.startswith("webhooks/")]
WITHOUT_TENANT = (
    "healthz",
    "readyz",
    "metrics",
    "api/schema/",
    "api/docs/",
    "accounts/",
    "preferences/",
    "static/",
)

REFUSED = {403, 404, 405}
NOT_OWNED = {
    "plan_key",
    "version",
    "path",
    "file_name",
    "gateway_key",
    "gap_id",
    "certificate_id",
    "migration_id",
    "code",
}
"""Parts of addresses that name nothing of a tenant."""


def names_in_api(world: World) -> dict[str, str]:
    """What the variable parts of the API's addresses may be."""
    return {
        "invoice_id": public_id("inv", world.invoice_ids[0]),
        "credit_note_id": public_id("crn", world.credit_note_id),
        "key_id": public_id("key", world.key_id),
        "subscription_id": public_id("sub", world.subscription_id),
        "change_id": public_id("chg", world.change_id),
        "statement_id": public_id("stm", world.statement_id),
        "plan_key": "standard",
        "path": f"tenants/{world.key}",
        "file_name": "statement.pdf",
    }


def names_on_pages(world: World) -> dict[str, str]:
    """What the variable parts of the addresses of portal and console may be."""
    with system_scope(purpose="test"):
        run_id = BillingRun.objects.values_list("id", flat=True)[0]
    return {
        "tenant_key": world.key,
        "plan_key": "standard",
        "version": "1",
        "subscription_id": str(world.subscription_id),
        "invoice_id": str(world.invoice_ids[0]),
        "credit_note_id": str(world.credit_note_id),
        "key_id": str(world.key_id),
        "member_id": str(world.member_id),
        "attempt_id": str(world.attempt_id),
        "fapiao_id": str(world.fapiao_id),
        "mail_id": str(world.mail_id),
        "charge_id": str(world.charge_id),
        "proforma_id": str(world.proforma_id),
        "top_up_id": str(world.top_up_id),
        "statement_id": str(world.statement_id),
        "request_id": str(world.request_id),
        "hold_id": str(world.hold_id),
        "run_id": str(run_id),
        "change_id": str(world.change_id),
        "gateway_key": "gw-1",
        "migration_id": str(run_id),
        "code": "WELCOME20",
        "gap_id": str(run_id),
        "correction_id": str(run_id),
        "certificate_id": str(run_id),
        "file_name": "lines.csv",
        "account": "receivable",
        "month": "2026-04",
        "currency": "CNY",
    }


def fields_of_api(world: World) -> dict[str, Any]:
    """What fields of queries and bodies may be, by their names in the OpenAPI document."""
    app = world.tenant.apps[0].key
    return {
        "app": app,
        "key": app,
        "name": "free text",
        "label": "free text",
        "legal_name": "free text",
        "street": "free text",
        "city": "free text",
        "postal_code": "free text",
        "subdivision": "free text",
        "registration_id": "free text",
        "endpoint_scheme": "0088",
        "endpoint_id": "free text",
        "contact_email": "a@example.com",
        "reference": "free text",
        "order_number": "free text",
        "cursor": cursor_of(world),
        "status": "open",
        "subscription": public_id("sub", world.subscription_id),
        "from": "2026-03-01",
        "on": "2026-03-05",
        "invoice_id": public_id("inv", world.invoice_ids[0]),
        "day": "2026-03-05",
        "user_hash": "0" * 32,
        "code": "unknown_app",
        "to": "2026-05-01",
        "limit": 100,
        "meter": "dau",
        "granularity": "day",
        "feature": "dau",
        "by": "kind",
        "language": "en",
        "scope": "read",
        "allowed_addresses": ["192.0.2.1"],
        "kind": "change_plan",
        "when": "period_end",
        "plan": "standard",
        "version": 1,
        "price": "base",
        "quantity": "2",
        "coupon": "NOBODYS",
        "currency": "CNY",
        # A report is signed by a gateway and not sent with a key.
        "gateway": "gw-1",
        "sequence": 1,
        "epoch": "",
        "window": {"starts_at": "2026-03-05T00:00:00Z", "ends_at": "2026-03-05T00:01:00Z"},
        "apps": [{"app": app, "active_users": ["u1"]}],
    }


def cursor_of(world: World) -> str:
    """A cursor that was given to that tenant."""
    answer = call("GET", "/invoices?limit=1", key=world.keys[KeyScope.READ])
    return str(answer.json()["next"])


@pytest.fixture(params=["both defences", "queries alone", "row security alone"], scope="module")
def defence(worlds: tuple[World, World], request: pytest.FixtureRequest) -> Iterator[str]:
    """Takes one of the two defences away."""
    match request.param:
        case "queries alone":
            tables = _switch_row_security("DISABLE", "c.relrowsecurity")
            yield request.param
            _switch_row_security("ENABLE", f"c.relname IN ({tables})")
        case "row security alone":
            with pytest.MonkeyPatch.context() as patch:
                plain = QuerySet._filter_or_exclude  # type: ignore[attr-defined]  # Django's own

                def without_tenant(self: Any, negate: bool, args: Any, kwargs: Any) -> Any:
                    kept = {
                        name: value
                        for name, value in kwargs.items()
                        if not name.startswith("tenant")
                    }
                    return plain(self, negate, args, kept)

                patch.setattr(QuerySet, "_filter_or_exclude", without_tenant)
                yield request.param
        case _:
            yield request.param


def _switch_row_security(verb: str, condition: str) -> str:
    """Gives the tables as SQL texts."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c"
            f" WHERE c.relnamespace = current_schema()::regnamespace AND {condition}"
        )
        tables = [name for (name,) in cursor.fetchall()]
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} {verb} ROW LEVEL SECURITY")
    return ", ".join(f"'{table}'" for table in tables)


def form_of(values: dict[str, str]) -> dict[str, str]:
    """What the portal's forms may be sent, with those ids."""
    return {
        **values,
        "label": "x",
        "scope": "full",
        "card": "succeeds",
        "attempt": values["attempt_id"],
        "accepted": "yes",
        "kind": "cancel",
        "when": "now",
    }


def signed_in(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    # As after giving the password again, so that no page asks for it before it looks.
    request = HttpRequest()
    request.session = session = client.session
    record_authentication(request, user, "password", reauthenticated=True)
    session.save()
    return client


def assert_silent(answer: Any, *, of: World, sent: str) -> None:
    """The answer holds nothing that only tells of that tenant, but for what was sent."""
    content = answer.content.decode(errors="replace") if not answer.streaming else ""
    told = {marker for marker in of.markers if marker in content and marker not in sent}
    assert told == set(), (answer.status_code, told)


def filled(address: Address, values: dict[str, str]) -> str:
    missing = address.names - set(values)
    assert not missing, f"say what of `bravo` {sorted(missing)} of {address} may be"
    return address.path(values)


def test_every_address_is_of_a_kind_that_is_tested() -> None:
    tested = {*API, *PORTAL, *CONSOLE, *WEBHOOKS}
    rest = [
        each.route
        for each in ADDRESSES
        if each not in tested and each.route and not each.route.startswith(WITHOUT_TENANT)
    ]
    assert rest == []
    assert len(API) >= 15
    assert len(PORTAL) >= 10
    assert len(CONSOLE) >= 10


@pytest.mark.usefixtures("defence")
@pytest.mark.parametrize("address", [each for each in API if each.names - NOT_OWNED], ids=str)
def test_api_another_tenants_id_is_like_one_that_nobody_has(
    address: Address, alpha: World, bravo: World
) -> None:
    before = rows_of(bravo.tenant.id)
    foreign = filled(address, names_in_api(bravo))
    nobodys = address.path(
        {
            name: public_id(value.partition("_")[0], ids.new_id())
            for name, value in names_in_api(bravo).items()
        }
    )
    malformed = address.path(dict.fromkeys(names_in_api(bravo), "x"))
    for scope in KeyScope:
        for method in METHODS:
            body: Any = None if method == "GET" else {}
            found = [
                call(method, path, key=alpha.keys[scope], body=body)
                for path in (foreign, nobodys, malformed)
            ]
            assert found[0].status_code in REFUSED, (method, scope, found[0].content)
            assert len({(each.status_code, each.content) for each in found}) == 1, method
            assert_silent(found[0], of=bravo, sent=foreign)
    assert rows_of(bravo.tenant.id) == before
    # The address answers its owner: what was refused above was not refused to everybody.
    own = filled(address, names_in_api(alpha))
    methods = document()["paths"]["/" + address.route.replace("<str:", "{").replace(">", "}")]
    if "get" in methods:
        assert call("GET", own, key=alpha.keys[KeyScope.READ]).status_code == 200


@pytest.mark.usefixtures("defence")
@pytest.mark.parametrize("path", sorted(document()["paths"]))
def test_api_another_tenants_values_in_query_and_body_find_nothing(
    path: str, alpha: World, bravo: World
) -> None:
    foreign, own = fields_of_api(bravo), fields_of_api(alpha)
    before = rows_of(bravo.tenant.id)
    address = path
    for name, value in names_in_api(alpha).items():
        address = address.replace(f"{{{name}}}", value)
    for method, told in document()["paths"][path].items():
        query = [each["name"] for each in told.get("parameters", ()) if each["in"] == "query"]
        body = body_names(told)
        unknown = {*query, *body} - set(foreign)
        assert not unknown, f"say what {sorted(unknown)} of {method} {path} may be"
        for changed in ["", *query, *body]:
            asked = {name: own[name] for name in query if is_required(told, name)}
            sent: Any = {name: f"{own[name]}" for name in body if isinstance(own[name], str)}
            if changed in query:
                asked[changed] = foreign[changed]
            elif changed:
                sent[changed] = foreign[changed]
            if path.endswith("/events"):
                sent = [an_event(str(foreign["app"]))]
            text = "&".join(f"{name}={value}" for name, value in asked.items())
            answer = call(
                method.upper(),
                f"{address}?{text}" if text else address,
                key=alpha.keys[KeyScope.FULL],
                body=sent if method != "get" else None,
            )
            assert answer.status_code < 500, answer.content
            assert_silent(answer, of=bravo, sent=text + json.dumps(sent) + told_back(path, bravo))
            if changed == "cursor":
                assert answer.json()["code"] == "invalid_cursor"
            if changed == "app":
                assert (answer.status_code, answer.json()["code"]) == (404, "unknown_app")
    assert rows_of(bravo.tenant.id) == before


def told_back(path: str, other: World) -> str:
    """What a tenant sent itself, with the other's apps in it, and is shown as refused."""
    return " ".join(app.key for app in other.tenant.apps) if "/rejected" in path else ""


def body_names(told: dict[str, Any]) -> list[str]:
    """The names of the fields of an operation's JSON body; events have a shape of their own."""
    schema = (
        told.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    )
    if "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return list(schema.get("properties", {}))


def is_required(told: dict[str, Any], name: str) -> bool:
    return any(each["name"] == name and each.get("required") for each in told["parameters"])


@pytest.mark.usefixtures("defence")
@pytest.mark.parametrize("address", PORTAL, ids=str)
def test_portal_members_see_nothing_of_another_tenant(
    address: Address, alpha: World, bravo: World
) -> None:
    before = rows_of(bravo.tenant.id)
    own, foreign = names_on_pages(alpha), names_on_pages(bravo)
    clients = {role: signed_in(alpha.people[role]) for role in Role}
    for client in clients.values():
        tries = [foreign]
        if address.names - {"tenant_key"} - NOT_OWNED:
            # The own tenant's key, and the ids of another one.
            tries.append({**foreign, "tenant_key": own["tenant_key"]})
        for values in tries:
            path = filled(address, values)
            for method in METHODS:
                answer = client.generic(
                    method, path, json.dumps(foreign), content_type="application/json"
                )
                if "tenant_key" in address.names and method != "POST":
                    assert answer.status_code in REFUSED, (method, path)
                assert_silent(answer, of=bravo, sent=path)
            answer = client.post(path, form_of(foreign))
            if "tenant_key" in address.names:
                # 503 where it asks first whether there is a gateway at all.
                assert answer.status_code in {*REFUSED, 503}, path
    assert rows_of(bravo.tenant.id) == before
    answer = clients[Role.OWNER].get(filled(address, own))
    assert answer.status_code in {200, 302, 405, 409}, answer.status_code
    assert_silent(answer, of=bravo, sent=told_back(address.route, bravo))


@pytest.mark.parametrize("address", CONSOLE, ids=str)
def test_console_does_not_exist_for_members(address: Address, alpha: World, bravo: World) -> None:
    before = rows_of(bravo.tenant.id)
    path = filled(address, names_on_pages(bravo))
    for role in Role:
        client = signed_in(alpha.people[role])
        for method in METHODS:
            answer = client.generic(method, path)
            assert answer.status_code in {404, 405}, (method, path)
            assert_silent(answer, of=bravo, sent=path)
    stranger = Client(raise_request_exception=False)
    for method in METHODS:
        answer = stranger.generic(method, path)
        assert answer.status_code in {302, 403, 404, 405}, (method, path)
        assert_silent(answer, of=bravo, sent=path)
    assert rows_of(bravo.tenant.id) == before


@pytest.mark.parametrize("address", PORTAL, ids=str)
def test_portal_strangers_are_sent_to_sign_in(address: Address, bravo: World) -> None:
    path = filled(address, names_on_pages(bravo))
    stranger = Client(raise_request_exception=False)
    for method in METHODS:
        answer = stranger.generic(method, path)
        assert answer.status_code in {302, 403, 405}, (method, path)
        assert_silent(answer, of=bravo, sent=path)


@pytest.mark.parametrize("address", [*PORTAL, *CONSOLE], ids=str)
def test_an_api_key_opens_no_page(address: Address, alpha: World) -> None:
    path = filled(address, names_on_pages(alpha))
    client = Client(raise_request_exception=False)
    answer = client.get(path, headers={"Authorization": f"Bearer {alpha.keys[KeyScope.FULL]}"})
    assert answer.status_code in {302, 405}
    assert_silent(answer, of=alpha, sent=path)


@pytest.mark.parametrize("address", API, ids=str)
def test_a_session_opens_no_api(address: Address, alpha: World) -> None:
    if "path" in address.names:
        return
    client = signed_in(alpha.people[Role.OWNER])
    answer = call("GET", filled(address, names_in_api(alpha)), client=client)
    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert "Set-Cookie" not in answer
    assert not answer.cookies


@pytest.mark.parametrize("address", WEBHOOKS, ids=str)
def test_webhooks_take_nothing_unsigned(address: Address, bravo: World) -> None:
    before = rows_of(bravo.tenant.id)
    for method in METHODS:
        answer = call(
            method, f"/{address.route}", body={"id": "evt_1", "tenant": bravo.key}, client=Client()
        )
        assert answer.status_code in {400, 405, 503}  # 503 while no gateway is set up
        assert_silent(answer, of=bravo, sent="")
    assert rows_of(bravo.tenant.id) == before
