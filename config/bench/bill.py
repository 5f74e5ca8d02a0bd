"""``bench bill``: a month of N tenants drafted, compared with its recount, finalised, numbered and posted;
beside it the bulk COPY of the same result rows into tables with the same indexes.

Both processors bill, as two workers would; the COPY is one, as it is by hand."""

import sys
from contextlib import ExitStack
from datetime import date, datetime, timedelta
from tempfile import TemporaryFile
from typing import IO, Final

from django.db import connections
from psycopg2 import sql

from billing.invoicing.services.count_run import RunResult
from billing.invoicing.services.run_now import run_now
from config.bench.measure import measured, result
from config.bench.world import ZONE, following_month, make_billing_world
from kernel import clock
from kernel.period import local_midnight
from work.connections import OWNER

_MONTH: Final = date(2026, 3, 1)

_RESULT_TABLES: Final = (
    "billing_invoice",
    "billing_invoiceline",
    "billing_journaltransaction",
    "billing_journalentry",
    "work_outbox",
)


def bench(tenants: int = 2_000) -> dict[str, object]:
    """Bill the month of March 2026 of `tenants` tenants."""
    make_billing_world(tenants=tenants, month=_MONTH)
    _bill(local_midnight(_MONTH, ZONE))
    bill_at = local_midnight(following_month(_MONTH) + timedelta(days=1), ZONE)
    before = _counts()
    with measured() as ours:
        _bill(bill_at)
    _require_new_rows(before, tenants=tenants)
    with measured() as again:
        found = _bill(bill_at)
    if found.due or found.finalized:
        raise RuntimeError(f"a second run found {found}")
    sys.stderr.write(f"a second run found nothing to do in {again.seconds:.1f} s\n")
    return result(
        bench="bill",
        n=tenants,
        seconds=ours.seconds,
        bare_seconds=_bare_seconds(),
        ratio_of_rates=False,
    )


def _bill(at: datetime) -> RunResult:
    return run_now(at=at, finalize=True, requested_by="bench", clock=clock.now)


def _counts() -> dict[str, int]:
    with connections[OWNER].cursor() as cursor:
        counts = {}
        for table in _RESULT_TABLES:
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
            (counts[table],) = cursor.fetchone()
    return counts


def _require_new_rows(before: dict[str, int], *, tenants: int) -> None:
    after = _counts()
    if after["billing_invoice"] - before["billing_invoice"] != tenants:
        raise RuntimeError(f"the run made {after} from {before}: not one invoice for each tenant")


def _bare_seconds() -> float:
    """COPY the rows of the measured run, whose invoices bill arrears, into like tables."""
    issued = "SELECT id FROM billing_invoice WHERE boundary_at > (SELECT min(boundary_at) FROM billing_invoice)"
    posted = f"SELECT id FROM billing_journaltransaction WHERE reference IN (SELECT 'invoice:' || id FROM ({issued}) AS i)"  # noqa: S608  # constants
    chosen = {
        "billing_invoice": f"id IN ({issued})",
        "billing_invoiceline": f"invoice_id IN ({issued})",
        "billing_journaltransaction": f"id IN ({posted})",
        "billing_journalentry": f"transaction_id IN ({posted})",
        "work_outbox": f"key IN (SELECT id::text FROM ({issued}) AS i)",  # noqa: S608  # constants
    }
    with ExitStack() as stack, connections[OWNER].cursor() as cursor:
        files: dict[str, IO[bytes]] = {}
        for table, condition in chosen.items():
            files[table] = stack.enter_context(TemporaryFile())
            cursor.copy_expert(
                f"COPY (SELECT * FROM {table} WHERE {condition}) TO STDOUT",  # noqa: S608  # constants
                files[table],
            )
            files[table].seek(0)
            cursor.execute(f"CREATE TABLE bare_{table} (LIKE {table} INCLUDING ALL)")
        with measured() as bare:
            for table, file in files.items():
                cursor.copy_expert(f"COPY bare_{table} FROM STDIN", file)
    return bare.seconds
