"""Tables of what somebody asked to do to an issued invoice, and a second person decides."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from billing.invoicing.domain import InvoiceRequestState, RequestedAction
from billing.invoicing.models import CreditNote, Invoice, InvoiceLine
from kernel import ids
from tenants.models import Tenant
from tenants.two_people import Asked, two_people_constraints


class InvoiceRequest(Asked):
    """That an invoice be credited or written off, and what became of it.

    `total` = `net` + `tax` is what is asked for; of a write-off it is all that the invoice owed. What was
    asked never changes and is decided once (a trigger); while it waits it holds what its lines can still
    be credited (another). `credit_note` is what came of it.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    invoice = models.ForeignKey(
        Invoice, models.PROTECT, related_name="requests", db_constraint=False
    )
    action = models.CharField(max_length=16, choices=[(a.value, a.value) for a in RequestedAction])
    currency = models.CharField(max_length=3)
    tax_minor = models.BigIntegerField(default=0)
    total_minor = models.BigIntegerField()
    reason = models.CharField(max_length=500)
    decided_reason = models.CharField(max_length=500, blank=True)
    # Its key is (tenant, credit_note), as are those of the others (migration 0033).
    credit_note = models.ForeignKey(
        CreditNote, models.PROTECT, null=True, related_name="+", db_constraint=False, db_index=False
    )

    web_access = "none"
    jobs_access = "renew"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "id"], name="billing_invoice_request_tenant_id"
            ),
            models.UniqueConstraint(
                fields=["tenant", "credit_note"], name="billing_invoice_request_note_once"
            ),
            models.CheckConstraint(
                condition=Q(state__in=list(InvoiceRequestState), action__in=list(RequestedAction)),
                name="billing_invoice_request_state",
            ),
            models.CheckConstraint(
                condition=Q(total_minor__gt=0, tax_minor__gte=0)
                & Q(total_minor__gte=models.F("tax_minor"))
                & ~Q(reason=""),
                name="billing_invoice_request_content",
            ),
            models.CheckConstraint(
                condition=Q(action="credit", state="done", credit_note__isnull=False)
                | (~Q(action="credit", state="done") & Q(credit_note__isnull=True)),
                name="billing_invoice_request_note",
            ),
            models.CheckConstraint(
                condition=~Q(state="refused") | ~Q(decided_reason=""),
                name="billing_invoice_request_refused",
            ),
            *two_people_constraints(prefix="billing_invoice_request", done="done"),
            models.UniqueConstraint(
                fields=["tenant", "invoice"],
                condition=Q(state="waiting", action="write_off"),
                name="billing_invoice_request_write_off_once",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["-requested_at"], name="billing_invoice_request_new"),
            models.Index(
                fields=["requested_at"],
                name="billing_invoice_request_waits",
                condition=Q(state="waiting"),
            ),
            models.Index(fields=["tenant", "invoice"], name="billing_invoice_request_of"),
        ]

    def __str__(self) -> str:
        return f"{self.action} of {self.invoice_id}"


class InvoiceRequestLine(models.Model):
    """What a request would take back of one line: after discounts, and the tax that goes with it."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    # Their keys carry the tenant (migration 0033).
    request = models.ForeignKey(
        InvoiceRequest, models.PROTECT, related_name="lines", db_constraint=False
    )
    invoice_line = models.ForeignKey(
        InvoiceLine, models.PROTECT, related_name="+", db_constraint=False
    )
    position = models.PositiveIntegerField()
    amount_minor = models.BigIntegerField()
    tax_minor = models.BigIntegerField()

    web_access = "none"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "request", "position"], name="billing_invoice_request_line_once"
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, tax_minor__gte=0),
                name="billing_invoice_request_line_positive",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["tenant", "invoice_line"], name="billing_invoice_request_line"),
        ]

    def __str__(self) -> str:
        return f"line {self.position}"
