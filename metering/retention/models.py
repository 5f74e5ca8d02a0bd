"""The table of retention: which partitions of raw events were dropped."""

from django.db import models


class DroppedPartition(models.Model):
    """That a partition of raw events goes, written before its first row does.

    What is derived from events is not made anew for days whose events are gone. `dropped_at` is null
    until the table is gone, `forgotten_at` until its identities and batches are as well.
    """

    web_access = "none"
    jobs_access = "read"

    name = models.CharField(max_length=63, primary_key=True)
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField()
    bytes = models.BigIntegerField()
    decided_at = models.DateTimeField()
    dropped_at = models.DateTimeField(null=True)
    forgotten_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "metering_dropped_partition"

    def __str__(self) -> str:
        return f"dropped {self.name}"
