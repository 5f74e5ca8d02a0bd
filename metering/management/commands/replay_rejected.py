"""Take refused events in after all."""

from argparse import ArgumentParser
from typing import Any

from kernel import clock
from metering.quarantine.queries import REPLAYABLE
from metering.quarantine.services.replay_rejected import replay_rejected
from metering.rollup.services.roll_up import roll_up_pending
from tenants.queries import tenant_profile
from tenants.scope import system_scope
from work.commands import SummitCommand


class Command(SummitCommand):
    help = (
        "Try refused events again once the cause is mended: the app was made, a meter that names the type "
        "was loaded. Each counts once, however often this runs; days that are closed are corrected."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--code", required=True, choices=sorted(REPLAYABLE), help="why they were refused"
        )
        parser.add_argument("--tenant", default="", help="only this tenant's (its key)")
        parser.add_argument(
            "--any-age",
            action="store_true",
            help="also events that were too old when they came, as imports by staff",
        )
        parser.add_argument("--reason", required=True, help="what was mended, for the audit trail")

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.now()
        tenant_id = None
        if options["tenant"]:
            with system_scope(purpose="replay refused events"):
                tenant_id = tenant_profile(key=options["tenant"]).id
        done = replay_rejected(
            code=options["code"],
            tenant_id=tenant_id,
            any_age=options["any_age"],
            reason=options["reason"],
            actor="command:replay_rejected",
            now=now,
        )
        roll_up_pending(now=now)
        self.emit(
            {
                "code": options["code"],
                "tried": done.tried,
                "accepted": done.accepted,
                "duplicates": done.duplicates,
                "rejected": done.rejected,
            },
            failed=bool(done.rejected),
        )
