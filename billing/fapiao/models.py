"""Fapiao: what is sold and to whom they are issued, what was asked for, and the files that came.

A request is frozen when it is made; a trigger lets only its state and the platform's answer be
written, and holds the sums: per invoice never more blue less red than was billed, per blue one never
more red than it says.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from billing.fapiao.domain.states import (
    LIVING,
    BuyerType,
    FapiaoColor,
    FapiaoKind,
    FapiaoState,
    RedReason,
)
from billing.invoicing.models import CreditNote, Invoice, Seller
from kernel import clock, ids
from tenants.models import Tenant


class FapiaoProductName(models.Model):
    """What a category of products is called in the tax classification; "" is every other category."""

    seller = models.ForeignKey(Seller, models.PROTECT, related_name="+")
    category = models.CharField(max_length=100, blank=True)
    name = models.CharField(max_length=92)
    code = models.CharField(max_length=19)
    unit = models.CharField(max_length=20, blank=True)
    specification = models.CharField(max_length=40, blank=True)

    web_access = "read"
    jobs_access = "write"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["seller", "category"], name="billing_fapiao_product_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class FapiaoBuyer(models.Model):
    """For whom a tenant's fapiao are issued, and of which kind."""

    tenant = models.OneToOneField(Tenant, models.PROTECT, primary_key=True, related_name="+")
    kind = models.CharField(max_length=16, choices=[(k.value, k.value) for k in FapiaoKind])
    buyer_type = models.CharField(max_length=16, choices=[(b.value, b.value) for b in BuyerType])
    name = models.CharField(max_length=100)
    tax_id = models.CharField(max_length=20, blank=True)
    address = models.CharField(max_length=100, blank=True)
    phone = models.CharField(max_length=100, blank=True)
    bank = models.CharField(max_length=100, blank=True)
    bank_account = models.CharField(max_length=100, blank=True)
    email = models.CharField(max_length=254, blank=True)
    changed_at = models.DateTimeField(default=clock.now)

    web_access = "write"
    jobs_access = "read"

    def __str__(self) -> str:
        return self.name


class Fapiao(models.Model):
    """One request to the tax platform, which knows it by `request_id`; amounts are in fen.

    A red one takes back (a part of) the blue one `of`: what its credit note gives back, or, where it was
    issued in error, all that is left. `nets` are the ids of the credit notes that a blue one took off
    already. `number` is the platform's, with 20 digits.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="+")
    color = models.CharField(max_length=8, choices=[(c.value, c.value) for c in FapiaoColor])
    of = models.ForeignKey("self", models.PROTECT, null=True, related_name="+")
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, null=True, related_name="+")
    reason = models.CharField(
        max_length=24, blank=True, choices=[(r.value, r.value) for r in RedReason]
    )
    content = models.JSONField()
    nets = models.JSONField(default=list)
    net_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField()
    total_minor = models.BigIntegerField()
    currency = models.CharField(max_length=3, default="CNY")
    requested_by = models.CharField(max_length=254)
    requested_at = models.DateTimeField()
    state = models.CharField(
        max_length=16,
        choices=[(s.value, s.value) for s in FapiaoState],
        default=FapiaoState.REQUESTED,
    )
    submitted_at = models.DateTimeField(null=True)
    number = models.CharField(max_length=20, null=True, unique=True)
    issued_on = models.DateField(null=True)
    confirmation = models.CharField(max_length=64, blank=True)
    failure_code = models.CharField(max_length=64, blank=True)
    failure_detail = models.CharField(max_length=500, blank=True)
    finished_at = models.DateTimeField(null=True)

    web_access = "append"
    jobs_access = "write"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "id"], name="billing_fapiao_tenant_id"),
            models.UniqueConstraint(
                fields=["tenant", "credit_note"],
                condition=Q(state__in=sorted(LIVING)),
                name="billing_fapiao_once_a_note",
            ),
            models.CheckConstraint(
                condition=Q(
                    state="issued",
                    number__isnull=False,
                    issued_on__isnull=False,
                    finished_at__isnull=False,
                )
                | Q(state="failed", number__isnull=True, finished_at__isnull=False)
                & ~Q(failure_code="")
                | Q(
                    state__in=["requested", "submitted", "confirmed"],
                    number__isnull=True,
                    finished_at__isnull=True,
                ),
                name="billing_fapiao_state",
            ),
            models.CheckConstraint(
                condition=Q(color="blue", of__isnull=True, credit_note__isnull=True, reason="")
                | Q(color="red", of__isnull=False) & ~Q(reason=""),
                name="billing_fapiao_color",
            ),
            models.CheckConstraint(
                condition=Q(net_minor__gt=0, tax_minor__gte=0)
                & Q(total_minor=F("net_minor") + F("tax_minor"), currency="CNY"),
                name="billing_fapiao_adds_up",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-requested_at"], name="billing_fapiao_recent"),
            models.Index(fields=["-requested_at"], name="billing_fapiao_newest"),
        ]

    def __str__(self) -> str:
        return self.number or self.request_id

    @property
    def request_id(self) -> str:
        """What makes a second call with it no second fapiao; at most 100 characters."""
        return f"summit-{self.id.hex}"


class FapiaoFile(models.Model):
    """A file of an issued fapiao, as it came."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    fapiao = models.ForeignKey(Fapiao, models.PROTECT, related_name="files")
    media_type = models.CharField(max_length=100)
    content = models.BinaryField()
    sha256 = models.BinaryField(max_length=32)
    received_at = models.DateTimeField()

    web_access = "read"
    jobs_access = "keep"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "fapiao", "media_type"], name="billing_fapiao_file_once"
            ),
        ]

    def __str__(self) -> str:
        return f"file {self.pk}"
