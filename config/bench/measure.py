"""What a benchmark prints, and how it is taken."""

import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connections

from work.connections import OWNER


@dataclass(slots=True, kw_only=True)
class Stopwatch:
    """Seconds that passed between the entry and the end of a block."""

    seconds: float = 0.0


@contextmanager
def measured() -> Iterator[Stopwatch]:
    """Measure a block by the monotonic clock."""
    watch = Stopwatch()
    began = time.monotonic()
    try:
        yield watch
    finally:
        watch.seconds = time.monotonic() - began


def result(
    *, bench: str, n: int, seconds: float, bare_seconds: float, ratio_of_rates: bool
) -> dict[str, object]:
    """The document of contract section 7.

    `ratio` is rate over bare rate where more is better, else seconds over bare seconds.
    """
    rate, bare_rate = n / seconds, n / bare_seconds
    return {
        "bench": bench,
        "n": n,
        "seconds": round(seconds, 3),
        "rate": round(rate, 1),
        "bare_seconds": round(bare_seconds, 3),
        "bare_rate": round(bare_rate, 1),
        "ratio": round(rate / bare_rate if ratio_of_rates else seconds / bare_seconds, 3),
        "peak_rss_mb": round(_peak_rss_mb(), 1),
        "machine": machine(),
    }


def machine() -> str:
    """Cores, architecture, Python and server version, to tell figures apart."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SHOW server_version")
        (server,) = cursor.fetchone()
    return (
        f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}, "
        f"PostgreSQL {server.split()[0]}"
    )


def _peak_rss_mb() -> float:
    """The most memory that this process, or one that it started, ever held."""
    unit = 1 if sys.platform == "darwin" else 1024
    most = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return most * unit / 1024 / 1024
