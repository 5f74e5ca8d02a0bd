"""What a meter would count of an app's stored events, before it is loaded."""

from argparse import ArgumentParser
from typing import Any

from metering.management.commands.load_meters import read_meters
from metering.meters.domain.definition import read_definition
from metering.queries import previewed_usage, shown_app
from tenants.scope import system_scope
from work.commands import CommandFault, SummitCommand, date_argument


class Command(SummitCommand):
    help = (
        "Print what a meter's definition would have counted of one app's stored events, by day; it "
        "need not be loaded, and counts from whatever day."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", help="JSON file with one meter, or - for stdin")
        parser.add_argument("--app", required=True, help="the app's key")
        parser.add_argument(
            "--from", dest="from_day", type=date_argument, required=True, help="first day"
        )
        parser.add_argument(
            "--to", dest="to_day", type=date_argument, required=True, help="the day after the last"
        )

    def handle(self, *args: Any, file: str, **options: Any) -> None:
        documents = read_meters(file)
        if len(documents) != 1:
            raise CommandFault(f"{file} must hold one meter.", code="not_a_meter")
        meter = read_definition(documents[0]).meter
        with system_scope(purpose="preview a meter"):
            app = shown_app(key=options["app"])
            rows = previewed_usage(
                meter=meter,
                tenant_id=app.tenant_id,
                app_id=app.id,
                from_day=options["from_day"],
                to_day=options["to_day"],
            )
        self.emit(
            {
                "app": app.key,
                "meter": meter.key,
                "timezone": app.timezone,
                "days": [
                    {"day": row.day, "dimensions": row.kind, "value": row.value} for row in rows
                ],
            }
        )
