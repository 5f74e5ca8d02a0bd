"""Who a statement is from and for, as they stand now."""

from uuid import UUID

from billing.invoicing.documents import Party
from billing.invoicing.models import Invoice, Seller
from tenants.models import Tenant


def issuer_for(*, tenant_id: UUID) -> Party:
    """The seller of the tenant's newest invoice; of a tenant without one, the default."""
    newest = (
        Invoice.objects.filter(tenant_id=tenant_id, number__isnull=False)
        .select_related("seller")
        .order_by("-issued_at")
        .first()
    )
    seller = Seller.objects.get(pk="default") if newest is None else newest.seller
    return Party(
        name=seller.name, address=seller.address, country=seller.country, tax_id=seller.tax_id
    )


def recipient_of(tenant: Tenant) -> Party:
    """The tenant."""
    return Party(
        name=tenant.name,
        address=tenant.address,
        country=tenant.country,
        tax_id=tenant.tax_id,
        email=tenant.billing_email,
        reference=tenant.key,
    )
