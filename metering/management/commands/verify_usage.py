"""Hold a log against the proof of a closed day."""

import json
from argparse import ArgumentParser
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from kernel import clock
from kernel.errors import Invalid
from metering.proof.queries import proof_document, provable_meter, tenant_user_key
from metering.proof.services.prove_days import prove_day
from metering.proof.verify_usage import COLUMNS, CannotVerify, check
from metering.queries import shown_app, usage
from tenants.scope import system_scope
from work.commands import SummitCommand, WrongUse, date_argument


class Command(SummitCommand):
    help = (
        "Recompute from a log how many users of an app were counted on a closed day, and the root over "
        "them, and compare both with the signed proof: the one of --app and --day, or of the file "
        "--proof. The same as the standalone verify_usage.py."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("log", help="the log: .csv or .ndjson, plain or .gz; one row an event")
        parser.add_argument(
            "--columns", default=COLUMNS, help=f"of a CSV file (default: {COLUMNS})"
        )
        parser.add_argument("--app", default="", help="the app's key")
        parser.add_argument("--day", type=date_argument, help="the closed local day")
        parser.add_argument("--meter", default="dau", help="the meter (default: dau)")
        parser.add_argument(
            "--proof", default="", help="a proof as the API gave it, instead of --app"
        )
        parser.add_argument("--hashes", default="", help="the list of hashes, to see who differs")
        parser.add_argument("--user", default="", help="tell whether this user was counted")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["proof"]) == bool(options["app"] and options["day"]):
            raise WrongUse("Give --app with --day, or --proof.")
        try:
            proof = (
                json.loads(Path(options["proof"]).read_text(encoding="utf-8"))
                if options["proof"]
                else _stored_proof(options)
            )
            found = check(
                proof=proof,
                log=Path(options["log"]),
                columns=options["columns"],
                hashes=Path(options["hashes"]) if options["hashes"] else None,
                user=options["user"],
            )
        except (OSError, ValueError, RecursionError, CannotVerify) as error:
            raise WrongUse(str(error), code="cannot_verify") from error
        self.emit(found, failed=bool(found["faults"]))


def _stored_proof(options: dict[str, Any]) -> dict[str, Any]:
    day = options["day"]
    with system_scope(purpose="verify usage"):
        app = shown_app(key=options["app"])
        try:
            meter = provable_meter(options["meter"]).marks
        except Invalid as error:
            raise WrongUse(error.message, code=error.code, field=error.field) from error
        proof = prove_day(
            tenant_id=app.tenant_id, app_id=app.id, meter=meter, day=day, now=clock.now()
        )
        rows = usage(
            tenant_ids=[app.tenant_id], meters=[meter], from_day=day, to_day=day + timedelta(days=1)
        )
        return proof_document(
            proof=proof,
            app=app.key,
            value=sum((row.value for row in rows if row.app_id == app.id), Decimal(0)),
            key=tenant_user_key(tenant_id=app.tenant_id),
        )
