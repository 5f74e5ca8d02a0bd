"""Make an API key for a tenant; it is printed once."""

from typing import Any

from django.core.management.base import CommandParser

from kernel import clock
from kernel.errors import NotFound
from tenants.domain import KeyScope
from tenants.models import Tenant
from tenants.scope import system_scope
from tenants.services.api_keys import create_api_key
from work.commands import SummitCommand


class Command(SummitCommand):
    help = "Make an API key for a tenant. It is shown once and can't be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, metavar="KEY")
        parser.add_argument("--scope", required=True, choices=[scope.value for scope in KeyScope])
        parser.add_argument("--label", default="", help="What the key is for.")

    def handle(self, *args: Any, tenant: str, scope: str, label: str, **options: Any) -> None:
        with system_scope(purpose="create an API key", actor="command"):
            row = Tenant.objects.filter(key=tenant).first()
            if row is None:
                raise NotFound(
                    "tenant_not_found", f"There is no tenant {tenant!r}.", field="tenant"
                )
            key = create_api_key(
                tenant_id=row.id,
                scope=scope,
                label=label,
                now=clock.now(),
                actor="command:create_api_key",
            )
        self.emit({"key": key.text}, text=key.text)
