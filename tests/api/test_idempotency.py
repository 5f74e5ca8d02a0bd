"""A call that is sent again is answered again and not carried out again."""

import hashlib
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections

from kernel import clock
from kernel.canonical import canonical_bytes
from kernel.errors import Conflict
from kernel.ids import public_id
from tenants.api.idempotency import LEASE, REPLAYED, Answer, answer_once
from tenants.domain import KeyScope
from tenants.models import App, IdempotentRequest
from tenants.scope import system_scope
from tenants.services.stored_answers import KEPT, forget_old_answers
from tests.api.world import World, an_event, call
from work.connections import OWNER

HEADER = {"Idempotency-Key": "one"}


@pytest.fixture(autouse=True)
def no_stored_answers(worlds: tuple[World, World]) -> None:
    with system_scope(purpose="test"):
        IdempotentRequest.objects.all().delete()


def create(world: World, body: Any, *, headers: Mapping[str, str] | None = None) -> Any:
    return call("POST", "/apps", key=world.keys[KeyScope.FULL], body=body, headers=headers)


def count_apps() -> int:
    with system_scope(purpose="test"):
        return App.objects.count()


def test_a_repeated_call_gets_the_same_bytes(alpha: World) -> None:
    first = create(alpha, {"key": "repeated", "name": "应用"}, headers=HEADER)
    before = count_apps()

    # The same meaning counts, not the same spelling.
    again = create(alpha, '{ "name": "应用",  "key": "repeated" }', headers=HEADER)

    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert first["Content-Type"] == again["Content-Type"]
    assert REPLAYED not in first
    assert again[REPLAYED] == "true"
    assert count_apps() == before


def test_without_the_header_each_call_stands_for_itself(alpha: World) -> None:
    assert create(alpha, {"key": "alone"}).status_code == 201
    assert create(alpha, {"key": "alone"}).json()["code"] == "app_key_taken"


def test_other_content_under_the_key_is_refused(alpha: World) -> None:
    create(alpha, {"key": "first"}, headers=HEADER)
    before = count_apps()
    answer = create(alpha, {"key": "second"}, headers=HEADER)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert count_apps() == before


def test_the_key_counts_within_tenant_and_endpoint(alpha: World, bravo: World) -> None:
    assert create(alpha, {"key": "of-alpha"}, headers=HEADER).status_code == 201
    assert create(bravo, {"key": "of-bravo"}, headers=HEADER).status_code == 201
    answer = call(
        "POST", "/keys", key=alpha.keys[KeyScope.FULL], body={"scope": "read"}, headers=HEADER
    )
    assert answer.status_code == 201


def test_events_sent_again_get_the_first_answer(alpha: World) -> None:
    body = [{**an_event(alpha.tenant.apps[0].key), "id": "once"}]
    ingest = alpha.keys[KeyScope.INGEST]
    first = call("POST", "/events", key=ingest, body=body, headers=HEADER)
    again = call("POST", "/events", key=ingest, body=body, headers=HEADER)
    assert first.json()["accepted"] == 1
    assert again.content == first.content
    # Without the header the events themselves are told apart.
    assert call("POST", "/events", key=ingest, body=body).json()["duplicates"] == 1


def test_a_refused_call_changed_nothing_and_frees_its_key(alpha: World) -> None:
    taken = alpha.tenant.apps[0].key
    assert create(alpha, {"key": taken}, headers=HEADER).status_code == 409
    assert create(alpha, {"key": "not-taken"}, headers=HEADER).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "ümlaut", "\x7f"])
def test_a_key_is_printable_ascii(alpha: World, key: str) -> None:
    answer = create(alpha, {"key": "unused"}, headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_idempotency_key")


@pytest.mark.parametrize("key", ["x", "x" * 255, " ~!"])
def test_any_printable_key_is_taken(alpha: World, key: str) -> None:
    answer = create(alpha, {"key": f"with-{len(key)}"}, headers={"Idempotency-Key": key})
    assert answer.status_code == 201


def test_a_new_api_key_is_given_again_and_stored_nowhere(alpha: World) -> None:
    full = alpha.keys[KeyScope.FULL]
    first = call("POST", "/keys", key=full, body={"scope": "ingest"}, headers=HEADER)
    again = call("POST", "/keys", key=full, body={"scope": "ingest"}, headers=HEADER)
    assert first.content == again.content
    text = first.json()["key"]
    assert call("GET", "/tenant", key=text).status_code == 403  # it is valid, of scope ingest
    secret = text.split("_")[3]
    for form in (secret, secret.encode().hex()):
        assert tables_holding(form) == []


def tables_holding(text: str) -> list[str]:
    """The tables in which the text stands anywhere, as the owner sees them."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
            " AND relkind IN ('r', 'p') AND NOT relispartition"
        )
        tables = [name for (name,) in cursor.fetchall()]
        found = []
        for table in tables:
            cursor.execute(
                f'SELECT EXISTS (SELECT 1 FROM "{table}" r WHERE position(%s in r::text) > 0)',
                [text],
            )
            if cursor.fetchone()[0]:
                found.append(table)
        return found


def test_two_calls_at_once_one_is_carried_out(alpha: World) -> None:
    statuses: list[tuple[int, str]] = []
    begin = threading.Barrier(4)

    def send() -> None:
        begin.wait()
        answer = create(alpha, {"key": "at-once"}, headers=HEADER)
        statuses.append((answer.status_code, answer.get("Retry-After", "")))
        connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # The others came while it ran (409 with Retry-After) or after it (the stored answer).
    assert {status for status, _ in statuses} <= {201, 409}
    assert (201, "") in statuses
    assert all(wait for status, wait in statuses if status == 409)
    with system_scope(purpose="test"):
        assert App.objects.filter(key="at-once").count() == 1


def repeat(world: World, run: Callable[[], Answer]) -> Any:
    """`answer_once` without HTTP around it, so that it can be stopped half-way."""
    request: Any = SimpleNamespace(
        auth=SimpleNamespace(tenant_id=world.tenant.id),
        headers=HEADER,
        _request=SimpleNamespace(META={}, headers={}),
    )
    return answer_once(request=request, endpoint="test", content=["same"], call=run)


def test_after_a_crash_the_lease_runs_out_and_another_takes_over(alpha: World) -> None:
    now = clock.now()
    with system_scope(purpose="test"):
        # What a process that was killed in the middle of the call has left behind.
        IdempotentRequest.objects.create(
            tenant_id=alpha.tenant.id,
            endpoint="test",
            key="one",
            fingerprint=hashlib.sha256(canonical_bytes(["same"])).digest(),
            lease_until=now + LEASE,
            created_at=now,
        )

    with clock.moved_to(now + LEASE - timedelta(seconds=1)), pytest.raises(Conflict) as refused:
        repeat(alpha, lambda: Answer(data="too early"))
    assert refused.value.code == "call_in_progress"
    assert refused.value.params["retry_after_seconds"] == 1

    with clock.moved_to(now + LEASE + timedelta(seconds=1)):
        assert repeat(alpha, lambda: Answer(data="done")).content == b'"done"'
        assert repeat(alpha, lambda: Answer(data="again")).content == b'"done"'


def test_a_holder_whose_lease_was_taken_over_can_not_commit(alpha: World) -> None:
    now = clock.now()

    def slow() -> Answer:
        App.objects.create(tenant_id=alpha.tenant.id, key="by-the-slow-one")
        with clock.moved_to(now + LEASE + timedelta(minutes=1)):
            taken_over = threading.Thread(target=take_over)
            taken_over.start()
            taken_over.join()
        return Answer(data="slow")

    def take_over() -> None:
        with clock.moved_to(now + LEASE + timedelta(minutes=1)):
            outcomes.append(repeat(alpha, lambda: Answer(data="quick")).content)
        connections.close_all()

    outcomes: list[bytes] = []
    with pytest.raises(Conflict):
        repeat(alpha, slow)
    assert outcomes == [b'"quick"']
    with system_scope(purpose="test"):
        assert not App.objects.filter(key="by-the-slow-one").exists()
    assert repeat(alpha, lambda: Answer(data="third")).content == b'"quick"'


def test_an_answer_is_forgotten_after_a_week(alpha: World) -> None:
    now = clock.now()
    repeat(alpha, lambda: Answer(data="old"))
    with clock.moved_to(now + KEPT - timedelta(minutes=1)):
        assert repeat(alpha, lambda: Answer(data="new")).content == b'"old"'
    with clock.moved_to(now + KEPT + timedelta(minutes=1)):
        assert repeat(alpha, lambda: Answer(data="new")).content == b'"new"'
    with system_scope(purpose="test"):
        assert forget_old_answers(now=now + KEPT) == 0
        assert forget_old_answers(now=now + 2 * KEPT + timedelta(minutes=2)) == 1


def test_revoking_twice_under_one_key_is_one_revocation(alpha: World) -> None:
    full = alpha.keys[KeyScope.FULL]
    made = call("POST", "/keys", key=full, body={"scope": "read"}).json()
    path = f"/keys/{made['id']}/revoke"
    first = call("POST", path, key=full, headers=HEADER)
    assert first.json()["status"] == "revoked"
    assert call("POST", path, key=full, headers=HEADER).content == first.content
    other = public_id("key", alpha.key_id)
    answer = call("POST", f"/keys/{other}/revoke", key=full, headers=HEADER)
    assert answer.json()["code"] == "idempotency_key_reused"
