"""Statements, their files, and which tenants get one each month.

What a statement says never changes once it is ready or failed (a trigger). Files are kept in parts, so that
neither writing nor reading one needs it whole in memory; they go with retention alone.
"""

from datetime import date, timedelta
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from billing.statements.domain.states import StatementOrigin, StatementState
from kernel import ids
from tenants.models import Tenant


class Statement(models.Model):
    """What a tenant was told of its account in one currency and period.

    The period is that of the local days ``[starts_on, ends_on)`` of `timezone`; `starts_at` and `ends_at` are
    its instants. `figures` is there once it is ready, `failure_code` where it failed.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    currency = models.CharField(max_length=3)
    starts_on = models.DateField()
    ends_on = models.DateField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    timezone = models.CharField(max_length=64)
    language = models.CharField(max_length=16)
    origin = models.CharField(max_length=16, choices=[(o.value, o.value) for o in StatementOrigin])
    requested_by = models.CharField(max_length=254)
    requested_at = models.DateTimeField()
    state = models.CharField(
        max_length=16,
        choices=[(s.value, s.value) for s in StatementState],
        default=StatementState.REQUESTED,
    )
    figures = models.JSONField(null=True)
    failure_code = models.CharField(max_length=64, blank=True)
    failure_detail = models.CharField(max_length=500, blank=True)
    finished_at = models.DateTimeField(null=True)

    web_access = "append"
    jobs_access = "renew"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "id"], name="billing_statement_tenant_id"),
            models.UniqueConstraint(
                fields=["tenant", "currency", "starts_on", "ends_on"],
                condition=Q(origin="monthly"),
                name="billing_statement_once_a_month",
            ),
            models.CheckConstraint(
                condition=Q(ends_on__gt=F("starts_on"), ends_at__gt=F("starts_at"))
                & Q(origin__in=list(StatementOrigin)),
                name="billing_statement_period",
            ),
            models.CheckConstraint(
                condition=Q(
                    state="requested",
                    figures__isnull=True,
                    failure_code="",
                    finished_at__isnull=True,
                )
                | Q(
                    state="ready",
                    figures__isnull=False,
                    failure_code="",
                    finished_at__isnull=False,
                )
                | Q(state="failed", finished_at__isnull=False) & ~Q(failure_code=""),
                name="billing_statement_state",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "-requested_at"], name="billing_statement_recent"),
            models.Index(fields=["-requested_at"], name="billing_statement_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.currency} {self.starts_on} {self.ends_on}"

    @property
    def last_day(self) -> date:
        return self.ends_on - timedelta(days=1)


class StatementFile(models.Model):
    """A file of a statement that is ready; `sha256` and `size` are of its bytes."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    # One key (tenant, statement) stands for both.
    statement = models.ForeignKey(
        Statement, models.PROTECT, related_name="files", db_constraint=False
    )
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=40)
    media_type = models.CharField(max_length=100)
    size = models.BigIntegerField()
    sha256 = models.BinaryField(max_length=32)
    created_at = models.DateTimeField()

    web_access = "read"
    jobs_access = "keep"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "id"], name="billing_statement_file_tenant_id"
            ),
            models.UniqueConstraint(
                fields=["tenant", "statement", "name"], name="billing_statement_file_once"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class StatementFilePart(models.Model):
    """Some bytes of a file, in order."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    file = models.ForeignKey(
        StatementFile, models.CASCADE, related_name="parts", db_constraint=False
    )
    position = models.PositiveIntegerField()
    content = models.BinaryField()

    web_access = "read"
    jobs_access = "keep"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "file", "position"], name="billing_statement_part_once"
            ),
        ]

    def __str__(self) -> str:
        return f"part {self.position}"


class MonthlyStatement(models.Model):
    """That a tenant wants a statement of each month, in each currency in which something moved."""

    tenant = models.OneToOneField(Tenant, models.PROTECT, primary_key=True, related_name="+")
    since = models.DateField()
    changed_by = models.CharField(max_length=254)
    changed_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"since {self.since}"
