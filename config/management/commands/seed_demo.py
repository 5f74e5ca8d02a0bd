"""Make the demo world in an empty database."""

import time
from datetime import date
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from config.demo.counting import counts
from config.demo.seeding import DemoRequest, seed_demo
from kernel import clock
from kernel.errors import Conflict
from work.commands import SummitCommand, date_argument


class Command(SummitCommand):
    help = (
        "Fill an empty database with the demo world: tenants, half a year of usage, invoices and "
        "payments, always the same for a seed and a last day. Stopped and started again it goes on. "
        "Logins are written to demo.json in SUMMIT_HOME."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        request = DemoRequest()
        parser.add_argument("--tenants", type=int, default=request.tenants, metavar="N")
        parser.add_argument(
            "--months",
            type=int,
            default=request.months,
            metavar="N",
            help="whole months of history",
        )
        parser.add_argument("--seed", type=int, default=request.seed, metavar="N")
        parser.add_argument(
            "--until", type=date_argument, metavar="DATE", help="last day (default: today)"
        )

    def handle(
        self, *args: Any, tenants: int, months: int, seed: int, until: date | None, **options: Any
    ) -> None:
        _refuse_beside_real_money()
        began = time.monotonic()
        world = seed_demo(
            request=DemoRequest(tenants=tenants, months=months, seed=seed, until=until),
            now=clock.now(),
            home=settings.SUMMIT_HOME,
            tell=self.progress,
        )
        self.emit({**counts(world), "seconds": round(time.monotonic() - began, 1)})


def _refuse_beside_real_money() -> None:
    """Raises Conflict `demo_with_live_payments` where cards are really charged."""
    if settings.STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_")):
        raise Conflict(
            "demo_with_live_payments",
            "STRIPE_SECRET_KEY is a live key, and demo data must not stand beside real money; "
            "start with SEED=none, or unset the key.",
        )
