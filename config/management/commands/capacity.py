"""Bill many tenants while everything is killed, and prove that nothing shows."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from config import environment
from config.capacity.programs import own_environment
from work.commands import CommandFault, SummitCommand


class Command(SummitCommand):
    help = (
        "Bill the month of many tenants by two workers and two schedulers while they, the broker and the "
        "database are killed and clocks jump by two days; prove that no document is missing, doubled or different from an undisturbed "
        "run, that numbers have no gap and the books agree; tell how fast it was. Works in a state folder "
        "and a database of its own, which are removed afterwards."
    )
    requires_database = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenants", type=int, default=2_000, help="How many (2000).")
        parser.add_argument(
            "--blows", type=int, default=10, help="How often something is struck (10)."
        )
        parser.add_argument(
            "--seed", type=int, default=1, help="Repeats the choice of moments (1)."
        )
        parser.add_argument(
            "--keep", action="store_true", help="Leave the state folder with its logs, and name it."
        )

    def handle(
        self, *args: Any, tenants: int, blows: int, seed: int, keep: bool, **options: Any
    ) -> None:
        home = Path(tempfile.mkdtemp(prefix="summit-capacity-"))
        done = subprocess.run(
            [
                *(sys.executable, "-m", "config.capacity.inside"),
                *(str(tenants), str(blows), str(seed)),
            ],
            cwd=environment.CHECKOUT,
            env=own_environment(home),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFault(
                f"The proof broke off; its own words are above, its logs in {home / 'logs'}.",
                code="capacity_failed",
            )
        if not keep:
            shutil.rmtree(home, ignore_errors=True)
        else:
            self.progress(f"The state folder: {home}")
        result = json.loads(done.stdout)
        for fault in result["faults"]:
            self.progress(fault)
        self.emit(result, failed=not result["ok"])
