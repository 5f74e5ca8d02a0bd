"""Bring the database up to date: schema, roles, grants and policies. Safe to run again."""

from typing import Any

from django.core.management.base import CommandParser

from config import database
from kernel import clock
from tenants.scope import system_scope
from tenants.services.compare_zones import compare_zones
from work.commands import SummitCommand


class Command(SummitCommand):
    help = (
        "Migrate, then make the restricted roles, grants and row-security policies; at once where "
        "nothing has changed since the last time. Tells which of the tenants' zones Python and PostgreSQL "
        "know otherwise."
    )
    requires_database = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--force", action="store_true", help="Do it all again, though nothing has changed."
        )

    def handle(self, *args: Any, force: bool, **options: Any) -> None:
        if force or not database.is_current():
            database.set_up(verbosity=options["verbosity"])
        with system_scope(purpose="set-up"):
            differ = compare_zones(now=clock.now())
        self.emit(
            {"fingerprint": database.fingerprint(), "zones_differ": differ},
            text="The database is ready.",
        )
