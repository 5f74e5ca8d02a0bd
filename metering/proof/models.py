"""Tables of proof: the signed roots of closed days, and up to which day each tenant's are made."""

from typing import ClassVar

from django.db import models


class UsageProof(models.Model):
    """The root over who was counted in an app on a closed day by a distinct meter, signed.

    A row is never changed (a trigger refuses it): later corrections of the day give a further version.
    `corrections` is how many the day had when the marks were read, `key_check` tells under which key of
    the tenant they are hashed, `blocks` see `metering.proof.domain.Tree`. Nothing here needs a key to
    be checked, so a proof outlives the rotation of all of them.
    """

    web_access = "append"
    jobs_access = "append"
    change_where = "false"

    pk = models.CompositePrimaryKey("tenant_id", "app_id", "meter", "day", "version")
    tenant_id = models.UUIDField()
    app_id = models.UUIDField()
    meter = models.CharField(max_length=64, db_collation="C")
    day = models.DateField()
    version = models.IntegerField()
    timezone = models.CharField(max_length=64)
    count = models.BigIntegerField()
    root = models.BinaryField(max_length=32)
    blocks = models.BinaryField()
    corrections = models.IntegerField()
    key_check = models.BinaryField(max_length=8)
    public_key = models.BinaryField(max_length=32)
    signature = models.BinaryField(max_length=64)
    made_at = models.DateTimeField()

    class Meta:
        db_table = "metering_usage_proof"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(version__gte=1, count__gte=0), name="metering_proof_numbers"
            ),
        ]

    def __str__(self) -> str:
        return f"proof of {self.meter} on {self.day}"


class ProvenDays(models.Model):
    """All closed days of the tenant before `proven_until` have been looked at by the schedule."""

    web_access = "none"
    jobs_access = "write"

    tenant_id = models.UUIDField(primary_key=True)
    proven_until = models.DateField()

    class Meta:
        db_table = "metering_proven_days"

    def __str__(self) -> str:
        return f"proven until {self.proven_until}"
