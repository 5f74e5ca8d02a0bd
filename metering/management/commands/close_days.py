"""Close local days that are over, so that their usage changes by corrections only."""

from argparse import ArgumentParser
from typing import Any

from kernel import clock
from metering.days.services.close_days import close_days
from metering.days.tasks import settling_time
from metering.proof.services.prove_days import prove_closed_days
from metering.recount.services.recount_days import recount_closed_days
from metering.rollup.services.roll_up import roll_up_pending
from tenants.scope import system_scope
from work.commands import SummitCommand, date_argument


class Command(SummitCommand):
    help = "Close all local days before a date whose watermark has passed; safe to run again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--until", type=date_argument, required=True, help="the first day that stays open"
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="do not wait for late arrivals, as after an import; a day that is not over yet "
            "stays open all the same",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.now()
        roll_up_pending(now=now)
        with system_scope(purpose="close days"):
            closed = close_days(
                now=now, until=options["until"], settling=settling_time(), force=options["force"]
            )
        recount_closed_days(now=now)
        proven = prove_closed_days(now=now)
        self.emit(
            {
                "until": options["until"],
                "tenants": closed.tenants,
                "days": closed.days,
                "held": closed.held,
                "proofs": proven.proofs,
            }
        )
