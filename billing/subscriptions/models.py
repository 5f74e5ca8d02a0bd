"""A tenant's agreement to a plan version."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from billing.catalog.models import Plan, PlanVersion
from billing.subscriptions.domain import Anchor, LateUsagePolicy, SubscriptionStatus
from kernel import clock, ids
from tenants.models import Tenant


class Subscription(models.Model):
    """A tenant's agreement to a plan version, from `starts_at` to `ends_at` (open when null).

    Its periods are cut in `timezone` at boundaries that follow from `starts_on` and `anchor` alone.
    `next_boundary_at` is the next boundary for which no document was drafted: the work that is due
    is found by it. `late_usage` tells what becomes of usage that arrives after its invoice is final.
    `last_day_usage` is what the last day had counted when the subscription ended in the middle of it,
    as (app, meter, kind, value): what that day counts later is no longer the subscription's.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="subscriptions")
    plan_version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="+")
    anchor = models.CharField(max_length=16, choices=[(a.value, a.value) for a in Anchor])
    timezone = models.CharField(max_length=64)
    starts_on = models.DateField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True)
    status = models.CharField(
        max_length=16,
        choices=[(s.value, s.value) for s in SubscriptionStatus],
        default=SubscriptionStatus.ACTIVE,
    )
    next_boundary_at = models.DateTimeField(null=True)
    parked_code = models.CharField(max_length=64, blank=True)
    parked_detail = models.TextField(blank=True)
    late_usage = models.CharField(
        max_length=16,
        choices=[(p.value, p.value) for p in LateUsagePolicy],
        default=LateUsagePolicy.NEXT_INVOICE,
        db_default=LateUsagePolicy.NEXT_INVOICE.value,
    )
    late_usage_reason = models.CharField(max_length=500, blank=True, db_default="")
    last_day_usage = models.JSONField(null=True)
    created_at = models.DateTimeField(default=clock.now)

    web_access = "read"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "id"], name="billing_subscription_tenant_id"),
            # Two that serve at once would bill the same usage twice.
            models.UniqueConstraint(
                fields=["tenant"],
                condition=Q(status=SubscriptionStatus.ACTIVE),
                name="billing_subscription_one_active",
            ),
            models.CheckConstraint(
                condition=Q(status__in=list(SubscriptionStatus)), name="billing_subscription_status"
            ),
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
                name="billing_subscription_period",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["next_boundary_at", "id"],
                name="billing_subscription_due",
                condition=Q(next_boundary_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"subscription {self.pk}"


class SubscriptionPhase(models.Model):
    """From `starts_on` a subscription holds this plan version, until its next phase starts.

    A subscription that never changed its plan has none. The first phase repeats what it began with, so
    that the phases alone tell which version held on a day.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="phases")
    starts_on = models.DateField()
    plan_version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="+")
    changed_at = models.DateTimeField()

    web_access = "read"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "subscription", "starts_on"],
                name="billing_subscription_phase_once",
            ),
        ]

    def __str__(self) -> str:
        return f"phase from {self.starts_on}"


class SubscriptionPrice(models.Model):
    """A contract's own wording of one price of a plan, while the subscription holds that plan.

    Never changed after it is stored (trigger): to end one early, or to agree something else, is a row
    with a higher `number`, which stands before the earlier ones. `document` is the price in the words
    of the plan document, null where the plan's own price holds again; `clause` is the contract's text.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="prices")
    plan = models.ForeignKey(Plan, models.PROTECT, related_name="+")
    number = models.PositiveIntegerField()
    price_key = models.CharField(max_length=100)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True)
    document = models.JSONField(null=True)
    clause = models.TextField()
    reference = models.CharField(max_length=200)
    recorded_by = models.CharField(max_length=200)
    recorded_at = models.DateTimeField()

    web_access = "read"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "subscription", "number"],
                name="billing_subscription_price_once",
            ),
            models.CheckConstraint(
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
                name="billing_subscription_price_period",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.price_key} from {self.starts_on}"
