"""Take in a file of usage, each row one message.sent event."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from kernel import clock
from kernel.errors import DomainError
from metering.ingest.domain.usage_files import form_of, parse_columns
from metering.ingest.services.import_usage import ImportResult, NewTenants, import_usage
from metering.rollup.services.roll_up import roll_up_pending
from tenants.services.create_tenant import check_timezone
from work.commands import SummitCommand, WrongUse

_PROGRESS_EVERY_SECONDS = 2


class Command(SummitCommand):
    help = (
        "Take in a file of usage (.csv, .csv.gz, .ndjson, .ndjson.gz), each row one message.sent "
        "event of source 'import', of any age. Importing a file twice gives duplicates only."
    )

    _told_at = 0.0  # seconds of the monotonic clock

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="the file to read")
        parser.add_argument(
            "--columns",
            required=True,
            help="names of the columns in their order, such as app,id,time,user; - skips one. "
            "In NDJSON they are the keys of each object.",
        )
        parser.add_argument(
            "--create-tenants",
            action="store_true",
            help="an unknown app becomes a tenant of that key with one app of that key",
        )
        parser.add_argument(
            "--timezone", default="UTC", help="the zone of new tenants (default: UTC)"
        )
        parser.add_argument(
            "--plan",
            default="",
            help="subscribe new tenants to this plan, from the month of their earliest event",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            form = form_of(options["file"])
            columns = parse_columns(options["columns"])
            check_timezone(options["timezone"], field="timezone")
        except DomainError as error:
            raise WrongUse(error.message, code=error.code, field=error.field) from error
        new_tenants = None
        if options["create_tenants"]:
            new_tenants = NewTenants(timezone=options["timezone"], plan_key=options["plan"])
        elif options["plan"]:
            self.progress("--plan has no effect without --create-tenants.")
        now = clock.now()
        with Path(options["file"]).open("rb") as stream:
            result = import_usage(
                stream=stream,
                form=form,
                columns=columns,
                new_tenants=new_tenants,
                now=now,
                on_progress=self._tell_progress,
            )
        self.progress(f"{result.read:,} rows read; rolling up")
        roll_up_pending(now=now, runners=2)
        document: dict[str, Any] = {
            "read": result.read,
            "accepted": result.accepted,
            "duplicates": result.duplicates,
            "rejected": result.rejected,
        }
        for code, count in sorted(result.codes.items()):
            self.progress(f"rejected, {code}: {count:,}")
        if result.fault is not None:
            self.progress(f"Error ({result.fault.code}): {result.fault.message}")
            document["error"] = {"code": result.fault.code, "message": result.fault.message}
        elif result.codes:
            document["codes"] = dict(sorted(result.codes.items()))
        self.emit(document, failed=bool(result.rejected or result.fault))

    def _tell_progress(self, result: ImportResult) -> None:
        if time.monotonic() - self._told_at >= _PROGRESS_EVERY_SECONDS:
            self._told_at = time.monotonic()
            self.progress(f"{result.read:,} rows read")
