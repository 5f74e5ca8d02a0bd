"""Load rates of tax from a JSON file."""

from typing import Any

from django.core.management.base import CommandParser

from billing.management.commands.load_plans import read_json
from billing.taxes.domain.rate_file import TaxFaults
from billing.taxes.services import load_taxes
from kernel import clock
from tenants.scope import system_scope
from work.commands import SummitCommand


class Command(SummitCommand):
    help = (
        'Load dated rates of tax (a list, or an object with a list under "rates"). A stored rate is '
        "never changed; an open one gets its end where the file gives it. A wrong file is refused "
        "with all its faults, and nothing is loaded."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="JSON file, or - for stdin.")

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        document = read_json(file)
        try:
            with system_scope(purpose="load taxes", actor="command"):
                loaded = load_taxes(document=document, now=clock.now(), actor="command:load_taxes")
        except TaxFaults as error:
            self.emit(
                {
                    "error": {"code": error.code, "message": error.message},
                    "faults": error.params["faults"],
                },
                failed=True,
            )
            return
        self.emit(
            {
                "created": loaded.created,
                "ended": loaded.ended,
                "unchanged": loaded.unchanged,
            }
        )
