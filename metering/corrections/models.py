"""The table of corrections that somebody asked for."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from kernel.dimensions import LONGEST_TEXT
from tenants.two_people import Asked, two_people_constraints


class CorrectionRequest(Asked):
    """That a closed day's usage should be `value` instead of `value_before`, why, and what became of it.

    What was asked never changes (a trigger refuses it), so that who approves approves exactly that; a
    constraint keeps the asking person from approving.
    """

    web_access = "none"
    jobs_access = "write"

    pk = models.CompositePrimaryKey("tenant_id", "id")
    tenant_id = models.UUIDField()
    id = models.UUIDField()
    app_id = models.UUIDField()
    meter = models.CharField(max_length=64, db_collation="C")
    day = models.DateField()
    kind = models.CharField(max_length=LONGEST_TEXT, db_collation="C", blank=True)
    value_before = models.DecimalField(max_digits=38, decimal_places=12)
    value = models.DecimalField(max_digits=38, decimal_places=12)
    reason = models.CharField(max_length=200)

    class Meta:
        db_table = "metering_correction_request"
        indexes: ClassVar = [
            models.Index(fields=["-requested_at"], name="metering_request_recent"),
        ]
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "applied", "refused"]),
                name="metering_request_state",
            ),
            *two_people_constraints(prefix="metering_request", done="applied"),
            models.CheckConstraint(
                condition=Q(value__gte=0) & ~Q(value=F("value_before")) & ~Q(reason=""),
                name="metering_request_content",
            ),
        ]

    def __str__(self) -> str:
        return f"correction of {self.meter} on {self.day}"
