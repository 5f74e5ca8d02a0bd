"""What tenants' invoices say of them."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from billing.parties.domain.profile import LONGEST
from kernel import clock
from tenants.models import Tenant


def _text(name: str) -> "models.CharField[str, str]":
    return models.CharField(max_length=LONGEST[name], blank=True, default="")


class BillingProfile(models.Model):
    """A tenant's own, in the words of `billing.parties.domain.profile`; a tenant without a row gave none."""

    tenant = models.OneToOneField(Tenant, models.PROTECT, primary_key=True, related_name="+")
    legal_name = _text("legal_name")
    street = _text("street")
    city = _text("city")
    postal_code = _text("postal_code")
    subdivision = _text("subdivision")
    registration_id = _text("registration_id")
    endpoint_scheme = _text("endpoint_scheme")
    endpoint_id = _text("endpoint_id")
    contact_email = _text("contact_email")
    reference = _text("reference")
    order_number = _text("order_number")
    exemption_reason = _text("exemption_reason")
    exemption_code = _text("exemption_code")
    changed_at = models.DateTimeField(default=clock.now)

    web_access = "write"
    jobs_access = "write"

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(endpoint_scheme="", endpoint_id="")
                | ~Q(endpoint_scheme="") & ~Q(endpoint_id=""),
                name="billing_profile_endpoint",
            ),
        ]

    def __str__(self) -> str:
        return self.legal_name or str(self.pk)
