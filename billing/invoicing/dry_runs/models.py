"""What a dry run found; made once, never changed."""

from typing import ClassVar

from django.db import models

from billing.invoicing.dry_runs.domain import Reason
from kernel import ids
from tenants.models import Tenant


class ExpectedTotal(models.Model):
    """What a dry run expects to be billed to a tenant in one currency, beside what the same subscriptions
    were billed by as many documents before. In minor units, with tax."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    run = models.ForeignKey("billing.BillingRun", models.PROTECT, related_name="+")
    currency = models.CharField(max_length=3)
    documents = models.IntegerField()
    total_minor = models.BigIntegerField()
    before_documents = models.IntegerField()
    before_minor = models.BigIntegerField()
    reason = models.CharField(max_length=16, choices=[(each.value, each.value) for each in Reason])

    web_access = "none"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "run", "currency"], name="billing_expected_total_once"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["run", "currency"])]

    def __str__(self) -> str:
        return f"expected of {self.tenant_id} in run {self.run_id}"
