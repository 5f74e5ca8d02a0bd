"""Bring the database up to date: schema, roles, grants and policies. Safe to run again."""

from typing import Any

from config import database
from work.commands import SummitCommand


class Command(SummitCommand):
    help = "Migrate, then make the restricted roles, grants and row-security policies."
    requires_database = False

    def handle(self, *args: Any, **options: Any) -> None:
        database.set_up(verbosity=options["verbosity"])
        self.emit({"fingerprint": database.fingerprint()}, text="The database is ready.")
