"""Say what a tenant's own standing means for its taxes."""

from typing import Any

from django.core.management.base import CommandParser

from kernel import clock
from kernel.decimals import parse_decimal, plain_text
from kernel.errors import NotFound
from tenants.domain import TaxTreatment
from tenants.models import Tenant
from tenants.scope import system_scope
from tenants.services.set_tax import TaxStanding, set_tax, standing_of
from work.commands import SummitCommand


class Command(SummitCommand):
    help = (
        "Show what a tenant's record says of its taxes, or change what is given. Treatments: "
        "taxable (by the dated rates), exempt, reverse_charge; empty says nothing, and then plan "
        "and price decide."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", required=True, metavar="KEY")
        parser.add_argument("--country", help="Two letters, such as DE.")
        parser.add_argument("--tax-id", dest="tax_id")
        parser.add_argument("--treatment", choices=[each.value for each in TaxTreatment])
        parser.add_argument("--percent", help="A percentage of its own; empty takes it away.")

    def handle(
        self,
        *args: Any,
        tenant: str,
        country: str | None,
        tax_id: str | None,
        treatment: str | None,
        percent: str | None,
        **options: Any,
    ) -> None:
        with system_scope(purpose="set a tenant's tax", actor="command"):
            row = Tenant.objects.filter(key=tenant).first()
            if row is None:
                raise NotFound(
                    "tenant_not_found", f"There is no tenant {tenant!r}.", field="tenant"
                )
            held = standing_of(row)
            if percent is not None:
                wanted = parse_decimal(percent, field="percent") if percent else None
            else:
                wanted = held.percent
            standing = TaxStanding(
                country=held.country if country is None else country,
                tax_id=held.tax_id if tax_id is None else tax_id,
                treatment=held.treatment if treatment is None else TaxTreatment(treatment),
                percent=wanted,
            )
            set_tax(
                tenant_key=tenant,
                standing=standing,
                now=clock.now(),
                actor="command:set_tenant_tax",
            )
        self.emit(
            {
                "tenant": tenant,
                "country": standing.country,
                "tax_id": standing.tax_id,
                "treatment": standing.treatment.value,
                "percent": None if standing.percent is None else plain_text(standing.percent),
            }
        )
