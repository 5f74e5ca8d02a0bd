"""Bill all that is due at an instant."""

import time
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.core.management.base import CommandParser

from billing.invoicing.dry_runs.queries import differences, movers
from billing.invoicing.services.count_run import RunResult
from billing.invoicing.services.run_now import run_now
from billing.payments.services.pay_from_balance import pay_issued_from_balance
from kernel import clock
from tenants.scope import system_scope
from work.commands import SummitCommand, instant_argument

_MOVERS: Final = 20
"""So many of a dry run's tenants are told; the console lists them all."""


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
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Bill nothing: tell what it would come to, and the difference to the period before.",
        )

    def handle(
        self,
        *args: Any,
        at: datetime,
        tenant: str,
        finalize: bool,
        dry_run: bool,
        **options: Any,
    ) -> None:
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
            dry=dry_run,
            requested_by="command:bill",
            clock=clock.now,
            on_progress=self._show,
        )
        if finalize and not dry_run:
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
                **(_differences(result.run_id) if dry_run else {}),
            },
            failed=bool(result.parked),
        )

    def _show(self, result: RunResult) -> None:
        self.progress(f"{result.drafted} drafted, {result.finalized} finalised")


def _differences(run_id: UUID) -> dict[str, Any]:
    """What a dry run found beside the period before; the tenants that move most first."""
    with system_scope(purpose="bill", actor="command:bill"):
        return {
            "dry_run": str(run_id),
            "difference": {
                each.currency: {
                    "before": f"{each.before.amount:f}",
                    "now": f"{each.now.amount:f}",
                    "difference": f"{each.difference.amount:f}",
                    "documents": each.documents,
                    "before_documents": each.before_documents,
                    "up": each.up,
                    "down": each.down,
                    "same": each.same,
                    "new": each.new,
                    "gone": each.gone,
                }
                for each in differences(run_id=run_id)
            },
            "movers": [
                {
                    "tenant": each.tenant_key,
                    "currency": each.now.currency,
                    "before": f"{each.before.amount:f}",
                    "now": f"{each.now.amount:f}",
                    "difference": f"{each.difference.amount:f}",
                    "percent": None if each.percent is None else f"{each.percent:f}",
                    "reason": each.reason.value,
                }
                for each in movers(run_id=run_id, limit=_MOVERS)
            ],
        }
