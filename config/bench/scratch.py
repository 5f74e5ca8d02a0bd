"""A database of its own for a benchmark, on the server that is configured."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import connections
from psycopg2 import sql

from config.postgres import roles
from work.connections import OWNER


@contextmanager
def scratch_database(*, copy_of: str = "") -> Iterator[Mapping[str, str]]:
    """Make an empty database, or the copy of one that nobody uses just now; inside, the environment
    under which a process uses it."""
    name = f"summit_bench_{secrets.token_hex(4)}"
    _execute(
        sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(copy_of or "template1")
        )
    )
    try:
        yield {**os.environ, "DATABASE_URL": _url(name), "SUMMIT_HOME": str(settings.SUMMIT_HOME)}
    finally:
        _execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        for role in (roles.web_role(name), roles.jobs_role(name)):
            _execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))


def run_inside(*, arguments: list[str], environment: Mapping[str, str]) -> str:
    """Run the benchmark in a process of its own, so that its memory is its own; gives its stdout.

    Raises subprocess.CalledProcessError when it fails; what it says of that is on stderr.
    """
    done = subprocess.run(  # our own program with our own arguments
        [sys.executable, "-m", "config.bench.inside", *arguments],
        env=dict(environment),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def _execute(statement: sql.Composable) -> None:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(statement)


def _url(database: str) -> str:
    address = roles.address()
    query = {**address.options, "host": address.host, "port": address.port}
    query = {key: value for key, value in query.items() if value}
    credentials = f"{quote(address.owner, safe='')}:{quote(address.owner_password, safe='')}"
    return f"postgresql://{credentials}@/{database}?{urlencode(query)}"
