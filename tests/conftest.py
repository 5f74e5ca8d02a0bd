"""Real parts for every test: an embedded PostgreSQL cluster, the schema as `setup_database` makes
it, and connections as the restricted roles. Tests commit for real; tables are emptied between them.
"""

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_HOME = Path(tempfile.mkdtemp(prefix="summit-test-"))
os.environ["SUMMIT_HOME"] = str(_HOME)
os.environ.setdefault("SUMMIT_TEST_CLUSTER", "1")
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
os.environ.pop("STRIPE_SECRET_KEY", None)

import django  # noqa: E402  # the environment above comes first

django.setup()

from django.test.utils import setup_test_environment  # noqa: E402

setup_test_environment()

from django.conf import settings  # noqa: E402

# A real hash costs a quarter of a second; that the service makes such, test_sign_in.py tells.
settings.PASSWORD_HASHERS = ["tests.hashers.QuickArgon2"]

from django.db import connections  # noqa: E402
from django.test import Client  # noqa: E402

from config import database as configured_database  # noqa: E402
from metering.scaleout.services.distribute import distribute  # noqa: E402
from tests import citus  # noqa: E402
from work.connections import OWNER  # noqa: E402


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what is about the other kind of database."""
    needs_cluster = item.get_closest_marker("cluster") is not None
    needs_one_node = item.get_closest_marker("one_node") is not None
    if needs_cluster and not (settings.DATABASE_URL and citus.has_workers()):
        pytest.skip("DATABASE_URL does not name the coordinator of a Citus cluster with workers")
    if needs_one_node and settings.DATABASE_URL and citus.has_workers():
        pytest.skip(
            "about what distributed tables can't have; tests/cluster tells what takes its place"
        )


def pytest_sessionfinish() -> None:
    connections.close_all()
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def summit_home() -> Path:
    """The state folder of this test run."""
    return _HOME


@pytest.fixture(scope="session")
def schema(summit_home: Path) -> Iterator[None]:
    """A set-up database, once a run. With DATABASE_URL set, that database is emptied and used; the
    coordinator of a Citus cluster with the tables distributed."""
    configured_database.set_up(verbosity=0)
    if citus.has_workers():
        distribute(shards=citus.SHARDS)
    yield
    connections.close_all()


@pytest.fixture
def db(schema: None) -> Iterator[None]:
    """An empty, set-up database; what the test commits is removed afterwards.

    (The name is pytest-django's: its rolled-back transaction would hide what constraint triggers,
    SKIP LOCKED and row security do at commit.)
    """
    empty_tables()
    yield
    for alias in connections:
        connection = connections[alias]
        if connection.connection is not None and connection.in_atomic_block:
            connection.close()
    assert_ledger_balances()


@pytest.fixture
def transactional_db(db: None) -> None:
    """The same: every database test commits for real."""


@pytest.fixture
def client(db: None) -> Client:
    """A web client that is not signed in."""
    return Client()


FILLED_BY_SET_UP = (
    "django_migrations",
    "django_content_type",
    "summit_schema",
    "auth_permission",
    "billing_seller",
    "billing_ledgeraccount",
    "billing_retentionrule",
)
MOST_BYTES_DELETED = 4_000_000


@functools.cache
def _sellers() -> str:
    """The sellers as set-up made them, first read before a test changes them: they are put back."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT jsonb_agg(to_jsonb(s))::text FROM billing_seller s")
        (found,) = cursor.fetchone()
        return str(found)


def empty_tables() -> None:
    """Empty all tables but those that set-up fills, as the owner and past the guards.

    A test writes few rows into few tables: deleting them costs a tenth of truncating all. What
    deleted rows leave behind is truncated once it has become much.
    """
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            """
            SELECT quote_ident(relname), pg_relation_size(oid) FROM pg_class
             WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
               AND relname <> ALL (%(kept)s)
            """,
            {"kept": list(FILLED_BY_SET_UP)},
        )
        sizes = dict(cursor.fetchall())
        if sum(sizes.values()) > MOST_BYTES_DELETED:
            emptying = f"TRUNCATE {', '.join(sizes)} CASCADE"
        else:
            emptying = ";".join(f"DELETE FROM {name}" for name, size in sizes.items() if size)
        citus.empty_tables(cursor)
        # One statement, so that it is one message: guards and foreign keys are off for it alone.
        cursor.execute(
            "SET session_replication_role = replica;"
            f"{emptying};"
            "DELETE FROM billing_seller;"
            "INSERT INTO billing_seller"
            " SELECT * FROM jsonb_populate_recordset(NULL::billing_seller, %(sellers)s);"
            "SET session_replication_role = DEFAULT",
            {"sellers": _sellers()},
        )
        cursor.execute(
            """
            SELECT setval(s.seqrelid, s.seqstart, false)
              FROM pg_sequence s
              JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid
                              AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
              JOIN pg_class t ON t.oid = d.refobjid
             WHERE t.relnamespace = current_schema()::regnamespace AND t.relname <> ALL (%(kept)s)
               AND pg_sequence_last_value(s.seqrelid) IS NOT NULL
            """,
            {"kept": list(FILLED_BY_SET_UP)},
        )


def assert_ledger_balances() -> None:
    """After every test the ledger sums to zero per currency."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT to_regclass('billing_journalentry')")
        if cursor.fetchone()[0] is None:
            return
        cursor.execute(
            "SELECT currency, sum(amount_minor) FROM billing_journalentry"
            " GROUP BY currency HAVING sum(amount_minor) <> 0"
        )
        assert cursor.fetchall() == []
