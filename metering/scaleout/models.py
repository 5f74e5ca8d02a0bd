"""The table of scale-out: what the workers of a cluster know about closed days."""

from django.db import models


class ClosedUntil(models.Model):
    """A tenant's `Watermark.closed_until` as the nodes that keep its daily usage see it; without rows
    unless the tables are distributed.

    The watermark itself, which is locked across tenants, stays on the coordinator, and a trigger there
    writes this. `metering_is_open` reads it on the node where the tenant's rows are.
    """

    web_access = "none"
    jobs_access = "renew"
    insert_where = "metering_is_open(tenant_id, closed_until)"  # only forward

    tenant_id = models.UUIDField(primary_key=True)
    closed_until = models.DateField()

    class Meta:
        db_table = "metering_closed_until"

    def __str__(self) -> str:
        return f"closed until {self.closed_until}"
