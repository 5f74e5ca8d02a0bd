"""The table of quarantine: which refused events were taken in after all."""

from django.db import models


class EventReplay(models.Model):
    """That a refused event was taken in later; once, even if it turned out to be known by then."""

    web_access = "read"
    jobs_access = "append"

    pk = models.CompositePrimaryKey("tenant_id", "rejected_id")
    tenant_id = models.UUIDField()
    rejected_id = models.UUIDField()
    replayed_at = models.DateTimeField()
    replayed_by = models.CharField(max_length=254)

    class Meta:
        db_table = "metering_event_replay"

    def __str__(self) -> str:
        return f"replay of {self.rejected_id}"
