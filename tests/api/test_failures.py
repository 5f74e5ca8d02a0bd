"""When something on our side breaks: what the client is told, and that nothing is half done."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections

from config.postgres import roles
from tenants.domain import KeyScope
from tenants.models import IdempotentRequest
from tenants.scope import system_scope
from tests.api.world import World, call, rows_of
from work.connections import DEFAULT, OWNER


@contextmanager
def changed(statement: str, *, back: str) -> Iterator[None]:
    """The database as the statement makes it, inside the block."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(statement)
    try:
        yield
    finally:
        with connections[OWNER].cursor() as cursor:
            cursor.execute(back)


def test_an_error_that_nobody_foresaw_is_a_problem_without_its_inside(alpha: World) -> None:
    with changed(
        "ALTER TABLE tenants_member RENAME TO hidden",
        back="ALTER TABLE hidden RENAME TO tenants_member",
    ):
        answer = call("GET", "/members", key=alpha.keys[KeyScope.READ])
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert answer["Content-Type"] == "application/problem+json"
    assert b"tenants_member" not in answer.content
    assert b"Traceback" not in answer.content
    assert call("GET", "/members", key=alpha.keys[KeyScope.READ]).status_code == 200


def test_a_call_that_fails_changes_nothing_and_can_be_sent_again(alpha: World) -> None:
    """The audit record is the last write of the call: without it, nothing of the call stays."""
    headers = {"Idempotency-Key": "sent again"}
    full = alpha.keys[KeyScope.FULL]
    call("GET", "/tenant", key=full)  # its last use is written before
    before = rows_of(alpha.tenant.id)
    with changed(
        "REVOKE INSERT ON tenants_auditrecord FROM " + roles.web_role(roles.address().database),
        back="GRANT INSERT ON tenants_auditrecord TO " + roles.web_role(roles.address().database),
    ):
        answer = call("POST", "/apps", key=full, body={"key": "again"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")
    assert rows_of(alpha.tenant.id) == before
    with system_scope(purpose="test"):
        assert not IdempotentRequest.objects.exists()
    answer = call("POST", "/apps", key=full, body={"key": "again"}, headers=headers)
    assert answer.status_code == 201


def test_a_database_that_is_away_is_503_with_retry_after(alpha: World) -> None:
    role = roles.web_role(roles.address().database)
    with changed(f"ALTER ROLE {role} NOLOGIN", back=f"ALTER ROLE {role} LOGIN"):
        connections[DEFAULT].close()
        answer = call("GET", "/tenant", key=alpha.keys[KeyScope.READ])
        assert call("GET", "/api/schema/").status_code == 200
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert int(answer["Retry-After"]) >= 1
    assert call("GET", "/tenant", key=alpha.keys[KeyScope.READ]).status_code == 200
