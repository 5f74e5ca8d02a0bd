"""List invoices with their lines."""

from datetime import date
from typing import Any

from django.core.management.base import CommandParser

from billing.invoicing.queries import InvoiceFilter, all_invoices
from billing.invoicing.representation import invoice_document
from kernel.errors import Invalid, NotFound
from tenants.models import Tenant
from tenants.scope import system_scope
from work.commands import SummitCommand, date_argument


class Command(SummitCommand):
    help = "List invoices with their lines, in the order of issue, tenant and number; drafts last."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", default="", metavar="KEY")
        parser.add_argument(
            "--from",
            dest="period_from",
            type=date_argument,
            metavar="DATE",
            help="Periods that start on or after this day of the invoice's zone.",
        )
        parser.add_argument(
            "--to",
            dest="period_to",
            type=date_argument,
            metavar="DATE",
            help="Periods that start before this day of the invoice's zone.",
        )

    def handle(
        self,
        *args: Any,
        tenant: str,
        period_from: date | None,
        period_to: date | None,
        **options: Any,
    ) -> None:
        if period_from and period_to and period_to < period_from:
            raise Invalid("end_before_start", "--to is before --from; swap them.", field="to")
        with system_scope(purpose="list invoices", actor="command"):
            if tenant and not Tenant.objects.filter(key=tenant).exists():
                raise NotFound(
                    "tenant_not_found", f"There is no tenant {tenant!r}.", field="tenant"
                )
            found = [
                invoice_document(detail)
                for detail in all_invoices(
                    wanted=InvoiceFilter(
                        tenant_key=tenant, period_from=period_from, period_to=period_to
                    )
                )
            ]
        self.emit(
            {"invoices": found},
            text="\n".join(
                f"{each['number'] or 'draft':<18} {each['tenant']:<24} {each['status']:<6}"
                f" {each['total']:>14} {each['currency']}  {each['period']['starts_at'][:10]}"
                for each in found
            )
            or "No invoices.",
        )
