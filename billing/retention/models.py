"""Rules of retention, legal holds, and the files that were removed.

The database holds it too (triggers): a rule only gets longer; a hold changes once, when it is lifted; a file goes only
with a row that says so, after its rule and while nothing holds it.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from billing.retention.domain import FileKind, RecordKind
from kernel import ids
from tenants.models import Tenant


class RetentionRule(models.Model):
    """How many whole years after the year of issue a kind of record is kept, where the seller's country says so;
    "" is every other country. `years` None: for ever."""

    country = models.CharField(max_length=2, blank=True)
    kind = models.CharField(max_length=16, choices=[(k.value, k.value) for k in RecordKind])
    years = models.PositiveSmallIntegerField(null=True)
    basis = models.CharField(max_length=300)

    web_access = "read"
    jobs_access = "renew"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["country", "kind"], name="billing_retention_rule_once"),
        ]

    def __str__(self) -> str:
        return f"{self.country} {self.kind}"


class LegalHold(models.Model):
    """Nothing of the tenant is removed while it stands, whatever the rules say."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    reason = models.CharField(max_length=300)
    set_by = models.CharField(max_length=254)
    set_at = models.DateTimeField()
    lifted_by = models.CharField(max_length=254, blank=True)
    lifted_at = models.DateTimeField(null=True)
    lift_reason = models.CharField(max_length=300, blank=True)

    web_access = "none"
    jobs_access = "renew"

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=~Q(reason="")
                & (
                    Q(lifted_at__isnull=True, lifted_by="", lift_reason="")
                    | Q(lifted_at__isnull=False) & ~Q(lifted_by="") & ~Q(lift_reason="")
                ),
                name="billing_legal_hold_lifted",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["tenant"], name="billing_legal_hold_stands", condition=Q(lifted_at=None)
            ),
        ]

    def __str__(self) -> str:
        return self.reason


class RemovedFile(models.Model):
    """That a file of a document is gone, and what it was; `sha256` is of its bytes."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, choices=[(k.value, k.value) for k in FileKind])
    file = models.UUIDField()
    document = models.UUIDField()
    name = models.CharField(max_length=120)
    sha256 = models.BinaryField(max_length=32)
    issued_on = models.DateField()
    country = models.CharField(max_length=2, blank=True)
    years = models.PositiveSmallIntegerField()
    retained_until = models.DateField()
    removed_at = models.DateTimeField()

    web_access = "read"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "file"], name="billing_removed_file_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "document"], name="billing_removed_file_of"),
            models.Index(fields=["-removed_at"], name="billing_removed_file_newest"),
        ]

    def __str__(self) -> str:
        return self.name
