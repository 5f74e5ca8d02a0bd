"""Move the subscriptions of a plan version to another version."""

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

from billing.invoicing.services.migrate_plan import (
    NewMigration,
    execute_migration,
    start_migration,
)
from billing.subscriptions.domain import MigrationWhen
from kernel import clock
from tenants.scope import system_scope
from work.commands import SummitCommand


class Command(SummitCommand):
    help = (
        "Move the subscriptions that hold a plan version to another one: when their period ends, with what "
        "is drafted and not issued, or now. "
        "With --tenant only those of the named tenants; all others keep their version."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("plan", metavar="PLAN", help="The plan's key.")
        parser.add_argument("held", metavar="FROM", type=int, help="The version that they hold.")
        parser.add_argument("wanted", metavar="TO", type=int, help="The version that they get.")
        parser.add_argument(
            "--to-plan", default="", metavar="KEY", help="Another plan, of which TO is a version."
        )
        parser.add_argument("--tenant", action="append", default=[], metavar="KEY")
        parser.add_argument(
            "--when", choices=[when.value for when in MigrationWhen], default="period_end"
        )

    def handle(
        self,
        *args: Any,
        plan: str,
        held: int,
        wanted: int,
        to_plan: str,
        tenant: Sequence[str],
        when: str,
        **options: Any,
    ) -> None:
        now = clock.now()
        with system_scope(purpose="migrate_plan", actor="command"):
            migration_id = start_migration(
                migration=NewMigration(
                    from_plan=plan,
                    from_number=held,
                    to_plan=to_plan or plan,
                    to_number=wanted,
                    when=MigrationWhen(when),
                    tenant_keys=tenant,
                ),
                now=now,
                actor="command:migrate_plan",
            )
        result = execute_migration(
            migration_id=migration_id,
            now=now,
            on_progress=lambda done, total: self.progress(f"{done} of {total}"),
        )
        self.emit(
            {"moved": result.moved, "left_out": result.left_out}, failed=bool(result.left_out)
        )
