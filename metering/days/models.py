"""The table of days: one row for a closed local day that had usage."""

from django.db import models


class DayClose(models.Model):
    """That a tenant's local day was closed, and a digest of its daily usage as it then stood."""

    web_access = "read"
    jobs_access = "append"
    change_where = "false"

    pk = models.CompositePrimaryKey("tenant_id", "day")
    tenant_id = models.UUIDField()
    day = models.DateField()
    closed_at = models.DateTimeField()
    rows = models.IntegerField()
    digest = models.BinaryField(max_length=32)

    class Meta:
        db_table = "metering_day_close"

    def __str__(self) -> str:
        return f"close of {self.day}"
