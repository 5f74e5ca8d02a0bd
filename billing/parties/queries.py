"""Reading what tenants' invoices say of them."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from uuid import UUID

from billing.parties.domain.party import Recipient, address_lines
from billing.parties.domain.profile import BillingProfile
from billing.parties.models import BillingProfile as ProfileRow
from tenants.models import Tenant

_FIELDS = tuple(each.name for each in fields(BillingProfile))
_NOTHING = BillingProfile()


def profile_of(*, tenant_id: UUID) -> BillingProfile:
    """What a tenant gave; all empty where it gave nothing."""
    return profiles_of(tenant_ids=[tenant_id]).get(tenant_id, _NOTHING)


def profiles_of(*, tenant_ids: Collection[UUID]) -> Mapping[UUID, BillingProfile]:
    """What each of the tenants gave, by tenant id; those that gave nothing are left out. One query."""
    rows = ProfileRow.objects.filter(tenant_id__in=set(tenant_ids)).values("tenant_id", *_FIELDS)
    return {row.pop("tenant_id"): BillingProfile(**row) for row in rows}


def recipient_of(tenant: Tenant, profile: BillingProfile = _NOTHING) -> Recipient:
    """The tenant as the buyer of a document that is issued now."""
    structured = address_lines(
        street=profile.street,
        postal_code=profile.postal_code,
        city=profile.city,
        subdivision=profile.subdivision,
    )
    return Recipient(
        key=tenant.key,
        name=profile.legal_name or tenant.name,
        address=structured or tenant.address,
        street=profile.street,
        city=profile.city,
        postal_code=profile.postal_code,
        subdivision=profile.subdivision,
        country=tenant.country,
        tax_id=tenant.tax_id,
        registration_id=profile.registration_id,
        endpoint_scheme=profile.endpoint_scheme,
        endpoint_id=profile.endpoint_id,
        email=profile.contact_email or tenant.billing_email,
        reference=profile.reference,
        order_number=profile.order_number,
        exemption_reason=profile.exemption_reason,
        exemption_code=profile.exemption_code,
    )
