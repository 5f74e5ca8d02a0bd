"""The journal as a file for other books."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, TextIO

from billing.ledger.exports import beancount_lines, csv_lines
from billing.ledger.statements import journal
from tenants.scope import system_scope
from work.commands import SummitCommand, WrongUse, date_argument


class Command(SummitCommand):
    help = (
        "Write every journal entry posted on the UTC days from one date up to another, excluded, as CSV "
        "or as a beancount file. Debits are positive."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", type=date_argument, required=True, help="the first day")
        parser.add_argument(
            "--to", type=date_argument, required=True, help="the day after the last one"
        )
        parser.add_argument("--format", choices=["csv", "beancount"], default="csv")
        parser.add_argument("--output", required=True, help="the file to write; - for stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        first, end, output = options["from"], options["to"], options["output"]
        if end <= first:
            raise WrongUse("--to is not after --from.", field="to")
        entries = 0
        with system_scope(purpose="export the journal", actor="command"), _opened(output) as file:
            rows = journal(
                starts_at=datetime.combine(first, time(), tzinfo=UTC),
                ends_at=datetime.combine(end, time(), tzinfo=UTC),
            )
            lines = (
                csv_lines(rows)
                if options["format"] == "csv"
                else beancount_lines(rows, opened_on=first - timedelta(days=1))
            )
            for line in lines:
                file.write(line)
                entries += 1
        if output != "-":
            self.emit({"file": output, "lines": entries})


@contextmanager
def _opened(output: str) -> Iterator[TextIO]:
    if output == "-":
        yield sys.stdout
        return
    with Path(output).open("w", encoding="utf-8", newline="") as file:
        yield file
