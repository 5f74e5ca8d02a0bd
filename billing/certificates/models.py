"""The table of certificates. A row is never changed: a day that looks otherwise gets a further version."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from billing.certificates.domain import CertificateState
from kernel import ids


class Certificate(models.Model):
    """What was found of a day over all tenants, signed by the deployment's key.

    `text` is what `signature` (Ed25519) is over; `document` is the same without version and instant.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    day = models.DateField()
    version = models.IntegerField()
    state = models.CharField(
        max_length=16, choices=[(state.value, state.value) for state in CertificateState]
    )
    document = models.JSONField()
    text = models.TextField()
    public_key = models.BinaryField(max_length=32)
    signature = models.BinaryField(max_length=64)
    made_at = models.DateTimeField()

    # Over all tenants, so no tenant's role may read it.
    web_access = "none"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["day", "version"], name="billing_certificate_once"),
            models.CheckConstraint(
                condition=Q(version__gte=1, state__in=list(CertificateState)),
                name="billing_certificate_state",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["-day", "-version"])]

    def __str__(self) -> str:
        return f"certificate of {self.day}"
