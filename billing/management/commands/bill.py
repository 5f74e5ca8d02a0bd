"""Bill all that is due at an instant."""

import time
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from billing.invoicing.services.count_run import RunResult
from billing.invoicing.services.run_now import run_now
from billing.payments.services.pay_from_balance import pay_issued_from_balance
from kernel import clock
from work.commands import SummitCommand, instant_argument


class Command(SummitCommand):
    help = (
        "Draft the invoices that are due at an instant and, with --finalize, finalise those whose "
        "grace is over. Repeatable: what was done is not done again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--at", type=instant_argument, required=True, metavar="INSTANT")
        parser.add_argument(
            "--tenant",
            default="",
            metavar="KEY",
            help="Bill this tenant only; what was parked of it is tried again.",
        )
        parser.add_argument("--finalize", action="store_true")

    def handle(self, *args: Any, at: datetime, tenant: str, finalize: bool, **options: Any) -> None:
        began = time.monotonic()
        if at > clock.now():
            self.progress(
                f"{at.isoformat()} is ahead of the clock: its days are closed and billed as if they "
                "were over; what still arrives for them becomes a correction."
            )
        result = run_now(
            at=at,
            finalize=finalize,
            tenant_key=tenant,
            requested_by="command:bill",
            clock=clock.now,
            on_progress=self._show,
        )
        if finalize:
            # No worker need run: what is issued is paid from balances here.
            pay_issued_from_balance(issued_at=at)
        seconds = time.monotonic() - began
        self.emit(
            {
                "due": result.due,
                "drafted": result.drafted,
                "finalized": result.finalized,
                "unchanged": result.unchanged,
                "parked": [
                    {"tenant": each.tenant, "code": each.code, "detail": each.detail}
                    for each in result.parked
                ],
                "totals": {code: f"{money.amount:f}" for code, money in result.totals.items()},
                "seconds": round(seconds, 3),
            },
            failed=bool(result.parked),
        )

    def _show(self, result: RunResult) -> None:
        self.progress(f"{result.drafted} drafted, {result.finalized} finalised")
