"""The daily usage of one app, everything committed before counted in."""

from argparse import ArgumentParser
from typing import Any

from kernel import clock
from kernel.dimensions import DIMENSIONS
from kernel.errors import DomainError
from metering.meters.domain import METERS, refuse_unknown_dimensions
from metering.queries import find_meter, shown_app, usage_shown
from metering.rollup.services.roll_up import roll_up_pending
from tenants.scope import system_scope
from work.commands import SummitCommand, WrongUse, date_argument


class Command(SummitCommand):
    help = "Print the daily usage of one app; days without usage are left out."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--app", required=True, help="the app's key")
        parser.add_argument("--meter", required=True, help=", ".join(METERS))
        parser.add_argument(
            "--from", dest="from_day", type=date_argument, required=True, help="first local day"
        )
        parser.add_argument(
            "--to",
            dest="to_day",
            type=date_argument,
            required=True,
            help="the local day after the last one",
        )

        parser.add_argument(
            "--by",
            default="",
            help="tell the values apart by these properties, with commas: " + ", ".join(DIMENSIONS),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        from_day, to_day = options["from_day"], options["to_day"]
        try:
            with system_scope(purpose="usage"):
                meter = find_meter(options["meter"])
            by = [name.strip() for name in options["by"].split(",") if name.strip()]
            refuse_unknown_dimensions(meter, by, field="by")
        except DomainError as error:
            raise WrongUse(error.message, code=error.code, field=error.field) from error
        if to_day <= from_day:
            raise WrongUse(
                "--to must be a later day than --from; it is excluded.",
                code="end_before_start",
                field="to",
            )
        with system_scope(purpose="usage"):
            app = shown_app(key=options["app"])
        roll_up_pending(now=clock.now(), tenant_ids=[app.tenant_id])
        with system_scope(purpose="usage"):
            days = usage_shown(apps=[app], meter=meter.key, from_day=from_day, to_day=to_day, by=by)
        self.emit(
            {
                "app": app.key,
                "meter": meter.key,
                "timezone": app.timezone,
                "days": [
                    {
                        "day": each.day,
                        **{name: each.dimensions.get(name, "") for name in by},
                        "value": each.value,
                        "state": each.state,
                    }
                    for each in days
                ],
            }
        )
