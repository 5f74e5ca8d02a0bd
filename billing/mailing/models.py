"""Who gets a tenant's documents by mail, and each mail of a document with what became of it.

A mail's row is the intention: it is written before anything leaves, and its unique key (document, address)
is why nobody gets a document twice. A trigger lets its state go on only as `domain` says.
"""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from billing.invoicing.models import CreditNote, Invoice
from billing.mailing.domain import MailState
from kernel import clock, ids
from tenants.models import Tenant


class MailPreference(models.Model):
    """What a tenant wants of its mail; without a row, documents go to its billing address and to members
    with the billing role."""

    tenant = models.OneToOneField(Tenant, models.PROTECT, primary_key=True, related_name="+")
    is_on = models.BooleanField(default=True)
    to_members = models.BooleanField(default=True)
    addresses = models.JSONField(default=list)
    changed_at = models.DateTimeField(default=clock.now)

    web_access = "write"

    def __str__(self) -> str:
        return "on" if self.is_on else "off"


class DocumentMail(models.Model):
    """One document to one address.

    `batch` names the job that sends it. `copy` counts what was sent as a message of its own. `provider_id` is
    how a provider of mail names it. `attempts` are the calls so far.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    invoice = models.ForeignKey(Invoice, models.PROTECT, null=True, related_name="+")
    credit_note = models.ForeignKey(CreditNote, models.PROTECT, null=True, related_name="+")
    address = models.EmailField()
    state = models.CharField(
        max_length=16,
        choices=[(each.value, each.value) for each in MailState],
        default=MailState.WAITING,
    )
    batch = models.UUIDField()
    copy = models.PositiveSmallIntegerField(default=1, db_default=1)
    attempts = models.PositiveSmallIntegerField(default=0, db_default=0)
    provider_id = models.CharField(max_length=200, blank=True, default="", db_default="")
    failure_code = models.CharField(max_length=64, blank=True, default="", db_default="")
    failure_detail = models.CharField(max_length=500, blank=True, default="", db_default="")
    planned_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    concluded_at = models.DateTimeField(null=True)

    web_access = "read"
    web_may_update = (
        "state",
        "attempts",
        "provider_id",
        "failure_code",
        "failure_detail",
        "sent_at",
        "concluded_at",
    )

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "invoice", "address"],
                condition=Q(invoice__isnull=False),
                name="billing_mail_once_an_invoice",
            ),
            models.UniqueConstraint(
                fields=["tenant", "credit_note", "address"],
                condition=Q(credit_note__isnull=False),
                name="billing_mail_once_a_credit_note",
            ),
            models.CheckConstraint(
                condition=Q(invoice__isnull=False, credit_note__isnull=True)
                | Q(invoice__isnull=True, credit_note__isnull=False),
                name="billing_mail_of_one_document",
            ),
            models.CheckConstraint(
                condition=Q(state__in=list(MailState)), name="billing_mail_state"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["sent", "delivered"]) | Q(sent_at__isnull=False),
                name="billing_mail_sent_once_known",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["batch", "id"],
                condition=Q(state__in=["waiting", "sending"]),
                name="billing_mail_under_way",
            ),
            models.Index(fields=["-planned_at", "-id"], name="billing_mail_newest"),
            models.Index(
                fields=["-planned_at", "-id"],
                condition=Q(state__in=["failed", "uncertain", "bounced"]),
                name="billing_mail_troubled",
            ),
        ]

    def __str__(self) -> str:
        return f"mail {self.pk}"

    @property
    def document(self) -> Invoice | CreditNote:
        """What is mailed."""
        found = self.invoice or self.credit_note
        if found is None:
            raise RuntimeError(f"mail {self.pk} is of no document")
        return found

    @property
    def document_target(self) -> str:
        """How the audit trail names it."""
        kind = "credit_note" if self.invoice is None else "invoice"
        return f"{kind}:{self.document.number}"
