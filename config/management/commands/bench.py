"""Benchmarks beside bare PostgreSQL, each in a database of its own."""

import json
import subprocess
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from config.bench.scratch import run_inside, scratch_database
from work.commands import CommandFault, SummitCommand

BENCHES: dict[str, tuple[str, ...]] = {
    "ingest": ("events", "clients"),
    "reports": ("marks",),
    "close": ("tenants", "users", "days"),
    "bill": ("tenants",),
    "usage": ("marks", "tenants"),
}
"""Each benchmark and its sizes in the order in which it takes them."""

_DEFAULTS = {
    ("ingest", "events"): 400_000,
    ("ingest", "clients"): 2,
    ("reports", "marks"): 400_000,
    ("close", "tenants"): 100_000,
    ("close", "users"): 1_000_000,
    ("close", "days"): 1,
    ("bill", "tenants"): 2_000,
    ("usage", "marks"): 1_000_000,
    ("usage", "tenants"): 2_000,
}


class Command(SummitCommand):
    help = (
        "Measure ingest, reports, close, bill or usage (or all of them) and, in the same run on the same server, "
        "what bare PostgreSQL takes for the same rows. Each works in a database of its own, which "
        "is dropped afterwards."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("bench", choices=[*BENCHES, "all"])
        for size in sorted({size for sizes in BENCHES.values() for size in sizes}):
            parser.add_argument(f"--{size}", type=int, help=f"How many {size}.")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="Also write the JSON there."
        )

    def handle(self, *args: Any, bench: str, output: Path | None = None, **options: Any) -> None:
        names = list(BENCHES) if bench == "all" else [bench]
        results = []
        for name in names:
            sizes = [options[size] or _DEFAULTS[name, size] for size in BENCHES[name]]
            self.progress(f"{name} …")
            with scratch_database() as environment:
                try:
                    printed = run_inside(
                        arguments=[name, *map(str, sizes)], environment=environment
                    )
                except subprocess.CalledProcessError as fault:
                    raise CommandFault(
                        f"The benchmark {name} failed; its own words are above.",
                        code="bench_failed",
                    ) from fault
            results.append(json.loads(printed))
        if output is not None:
            output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        self.emit(results if bench == "all" else results[0], text=_table(results))


def _table(results: list[dict[str, Any]]) -> str:
    rows = [
        f"{'bench':<8}{'n':>10}{'seconds':>10}{'rate/s':>12}{'bare rate/s':>14}{'ratio':>8}{'MB':>8}"
    ]
    rows.extend(
        f"{each['bench']:<8}{each['n']:>10}{each['seconds']:>10}{each['rate']:>12}"
        f"{each['bare_rate']:>14}{each['ratio']:>8}{each['peak_rss_mb']:>8}"
        for each in results
    )
    rows.append(results[0]["machine"])
    return "\n".join(rows)
