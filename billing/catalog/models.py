"""What is sold: plans, and the frozen wording of each of their versions."""

from typing import ClassVar

from django.db import models

from kernel import clock, ids
from tenants.models import Tenant


class Plan(models.Model):
    """A plan by its key; its terms are in its versions.

    `is_private`, as its newest version says: only tenants to which it was offered, or which hold it,
    may know of it.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    key = models.CharField(max_length=100, unique=True)
    is_private = models.BooleanField(default=False, db_default=False)
    created_at = models.DateTimeField(default=clock.now)

    web_access = "read"

    def __str__(self) -> str:
        return self.key


class PlanVersion(models.Model):
    """One wording of a plan, never changed after it is stored (trigger).

    `document` is the plan of contract section 5; `content_hash` is the SHA-256 of its canonical
    form, so that loading the same plan again makes no new version.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    content_hash = models.BinaryField(max_length=32)
    effective_from = models.DateField(null=True)
    created_at = models.DateTimeField(default=clock.now)

    web_access = "read"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["plan", "number"], name="billing_plan_version_once"),
        ]

    def __str__(self) -> str:
        return f"{self.plan_id} v{self.number}"


class PlanOffer(models.Model):
    """A tenant may see and take this private plan."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="+")
    offered_at = models.DateTimeField()

    web_access = "read"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "plan"], name="billing_plan_offer_once"),
        ]

    def __str__(self) -> str:
        return f"offer of {self.plan_id}"
