"""The table of meters that operators defined."""

from typing import ClassVar

from django.db import models


class MeterDefinition(models.Model):
    """One version of an operator's meter, never changed after it is stored (trigger).

    `document` is the definition in canonical form (`metering.meters.domain.definition`), of which
    `content_hash` is the SHA-256. A version counts from `effective_from` to the day before the next
    one's.
    """

    web_access = "read"
    jobs_access = "append"

    id = models.UUIDField(primary_key=True)
    key = models.CharField(max_length=64, db_collation="C")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    content_hash = models.BinaryField(max_length=32)
    effective_from = models.DateField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "metering_meter_definition"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["key", "number"], name="metering_meter_version_once"),
            models.UniqueConstraint(
                fields=["key", "effective_from"], name="metering_meter_day_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.key} {self.number}"
