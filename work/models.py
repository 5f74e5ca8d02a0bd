"""The tables of due work: jobs, the slots of schedules, the outbox.

`tenant_id` is null for work that belongs to no single tenant. Row security shows the restricted
role only the rows of its tenant; jobs, commands and the console read them all.

Uniqueness counts a null tenant as a value, so that idempotency holds for such work too.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from kernel.ids import new_id
from work.domain import JobState


class Job(models.Model):
    """One unit of due work, named by its kind and business key.

    The row is the truth; a message in the broker only wakes a worker for it.
    """

    web_access = "append"
    """The restricted role asks for work and reads how far it is; it never marks work done."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant_id = models.UUIDField(null=True)
    kind = models.TextField()
    key = models.TextField()
    payload = models.JSONField(default=dict)
    version = models.PositiveSmallIntegerField(default=1)
    state = models.TextField(default=JobState.READY, choices=[(s, s) for s in JobState])
    attempts = models.PositiveSmallIntegerField(default=0)
    """Starts so far, whether or not the runner lived to tell."""
    max_attempts = models.PositiveSmallIntegerField()
    run_at = models.DateTimeField()
    """Not before this instant; `AT_ONCE` for work that waits for none."""
    lease_until = models.DateTimeField(null=True)
    """By the database's clock. Past it, the runner has lost the job and another may start it."""
    leased_by = models.TextField(blank=True, default="")
    """The token of the run that holds the lease; only that run may mark the job."""
    dispatched_at = models.DateTimeField(null=True)
    """When a worker was last woken for it; the sweeper wakes another some time after."""
    progress_done = models.PositiveIntegerField(null=True)
    progress_total = models.PositiveIntegerField(null=True)
    result = models.JSONField(null=True)
    error_code = models.TextField(blank=True, default="")
    error_detail = models.TextField(blank=True, default="")
    requested_by = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True)
    """When its last run began."""
    finished_at = models.DateTimeField(null=True)
    """When it was done, parked or cancelled."""

    class Meta:
        db_table = "work_job"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "kind", "key"],
                nulls_distinct=False,
                name="work_job_once",
            ),
            models.CheckConstraint(
                condition=Q(state__in=list(JobState)), name="work_job_state_known"
            ),
            models.CheckConstraint(
                condition=Q(state=JobState.RUNNING, lease_until__isnull=False) & ~Q(leased_by="")
                | ~Q(state=JobState.RUNNING) & Q(lease_until__isnull=True, leased_by=""),
                name="work_job_leased_while_running",
            ),
            models.CheckConstraint(
                condition=Q(max_attempts__gte=1, attempts__lte=models.F("max_attempts")),
                name="work_job_attempts_bounded",
            ),
        ]
        indexes = [
            models.Index(
                fields=["run_at", "id"],
                condition=Q(state=JobState.READY),
                name="work_job_due",
            ),
            models.Index(
                fields=["lease_until"],
                condition=Q(state=JobState.RUNNING),
                name="work_job_leased",
            ),
            models.Index(
                fields=["finished_at"],
                condition=Q(state__in=[JobState.PARKED, JobState.PAUSED]),
                name="work_job_waits_for_a_person",
            ),
            models.Index(fields=["kind", "state"], name="work_job_by_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key} ({self.state})"


class Slot(models.Model):
    """One moment at which a schedule was due; a second scheduler's insert changes nothing."""

    web_access = "none"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    schedule = models.TextField()
    slot_at = models.DateTimeField()
    job_id = models.UUIDField()
    """The job that it called for. No foreign key: done jobs are tidied away before their slots."""
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "work_slot"
        constraints = [
            models.UniqueConstraint(fields=["schedule", "slot_at"], name="work_slot_once"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule} at {self.slot_at:%Y-%m-%d %H:%M:%S}Z"


class OutboxMessage(models.Model):
    """A fact that other topics act upon, written in the transaction that made it true."""

    web_access = "append"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant_id = models.UUIDField(null=True)
    topic = models.TextField()
    key = models.TextField()
    payload = models.JSONField(default=dict)
    version = models.PositiveSmallIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now())
    relayed_at = models.DateTimeField(null=True)
    """When its jobs were made."""

    class Meta:
        db_table = "work_outbox"
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "topic", "key"],
                nulls_distinct=False,
                name="work_outbox_once",
            ),
        ]
        indexes = [
            models.Index(
                fields=["id"], condition=Q(relayed_at__isnull=True), name="work_outbox_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.key}"
