"""Offer a private plan to a tenant."""

from typing import Any

from django.core.management.base import CommandParser

from billing.catalog.services.offer_plan import offer_plan
from kernel import clock
from tenants.queries import tenant_profile
from tenants.scope import system_scope
from work.commands import SummitCommand


class Command(SummitCommand):
    help = "Let a tenant see and take a private plan; offering it again does nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, metavar="KEY")
        parser.add_argument("--plan", required=True, metavar="KEY")

    def handle(self, *args: Any, tenant: str, plan: str, **options: Any) -> None:
        with system_scope(purpose="offer a plan", actor="command"):
            offer_plan(
                tenant_id=tenant_profile(key=tenant).id,
                plan_key=plan,
                now=clock.now(),
                actor="command:offer_plan",
            )
        self.emit({"tenant": tenant, "plan": plan})
