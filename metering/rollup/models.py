"""Tables of roll-up: who was active, how much was used, and what was corrected after the close."""

from typing import ClassVar

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now

from kernel.dimensions import LONGEST_TEXT


class ActiveUser(models.Model):
    """A mark: this user (keyed hash) was active in this app on this local day.

    `marked_at` is by the database's clock, for finding the marks of the last minutes: rows lie in its order.
    """

    web_access = "read"
    jobs_access = "write"

    pk = models.CompositePrimaryKey("tenant_id", "app_id", "day", "user_hash")
    tenant_id = models.UUIDField()
    app_id = models.UUIDField()
    day = models.DateField()
    user_hash = models.BinaryField(max_length=16)
    marked_at = models.DateTimeField(null=True, db_default=Now())

    class Meta:
        db_table = "metering_active_user"
        indexes: ClassVar = [
            BrinIndex(
                fields=["marked_at"],
                name="metering_active_user_marked",
                autosummarize=True,
            ),
        ]

    def __str__(self) -> str:
        return f"active on {self.day}"


class Mark(models.Model):
    """A mark of any other distinct meter: this identity (keyed hash of a user, a device or both)
    counts in this app on this day of the meter."""

    web_access = "read"
    jobs_access = "write"

    pk = models.CompositePrimaryKey("tenant_id", "app_id", "meter", "day", "identity")
    tenant_id = models.UUIDField()
    app_id = models.UUIDField()
    meter = models.CharField(max_length=64, db_collation="C")
    day = models.DateField()
    identity = models.BinaryField(max_length=32)

    class Meta:
        db_table = "metering_mark"

    def __str__(self) -> str:
        return f"{self.meter} on {self.day}"


class Reading(models.Model):
    """Which reading of a gauge is the value of one app, combination of dimensions and day.

    The highest, or the last by its time and then by arrival, whatever the order in which they are
    folded. `previous` is the value that it replaced, if any, so that a closed day is corrected
    by the difference. Follows late events too: daily usage with its corrections equals `value`.
    """

    web_access = "read"
    jobs_access = "write"

    pk = models.CompositePrimaryKey("tenant_id", "app_id", "meter", "day", "kind")
    tenant_id = models.UUIDField()
    app_id = models.UUIDField()
    meter = models.CharField(max_length=64, db_collation="C")
    day = models.DateField()
    kind = models.CharField(max_length=LONGEST_TEXT, db_collation="C", default="")
    value = models.DecimalField(max_digits=38, decimal_places=12)
    previous = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    batch_id = models.UUIDField()
    position = models.IntegerField()

    class Meta:
        db_table = "metering_reading"

    def __str__(self) -> str:
        return f"{self.meter} on {self.day}"


class DailyUsage(models.Model):
    """The exact value of a meter for one app, combination of dimensions and local day, as of the
    day's close.

    `kind` is the canonical text of the dimensions that the meter keeps (`kernel.dimensions`): the
    kind itself where nothing else is told. A trigger refuses every change to a closed day; see
    `Correction`.
    """

    web_access = "read"
    jobs_access = "write"
    insert_where = change_where = "metering_is_open(tenant_id, day)"

    pk = models.CompositePrimaryKey("tenant_id", "app_id", "meter", "day", "kind")
    tenant_id = models.UUIDField()
    app_id = models.UUIDField()
    meter = models.CharField(max_length=64, db_collation="C")
    day = models.DateField()
    kind = models.CharField(max_length=LONGEST_TEXT, db_collation="C", default="")
    value = models.DecimalField(max_digits=38, decimal_places=12)

    class Meta:
        db_table = "metering_daily_usage"
        indexes: ClassVar = [
            models.Index(fields=["tenant_id", "day"], name="metering_daily_usage_day"),
        ]

    def __str__(self) -> str:
        return f"{self.meter} on {self.day}"


class MonthUser(models.Model):
    """That this user (keyed hash) was active in this app in a month of which `MonthDay` tells the days."""

    web_access = "read"
    jobs_access = "write"

    pk = models.CompositePrimaryKey("tenant_id", "app_id", "month", "user_hash")
    tenant_id = models.UUIDField()
    app_id = models.UUIDField()
    month = models.DateField()
    user_hash = models.BinaryField(max_length=16)

    class Meta:
        db_table = "metering_month_user"

    def __str__(self) -> str:
        return f"active in {self.month}"


class MonthDay(models.Model):
    """That a day's active users are among those of its month, as the day stood at `value`.

    `added` is by how many different users the month grew with it (of days that were added together, the
    earliest has them all). A day whose daily usage, corrections included, is no longer `value` is added
    once more; what it brings is new then. `gathered_at` is by the database's clock: marks that were
    committed before are among the month's; null where that is not known.
    """

    web_access = "read"
    jobs_access = "write"

    pk = models.CompositePrimaryKey("tenant_id", "app_id", "day")
    tenant_id = models.UUIDField()
    app_id = models.UUIDField()
    day = models.DateField()
    value = models.DecimalField(max_digits=38, decimal_places=12)
    added = models.BigIntegerField()
    gathered_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "metering_month_day"

    def __str__(self) -> str:
        return f"{self.day} within its month"


class Correction(models.Model):
    """A dated change of a closed day: what arrived, or was found wrong, after its close."""

    web_access = "read"
    jobs_access = "append"
    change_where = "false"

    pk = models.CompositePrimaryKey("tenant_id", "id")
    tenant_id = models.UUIDField()
    id = models.UUIDField()
    app_id = models.UUIDField()
    meter = models.CharField(max_length=64, db_collation="C")
    day = models.DateField()
    kind = models.CharField(max_length=LONGEST_TEXT, db_collation="C", default="")
    delta = models.DecimalField(max_digits=38, decimal_places=12)
    recorded_at = models.DateTimeField()
    reason = models.CharField(max_length=200)

    class Meta:
        db_table = "metering_correction"
        indexes: ClassVar = [
            models.Index(
                fields=["tenant_id", "app_id", "meter", "day"], name="metering_correction_day"
            ),
            BrinIndex(fields=["recorded_at"], name="metering_correction_time"),
        ]

    def __str__(self) -> str:
        return f"correction of {self.meter} on {self.day}"


class Watermark(models.Model):
    """All local days of the tenant before `closed_until` are closed, with usage or without.

    The row is also the lock between roll-up (share) and close (update). Null: nothing is closed.
    `moved_from` is what `closed_until` was before it was moved last: a close digests the days between.
    """

    web_access = "read"
    jobs_access = "write"

    tenant_id = models.UUIDField(primary_key=True)
    closed_until = models.DateField(null=True)
    moved_at = models.DateTimeField(null=True)
    moved_from = models.DateField(null=True)

    class Meta:
        db_table = "metering_watermark"

    def __str__(self) -> str:
        return f"closed until {self.closed_until}"
