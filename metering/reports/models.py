"""Tables of reports: the gateways, which reports came, and which are missing."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q


class Gateway(models.Model):
    """A node of the platform that reports usage. `secret` is encrypted under SECRET_KEY.

    `conflict_at` is when it last sent a sequence again with other content, mostly because it began anew
    under the same epoch.
    """

    web_access = "none"
    jobs_access = "write"

    id = models.UUIDField(primary_key=True)
    key = models.CharField(max_length=63, unique=True)
    deployment = models.CharField(max_length=64, blank=True)
    secret = models.BinaryField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=254)
    revoked_at = models.DateTimeField(null=True)
    conflict_at = models.DateTimeField(null=True)
    conflict_sequence = models.BigIntegerField(null=True)

    class Meta:
        db_table = "metering_gateway"

    def __str__(self) -> str:
        return self.key


class GatewayReport(models.Model):
    """A report that was taken, by its place in the sequence; `digest` is of its content."""

    web_access = "none"
    jobs_access = "append"

    pk = models.CompositePrimaryKey("gateway_id", "epoch", "sequence")
    gateway_id = models.UUIDField()
    epoch = models.CharField(max_length=64, blank=True)
    sequence = models.BigIntegerField()
    digest = models.BinaryField(max_length=32)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    received_at = models.DateTimeField()
    marks = models.IntegerField()

    class Meta:
        db_table = "metering_gateway_report"
        indexes: ClassVar = [
            models.Index(fields=["gateway_id", "-received_at"], name="metering_report_recent"),
        ]

    def __str__(self) -> str:
        return f"report {self.epoch}/{self.sequence}"


class SealedUsage(models.Model):
    """What a report told of an app that nobody had, of which a `RejectedEvent` tells as well.

    `sealed` is the app's part of the report, encrypted under SECRET_KEY, since it names users; null once it
    was taken in. `starts_at` is that of the report's window.
    """

    web_access = "none"
    jobs_access = "write"

    rejected_id = models.UUIDField(primary_key=True)
    gateway_id = models.UUIDField()
    epoch = models.CharField(max_length=64, blank=True)
    sequence = models.BigIntegerField()
    app = models.CharField(max_length=100, db_collation="C")
    starts_at = models.DateTimeField()
    received_at = models.DateTimeField()
    users = models.IntegerField()
    sealed = models.BinaryField(null=True)
    replayed_at = models.DateTimeField(null=True)
    replayed_by = models.CharField(max_length=254, blank=True)

    class Meta:
        db_table = "metering_sealed_usage"
        indexes: ClassVar = [
            models.Index(
                fields=["app"],
                name="metering_sealed_waiting",
                condition=Q(sealed__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"usage of {self.app}"


class GatewayGap(models.Model):
    """Sequences of a gateway that are missing. Days from `held_from` on, of the tenants that the gateway
    reports for, are not closed until the reports come or one of the staff releases the gap."""

    web_access = "none"
    jobs_access = "write"

    id = models.UUIDField(primary_key=True)
    gateway_id = models.UUIDField()
    epoch = models.CharField(max_length=64, blank=True)
    first_sequence = models.BigIntegerField()
    last_sequence = models.BigIntegerField()
    held_from = models.DateTimeField()
    noticed_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True)
    released_by = models.CharField(max_length=254, blank=True)
    reason = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "metering_gateway_gap"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(first_sequence__lte=F("last_sequence")), name="metering_gap_order"
            ),
            models.CheckConstraint(
                condition=Q(released_at__isnull=True) | ~Q(reason=""), name="metering_gap_reason"
            ),
            models.UniqueConstraint(
                fields=["gateway_id", "epoch", "first_sequence"], name="metering_gap_once"
            ),
        ]

    def __str__(self) -> str:
        return f"gap {self.first_sequence} to {self.last_sequence}"


class GatewayTenant(models.Model):
    """That a gateway has reported usage of a tenant, so that its gaps hold the tenant's days."""

    web_access = "none"
    jobs_access = "append"

    pk = models.CompositePrimaryKey("tenant_id", "gateway_id")
    tenant_id = models.UUIDField()
    gateway_id = models.UUIDField()

    class Meta:
        db_table = "metering_gateway_tenant"

    def __str__(self) -> str:
        return f"{self.gateway_id} of {self.tenant_id}"
