"""Store exchange rates from a CSV file."""

import csv
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from billing.exchange.services.store_rates import RateFaults, store_rates
from kernel import clock
from tenants.scope import system_scope
from work.commands import CommandFault, SummitCommand, WrongUse

_COLUMNS = ("on", "base", "quote", "rate", "source")


class Command(SummitCommand):
    help = (
        "Store exchange rates from a CSV file with the columns on, base, quote, rate, source: on that day "
        "one unit of base was worth rate units of quote. Loading a file twice changes nothing; a wrong "
        "file is refused with all its faults."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="CSV file, or - for stdin.")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        rows = _rows(file)
        try:
            with system_scope(purpose="load exchange rates", actor="command"):
                stored = store_rates(
                    rows=rows, now=clock.now(), actor="command:load_exchange_rates"
                )
        except RateFaults as error:
            self.emit(
                {
                    "error": {"code": error.code, "message": error.message},
                    "faults": error.params["faults"],
                },
                failed=True,
            )
            return
        self.emit(
            {"created": stored.created, "changed": stored.changed, "unchanged": stored.unchanged}
        )


def _rows(file: str) -> list[dict[str, str]]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise WrongUse(f"{file} is not UTF-8 text.", code="not_utf8") from None
    reader = csv.DictReader(text.splitlines())
    missing = [name for name in _COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise CommandFault(
            f"{file} has no column {', '.join(missing)}; it needs {', '.join(_COLUMNS)}.",
            code="missing_columns",
        )
    return [{name: row.get(name) or "" for name in _COLUMNS} for row in reader]
