"""Payments, what they settled, the attempts that led to them, and the gateway's events.

Payments and allocations are append-only. An attempt's state only moves forward, and only one
attempt of an invoice is open at a time. Each outside fact is stored once: a gateway's object or a
bank statement's reference by (gateway, external id), an event by (gateway, event id). These two keys
don't begin with the tenant, on purpose: one statement line can't be booked for two tenants.
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from billing.invoicing.models import Invoice
from billing.ledger.models import BalanceLot
from billing.payments.domain import OPEN_STATES, AttemptState, Gateway, Method
from kernel import clock, ids
from tenants.models import Tenant

__all__ = ["BalanceDraw", "GatewayEvent", "Payment", "PaymentAllocation", "PaymentAttempt"]


class Payment(models.Model):
    """Money that came in. `received_on` is the bank's or the gateway's day, `booked_at` ours.

    `amount` = `allocated` (settles invoices) + `credited` (more than was owed; the tenant's credit).
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    method = models.CharField(max_length=16, choices=[(m.value, m.value) for m in Method])
    gateway = models.CharField(max_length=16, choices=[(g.value, g.value) for g in Gateway])
    external_id = models.CharField(max_length=200)
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    allocated_minor = models.BigIntegerField()
    credited_minor = models.BigIntegerField()
    received_on = models.DateField()
    booked_at = models.DateTimeField()
    booked_by = models.CharField(max_length=200)
    note = models.CharField(max_length=500, blank=True)

    web_access = "append"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "id"], name="billing_payment_tenant_id"),
            models.UniqueConstraint(
                fields=["gateway", "external_id"], name="billing_payment_booked_once"
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, allocated_minor__gte=0, credited_minor__gte=0)
                & Q(amount_minor=F("allocated_minor") + F("credited_minor")),
                name="billing_payment_conserved",
            ),
            models.CheckConstraint(
                condition=Q(method__in=list(Method)) & Q(gateway__in=list(Gateway)),
                name="billing_payment_method",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "-booked_at"])]

    def __str__(self) -> str:
        return f"payment {self.external_id}"


class PaymentAllocation(models.Model):
    """A part of a payment that settles (a part of) an invoice."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    payment = models.ForeignKey(Payment, models.PROTECT, related_name="allocations")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="allocations")
    amount_minor = models.BigIntegerField()
    allocated_at = models.DateTimeField()

    web_access = "append"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "payment", "invoice"], name="billing_payment_allocated_once"
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0), name="billing_payment_allocation_positive"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "invoice"])]

    def __str__(self) -> str:
        return f"allocation {self.pk}"


class PaymentAttempt(models.Model):
    """One attempt to pay an invoice by card; the gateway's idempotency key is made from its id.

    `intent_id` is null until the gateway has said that it made the intent. While `calling_until` is
    ahead, one caller is talking to the gateway about it and others wait.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="payment_attempts")
    number = models.PositiveIntegerField()
    gateway = models.CharField(max_length=16, choices=[(g.value, g.value) for g in Gateway])
    intent_id = models.CharField(max_length=200, null=True)
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    state = models.CharField(
        max_length=16,
        choices=[(s.value, s.value) for s in AttemptState],
        default=AttemptState.REQUESTED,
    )
    error_code = models.CharField(max_length=100, blank=True)
    error_message = models.CharField(max_length=500, blank=True)
    requested_by = models.CharField(max_length=200)
    requested_at = models.DateTimeField()
    calling_until = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    concluded_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "invoice", "number"], name="billing_payment_attempt_once"
            ),
            models.UniqueConstraint(
                fields=["tenant", "invoice"],
                condition=Q(state__in=sorted(OPEN_STATES)),
                name="billing_payment_attempt_one_open",
            ),
            models.UniqueConstraint(
                fields=["gateway", "intent_id"], name="billing_payment_attempt_intent"
            ),
            models.CheckConstraint(
                condition=Q(state__in=list(AttemptState)) & Q(amount_minor__gt=0),
                name="billing_payment_attempt_state",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["requested_at"],
                name="billing_payment_attempt_open",
                condition=Q(state__in=sorted(OPEN_STATES)),
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.invoice_id}"


class GatewayEvent(models.Model):
    """A signed event as the gateway sent it, to the byte, stored before it is worked.

    Whose it is, is known only when it is worked, so it has no tenant and the web's role can't read it.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    gateway = models.CharField(max_length=16, choices=[(g.value, g.value) for g in Gateway])
    event_id = models.CharField(max_length=200)
    kind = models.CharField(max_length=100)
    api_version = models.CharField(max_length=40, blank=True)
    livemode = models.BooleanField()
    object_id = models.CharField(max_length=200, blank=True)
    payload = models.TextField()
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField(default=clock.now)
    worked_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=40, blank=True)
    error = models.CharField(max_length=500, blank=True)

    web_access = "none"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["gateway", "event_id"], name="billing_gateway_event_once"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["received_at"],
                name="billing_gateway_event_waiting",
                condition=Q(worked_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event_id}"


class BalanceDraw(models.Model):
    """A part of a lot of the balance that settled (a part of) an invoice."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    lot = models.ForeignKey(BalanceLot, models.PROTECT, related_name="draws")
    invoice = models.ForeignKey(Invoice, models.PROTECT, related_name="+")
    amount_minor = models.BigIntegerField()
    drawn_at = models.DateTimeField()

    web_access = "append"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "lot", "invoice"], name="billing_balance_draw_once"
            ),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0), name="billing_balance_draw_positive"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "invoice"])]

    def __str__(self) -> str:
        return f"draw {self.pk}"
