"""Spread the large tables over the workers of a Citus cluster."""

from argparse import ArgumentParser
from typing import Any

from metering.scaleout.services.distribute import SHARDS, distribute
from work.commands import SummitCommand


class Command(SummitCommand):
    help = (
        "Distribute metering's large tables by tenant over the workers of a Citus cluster, whose "
        "coordinator DATABASE_URL names; safe to run again, also after a kill. See docs/how-to/grow.md."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--shards",
            type=int,
            default=SHARDS,
            help="into how many parts each table is cut, at the first run only (default: %(default)s); "
            "so many nodes can share the load at most",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        done = distribute(shards=options["shards"], progress=self.progress)
        self.emit(
            {
                "tables": [
                    {
                        "table": each.table,
                        "state": "distributed" if each.is_new else "was distributed",
                    }
                    for each in done.tables
                ],
                "shards": done.shards,
                "nodes": list(done.nodes),
            }
        )
