"""Tables of the recount: what each day came to, how far it went, and values that no event tells."""

from django.db import models

from kernel.dimensions import LONGEST_TEXT


class UsageRecount(models.Model):
    """What a closed day came to when it was counted anew; outlives the events that it was counted from."""

    web_access = "read"
    jobs_access = "write"

    pk = models.CompositePrimaryKey("tenant_id", "day", "app_id", "meter", "kind")
    tenant_id = models.UUIDField()
    day = models.DateField()
    app_id = models.UUIDField()
    meter = models.CharField(max_length=64, db_collation="C")
    kind = models.CharField(max_length=LONGEST_TEXT, db_collation="C", default="")
    value = models.DecimalField(max_digits=38, decimal_places=12)
    recounted_at = models.DateTimeField()

    class Meta:
        db_table = "metering_usage_recount"

    def __str__(self) -> str:
        return f"recount of {self.meter} on {self.day}"


class RecountedDays(models.Model):
    """All days of the tenant from `recounted_from` (null: from ever) until before `recounted_until` are
    counted anew. A day without a row of `UsageRecount` came to nothing.

    The row is also the lock of those who recount the tenant's days. `recounted_from` is set for tenants
    that had closed days before there was a recount.
    """

    web_access = "read"
    jobs_access = "write"

    tenant_id = models.UUIDField(primary_key=True)
    recounted_from = models.DateField(null=True)
    recounted_until = models.DateField(null=True)

    class Meta:
        db_table = "metering_recounted_days"

    def __str__(self) -> str:
        return f"recounted until {self.recounted_until}"


class CorrectedRecount(models.Model):
    """How many corrections a day had when it was counted anew; no row: none.

    Corrections are only ever added: a day with more of them is to be counted once more, whatever clocks
    said.
    """

    web_access = "read"
    jobs_access = "write"

    pk = models.CompositePrimaryKey("tenant_id", "day")
    tenant_id = models.UUIDField()
    day = models.DateField()
    corrections = models.IntegerField()

    class Meta:
        db_table = "metering_corrected_recount"

    def __str__(self) -> str:
        return f"recount of {self.day} with {self.corrections} corrections"


class StatedUsage(models.Model):
    """That a day's value was said to be `value`, for what is counted elsewhere or corrected by hand: raw
    data like events. What is said later takes its place.

    `counted` is what the events came to by then, so that what they come to since counts on top; of a
    gauge the readings that arrived before (`stated_at`, then `id`) count no longer.
    """

    web_access = "none"
    jobs_access = "write"

    pk = models.CompositePrimaryKey("tenant_id", "app_id", "meter", "day", "kind")
    tenant_id = models.UUIDField()
    app_id = models.UUIDField()
    meter = models.CharField(max_length=64, db_collation="C")
    day = models.DateField()
    kind = models.CharField(max_length=LONGEST_TEXT, db_collation="C", default="")
    value = models.DecimalField(max_digits=38, decimal_places=12)
    counted = models.DecimalField(max_digits=38, decimal_places=12)
    stated_at = models.DateTimeField()
    id = models.UUIDField()

    class Meta:
        db_table = "metering_stated_usage"

    def __str__(self) -> str:
        return f"stated {self.meter} on {self.day}"
