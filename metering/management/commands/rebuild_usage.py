"""Count daily usage anew from the raw events."""

from argparse import ArgumentParser
from typing import Any

from kernel import clock
from metering.rollup.services.rebuild_tenants import rebuild_tenants
from tenants.queries import tenant_profile
from tenants.scope import system_scope
from work.commands import SummitCommand, date_argument


class Command(SummitCommand):
    help = (
        "Count daily usage anew from the raw events. What is right stays as it is; a wrong value of an open "
        "day is put right, of a closed day corrected; what people corrected stays corrected."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from",
            dest="from_day",
            type=date_argument,
            required=True,
            help="the first local day",
        )
        parser.add_argument(
            "--to",
            dest="to_day",
            type=date_argument,
            required=True,
            help="the day after the last one",
        )
        parser.add_argument("--tenant", default="", help="only this tenant (its key)")
        parser.add_argument(
            "--check",
            action="store_true",
            help="change nothing; tell what would change, and fail if anything would",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        tenant_ids = None
        if options["tenant"]:
            with system_scope(purpose="recount usage from the events"):
                tenant_ids = [tenant_profile(key=options["tenant"]).id]
        done = rebuild_tenants(
            from_day=options["from_day"],
            to_day=options["to_day"],
            now=clock.now(),
            tenant_ids=tenant_ids,
            is_check=options["check"],
            progress=lambda tenants: self.progress(f"{tenants:,} tenants"),
        )
        self.emit(
            {
                "from": options["from_day"],
                "to": options["to_day"],
                "tenants": done.tenants,
                "changed": done.changed,
                "corrected": done.corrected,
            },
            failed=options["check"] and bool(done.changed or done.corrected),
        )
