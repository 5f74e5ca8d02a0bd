"""Rate single cases, without a database."""

from typing import Any

from django.core.management.base import CommandParser

from billing.calculator import command
from work.commands import SummitCommand


class Command(SummitCommand):
    """What `manage.py help` lists; `manage.py calculate` itself starts without Django."""

    help = command.HELP
    requires_database = False
    always_json = True

    def add_arguments(self, parser: CommandParser) -> None:
        command.add_arguments(parser)

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        status = command.calculate(file, to=self.stdout)
        if status:
            raise SystemExit(status)
