"""Sandboxes: empty worlds, one after the other on the same tables, without a trace of each other."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest
from django.db import IntegrityError, connections

from tenants.models import Tenant, User
from tenants.scope import system_scope
from tests.factories import a_tenant
from work.connections import JOBS, OWNER, cursor
from work.sandbox import sandbox


@pytest.fixture(autouse=True)
def _database(db: None) -> None:
    """Each test begins with empty tables."""


def keys() -> list[str]:
    with system_scope(purpose="test"):
        return list(Tenant.objects.order_by("key").values_list("key", flat=True))


def session() -> int:
    """The database's process behind the alias of the jobs role."""
    with connections[JOBS].cursor() as execution:
        execution.execute("SELECT pg_backend_pid()")
        (process,) = execution.fetchone()
    return int(process)


@contextmanager
def as_owner(statement: str, undo: str) -> Iterator[None]:
    with connections[OWNER].cursor() as execution:
        execution.execute(statement)
        try:
            yield
        finally:
            execution.execute(undo)


def test_each_begins_empty_and_leaves_the_deployment_as_it_was() -> None:
    a_tenant("real", apps=("real-app",))
    sessions = set()
    for name in ("first", "second", "third"):
        with sandbox():
            assert keys() == []
            a_tenant(name, apps=("the-same-app",))
            assert keys() == [name]
            sessions.add(session())
        assert keys() == ["real"]
    assert len(sessions) == 1
    assert session() not in sessions


def test_numbers_that_the_database_gives_begin_at_one_each_time() -> None:
    given = []
    for _ in range(2):
        with sandbox(), system_scope(purpose="test"):
            given.append(User.objects.create_user("owner@acme.test").pk)
    assert given == [1, 1]


def test_a_fault_inside_leaves_the_next_one_empty() -> None:
    def fail() -> None:
        with sandbox():
            a_tenant("acme")
            with system_scope(purpose="test"):
                Tenant.objects.create(id=UUID(int=1), key="acme", name="", timezone="UTC")

    with pytest.raises(IntegrityError):
        fail()
    with sandbox():
        assert keys() == []
    assert keys() == []


def test_a_lost_session_is_replaced() -> None:
    with sandbox():
        lost = session()
    with connections[OWNER].cursor() as execution:
        execution.execute("SELECT pg_terminate_backend(%s, 5000)", [lost])
    with sandbox():
        assert session() != lost
        assert keys() == []


def test_between_sandboxes_the_session_shows_the_real_tables() -> None:
    """A pooler may hand it to anybody who speaks as the same role."""
    a_tenant("real")
    with sandbox():
        a_tenant("acme")
        inside = connections[JOBS]
    with inside.cursor() as execution:
        execution.execute("SELECT key FROM tenants_tenant")
        assert execution.fetchall() == [("real",)]
        execution.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_class r ON r.relname = c.relname"
            " AND r.relnamespace = current_schema()::regnamespace"
            " WHERE c.relnamespace = pg_my_temp_schema() AND c.relkind IN ('r', 'p')"
        )
        assert execution.fetchall() == []


def test_what_a_migration_changed_in_between_is_there() -> None:
    with sandbox():
        before = session()
    with (
        as_owner(
            "ALTER TABLE tenants_tenant ADD COLUMN shoe_size int NOT NULL DEFAULT 42",
            "ALTER TABLE tenants_tenant DROP COLUMN shoe_size",
        ),
        sandbox(),
    ):
        assert session() == before
        a_tenant("acme")
        with system_scope(purpose="test"), cursor() as execution:
            execution.execute("SELECT shoe_size FROM tenants_tenant")
            assert execution.fetchall() == [(42,)]
    with sandbox(), system_scope(purpose="test"), cursor() as execution:
        execution.execute(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = 'tenants_tenant'::regclass"
            " AND attname = 'shoe_size'"
        )
        assert execution.fetchone() == (0,)


def test_emptying_the_real_tables_makes_nothing_anew() -> None:
    def table() -> int:
        with sandbox(), system_scope(purpose="test"), cursor() as execution:
            execution.execute("SELECT 'work_job'::regclass::oid")
            (oid,) = execution.fetchone()
        return int(oid)

    first = table()
    with connections[OWNER].cursor() as execution:
        execution.execute("TRUNCATE work_job CASCADE")
    assert table() == first


def test_it_begins_outside_any_scope() -> None:
    def nested() -> None:
        with sandbox():
            pass

    with system_scope(purpose="test"), pytest.raises(RuntimeError, match="outside any scope"):
        nested()
    with sandbox(), pytest.raises(RuntimeError, match="outside any scope"):
        nested()
