"""Tables of ingest. Rows are facts: written once, never changed.

Keys begin with the tenant so that the tables can be distributed by it, and hold the time of
arrival where a table will be partitioned by it. Text keys are compared by bytes (collation "C").
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q

from kernel.dimensions import LONGEST_TEXT


class EventIdentity(models.Model):
    """That an event was accepted: its tenant, and 16 bytes that stand for source and id, whatever
    its time (`metering.ingest.domain.identity`).

    A table of its own, because the unique key of a partitioned table must hold its time; the identity
    comes first in its key, since one comparison of 16 random bytes finds the place. `digest` is a keyed
    hash of the content, by which another event under the same id is told from a resend.
    """

    web_access = "append"
    jobs_access = "append"

    pk = models.CompositePrimaryKey("identity", "tenant_id")
    identity = models.UUIDField()
    tenant_id = models.UUIDField()
    digest = models.UUIDField()
    received_at = models.DateTimeField()

    class Meta:
        db_table = "metering_event_identity"
        indexes: ClassVar = [
            # Small, and enough to find what is to be forgotten: rows lie in the order of arrival.
            BrinIndex(fields=["received_at"], name="metering_identity_arrival"),
        ]

    def __str__(self) -> str:
        return f"event {self.identity}"


class EventGroup(models.Model):
    """The events of one batch that have an app, day, source, type and dimensions in common.

    What each has of its own stands in arrays of one length. `counts` is null where all are 1,
    `devices` and `readings` where none has any, and `places` where the events of the batch stand in
    no other group. `day` is the local day in the tenant's zone, cut by Python's zone data at ingest, so
    that all later steps group by it and agree. Partitioned by the month of arrival. Read as single
    events by `metering.ingest.stored.EVENTS`.
    """

    web_access = "append"
    jobs_access = "append"

    pk = models.CompositePrimaryKey("tenant_id", "received_at", "batch_id", "number")
    tenant_id = models.UUIDField()
    received_at = models.DateTimeField()
    batch_id = models.UUIDField()
    number = models.IntegerField()
    app_id = models.UUIDField()
    source = models.CharField(max_length=200, db_collation="C")
    type = models.CharField(max_length=100, db_collation="C")
    kind = models.CharField(max_length=LONGEST_TEXT, db_collation="C", default="")
    day = models.DateField()
    event_ids = ArrayField(models.TextField())
    times = ArrayField(models.DateTimeField())
    users = ArrayField(models.UUIDField(null=True))
    counts = ArrayField(models.BigIntegerField(), null=True)
    devices = ArrayField(models.UUIDField(null=True), null=True)
    readings = ArrayField(
        models.DecimalField(max_digits=38, decimal_places=12, null=True), null=True
    )
    places = ArrayField(models.IntegerField(), null=True)

    class Meta:
        db_table = "metering_event_group"
        indexes: ClassVar = [
            models.Index(fields=["tenant_id", "day"], name="metering_event_group_day"),
        ]

    def __str__(self) -> str:
        return f"events of batch {self.batch_id}"


class EventKey(models.Model):
    """The identity of an event as it was kept before `EventIdentity`, which holds all of them too.

    Only a process of the version before still writes here while it is replaced, and a trigger lets it
    write what is no `EventIdentity` yet only.
    """

    web_access = "append"
    jobs_access = "append"

    pk = models.CompositePrimaryKey("tenant_id", "source", "event_id")
    tenant_id = models.UUIDField()
    source = models.CharField(max_length=200, db_collation="C")
    event_id = models.CharField(max_length=200, db_collation="C")
    digest = models.BinaryField(max_length=16)
    received_at = models.DateTimeField()

    class Meta:
        db_table = "metering_event_key"

    def __str__(self) -> str:
        return f"{self.source}/{self.event_id}"


class Batch(models.Model):
    """The events of one tenant that one call accepted; the unit that roll-up folds once."""

    web_access = "append"
    jobs_access = "write"

    pk = models.CompositePrimaryKey("tenant_id", "id")
    tenant_id = models.UUIDField()
    id = models.UUIDField()
    received_at = models.DateTimeField()
    events = models.IntegerField()
    rolled_up_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "metering_batch"
        indexes: ClassVar = [
            models.Index(
                fields=["tenant_id", "received_at"],
                name="metering_batch_pending",
                condition=Q(rolled_up_at__isnull=True),
            ),
            models.Index(fields=["tenant_id", "-received_at"], name="metering_batch_recent"),
            BrinIndex(fields=["received_at"], name="metering_batch_arrival"),
        ]

    def __str__(self) -> str:
        return f"batch {self.id}"


class Duplicates(models.Model):
    """How many events of one call were known already, of a tenant; none where a call had none."""

    web_access = "append"
    jobs_access = "append"

    pk = models.CompositePrimaryKey("tenant_id", "received_at", "id")
    tenant_id = models.UUIDField()
    received_at = models.DateTimeField()
    id = models.UUIDField()
    events = models.IntegerField()

    class Meta:
        db_table = "metering_duplicates"
        indexes: ClassVar = [
            BrinIndex(fields=["received_at"], name="metering_duplicates_arrival"),
        ]

    def __str__(self) -> str:
        return f"{self.events} duplicates"


class Event(models.Model):
    """One accepted usage event as they were kept before `EventGroup`; read together with those."""

    web_access = "append"
    jobs_access = "append"

    pk = models.CompositePrimaryKey("tenant_id", "received_at", "batch_id", "position")
    tenant_id = models.UUIDField()
    received_at = models.DateTimeField()
    batch_id = models.UUIDField()
    position = models.IntegerField()
    app_id = models.UUIDField()
    source = models.CharField(max_length=200, db_collation="C")
    event_id = models.CharField(max_length=200, db_collation="C")
    type = models.CharField(max_length=100, db_collation="C")
    occurred_at = models.DateTimeField()
    day = models.DateField()
    user_hash = models.BinaryField(max_length=16, null=True)
    kind = models.CharField(max_length=LONGEST_TEXT, db_collation="C", default="")
    count = models.BigIntegerField(default=1)
    device_hash = models.BinaryField(max_length=16, null=True)
    value = models.DecimalField(max_digits=38, decimal_places=12, null=True)

    class Meta:
        db_table = "metering_event"
        indexes: ClassVar = [
            models.Index(fields=["tenant_id", "app_id", "day"], name="metering_event_day"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(count__gte=1), name="metering_event_count"),
        ]

    def __str__(self) -> str:
        return f"event {self.source}/{self.event_id}"


class RejectedEvent(models.Model):
    """Quarantine: an event that was not accepted, and why; once, however often it is sent.

    `content` holds the event's known fields with the end user's id replaced by its keyed hash. `digest`
    is that of its content (see `EventIdentity`) if it was read whole, so that it can be taken in later.
    `tenant_id` is null for rows of a staff import whose app nobody has.
    """

    web_access = "append"
    jobs_access = "append"

    id = models.UUIDField(primary_key=True)
    tenant_id = models.UUIDField(null=True)
    received_at = models.DateTimeField()
    subject = models.CharField(max_length=100, blank=True)
    source = models.CharField(max_length=200, blank=True)
    event_id = models.CharField(max_length=200, blank=True)
    code = models.CharField(max_length=64)
    detail = models.CharField(max_length=500)
    content = models.JSONField(null=True)
    digest = models.UUIDField(null=True)

    class Meta:
        db_table = "metering_rejected_event"
        indexes: ClassVar = [
            BrinIndex(fields=["received_at"], name="metering_rejected_arrival"),
            models.Index(fields=["tenant_id", "-received_at"], name="metering_rejected_recent"),
        ]

    def __str__(self) -> str:
        return f"rejected {self.code}"


class ImportedTenant(models.Model):
    """A tenant that an import made and a plan that it shall get once its file is read.

    Stays when an import breaks off, so that the next run subscribes it.
    """

    web_access = "none"
    jobs_access = "write"

    tenant_id = models.UUIDField(primary_key=True)
    plan_key = models.CharField(max_length=100)
    created_at = models.DateTimeField()
    subscribed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "metering_imported_tenant"

    def __str__(self) -> str:
        return f"imported {self.tenant_id}"
