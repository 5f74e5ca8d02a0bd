"""The benchmarks run, agree with what they measure, and leave no database behind."""

import io
import json

import pytest
from django.core.management import call_command
from django.db import connections

from work.connections import OWNER

pytestmark = pytest.mark.usefixtures("db")


@pytest.mark.parametrize(
    ("arguments", "n"),
    [
        (("bill", "--tenants", "5"), 5),
        (("close", "--tenants", "20", "--users", "100"), 20),
        (("close", "--tenants", "20", "--users", "100", "--days", "3"), 20),
        (("ingest", "--events", "200", "--clients", "2"), 200),
        (("reports", "--marks", "400"), 400),
        (("usage", "--marks", "2000", "--tenants", "4"), 21),
    ],
)
def test_a_benchmark_prints_what_the_contract_names(arguments: tuple[str, ...], n: int) -> None:
    out = io.StringIO()
    call_command("bench", *arguments, "--json", stdout=out)
    printed = json.loads(out.getvalue())
    assert set(printed) == {
        *("bench", "n", "seconds", "rate", "bare_seconds", "bare_rate", "ratio"),
        *("peak_rss_mb", "machine"),
    }
    assert printed["n"] == n
    assert printed["ratio"] > 0
    with connections[OWNER].cursor() as cursor:
        cursor.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE 'summit_bench_%'"
            " UNION ALL SELECT rolname FROM pg_roles WHERE rolname LIKE 'summit_bench_%'"
        )
        assert cursor.fetchall() == []
