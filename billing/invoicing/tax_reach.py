"""Whom a rate of tax may concern: tenants of a country, and their drafts. In a cross-tenant scope."""

from dataclasses import dataclass

from django.db.models import Q

from billing.invoicing.contracts import SELLER
from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.models import Invoice, Seller
from billing.taxes.domain.rules import Supply
from tenants.models import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxReach:
    """How many tenants are where the rate may hold, and how many drafts of theirs are rated anew."""

    tenants: int
    drafts: int


def tax_reach(*, jurisdiction: str, supply: Supply) -> TaxReach:
    """Whether a price or plan of theirs has the rate's category is told by the next draft. A tenant
    without a country counts as in the seller's."""
    seller = Seller.objects.get(code=SELLER).country
    if supply is Supply.OUTBOUND:
        concerned = ~Q(country__in=["", jurisdiction]) if jurisdiction == seller else Q(pk__in=[])
    elif (supply is Supply.DOMESTIC) != (jurisdiction == seller):
        concerned = Q(pk__in=[])
    else:
        concerned = Q(country=jurisdiction)
        if supply is Supply.DOMESTIC:
            concerned |= Q(country="")
        elif supply is Supply.INBOUND_BUSINESS:
            concerned &= ~Q(tax_id="")
        else:
            concerned &= Q(tax_id="")
    tenants = Tenant.objects.filter(concerned)
    return TaxReach(
        tenants=tenants.count(),
        drafts=Invoice.objects.filter(
            status=InvoiceStatus.DRAFT, tenant__in=tenants.values("id")
        ).count(),
    )
