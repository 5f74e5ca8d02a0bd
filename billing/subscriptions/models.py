"""A tenant's agreement to a plan version."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from billing.catalog.models import Plan, PlanVersion
from billing.discounts.models import TYPES, Coupon, sound_terms
from billing.subscriptions.domain import (
    Anchor,
    ChangeKind,
    ChangeState,
    EffectiveWhen,
    LateUsagePolicy,
    MigrationWhen,
    SubscriptionStatus,
)
from kernel import clock, ids
from tenants.models import Tenant


class Subscription(models.Model):
    """A tenant's agreement to a plan version, from `starts_at` to `ends_at` (open when null).

    Its periods are cut in `timezone` at boundaries that follow from `starts_on` and `anchor` alone.
    `next_boundary_at` is the next boundary for which no document was drafted: the work that is due
    is found by it. A tenant may hold several at once, but no two that price the same: neither one plan nor
    one meter (trigger of ``0025``), since they would bill the same usage twice. `late_usage` tells what becomes of usage that arrives after its invoice is final.
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
    that the phases alone tell which version held on a day. With `cuts` the change cut a period while it
    ran, and billed what it opened.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="phases")
    starts_on = models.DateField()
    plan_version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="+")
    changed_at = models.DateTimeField()
    cuts = models.BooleanField(default=False, db_default=False)

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


class SubscriptionHolding(models.Model):
    """From `starts_on` a subscription holds this much of a price, until the price's next row.

    `quantity` null: as the plan says again, which is one, and of an add-on none. What the plan of a day
    doesn't have, is not held on it.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="holdings")
    price_key = models.CharField(max_length=100)
    starts_on = models.DateField()
    quantity = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    changed_at = models.DateTimeField()

    web_access = "read"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "subscription", "price_key", "starts_on"],
                name="billing_subscription_holding_once",
            ),
            models.CheckConstraint(
                condition=Q(quantity__isnull=True) | Q(quantity__gte=0),
                name="billing_subscription_holding_quantity",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of {self.price_key} from {self.starts_on}"


class SubscriptionPause(models.Model):
    """A subscription is not served from `starts_on` to the day before `ends_on` (open when null)."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.CASCADE, related_name="pauses")
    starts_on = models.DateField()
    ends_on = models.DateField(null=True)
    changed_at = models.DateTimeField()

    web_access = "read"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "subscription", "starts_on"],
                name="billing_subscription_pause_once",
            ),
            models.UniqueConstraint(
                fields=["tenant", "subscription"],
                condition=Q(ends_on__isnull=True),
                name="billing_subscription_pause_one_open",
            ),
            models.CheckConstraint(
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
                name="billing_subscription_pause_period",
            ),
        ]

    def __str__(self) -> str:
        return f"pause from {self.starts_on}"


class SubscriptionChange(models.Model):
    """What somebody asked of a subscription, and what became of it.

    Documents are made by jobs alone, so web and API only ask: the job named by this row's id does it,
    at once, and writes the outcome here. `documents` names what was issued for it.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="changes")
    kind = models.CharField(max_length=32, choices=[(k.value, k.value) for k in ChangeKind])
    effective = models.CharField(max_length=16, choices=[(w.value, w.value) for w in EffectiveWhen])
    plan_key = models.CharField(max_length=100, blank=True)
    plan_number = models.PositiveIntegerField(null=True)
    price_key = models.CharField(max_length=100, blank=True)
    quantity = models.DecimalField(max_digits=38, decimal_places=12, null=True)
    coupon_code = models.CharField(max_length=40, blank=True, default="", db_default="")
    state = models.CharField(
        max_length=16,
        choices=[(s.value, s.value) for s in ChangeState],
        default=ChangeState.PENDING,
    )
    error_code = models.CharField(max_length=64, blank=True)
    error_detail = models.TextField(blank=True)
    documents = models.JSONField(default=list)
    requested_by = models.CharField(max_length=200)
    requested_at = models.DateTimeField()
    concluded_at = models.DateTimeField(null=True)

    web_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "id"], name="billing_subscription_change_tenant_id"
            ),
            models.CheckConstraint(
                condition=Q(state__in=list(ChangeState), kind__in=list(ChangeKind)),
                name="billing_subscription_change_known",
            ),
            models.CheckConstraint(
                condition=Q(state=ChangeState.PENDING, concluded_at__isnull=True)
                | ~Q(state=ChangeState.PENDING) & Q(concluded_at__isnull=False),
                name="billing_subscription_change_concluded",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "subscription", "-id"])]

    def __str__(self) -> str:
        return f"{self.kind} of {self.subscription_id}"


class PlanMigration(models.Model):
    """Subscriptions of one plan version that are moved to another, chunk by chunk.

    Those of `tenant_keys`, all where it is empty; any other keeps its version. `after` is the last
    subscription that was looked at: a killed job goes on behind it.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    from_version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="+")
    to_version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="+")
    effective = models.CharField(max_length=16, choices=[(w.value, w.value) for w in MigrationWhen])
    tenant_keys = models.JSONField(default=list)
    after = models.UUIDField(null=True)
    moved = models.PositiveIntegerField(default=0)
    left_out = models.JSONField(default=dict)
    requested_by = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    web_access = "none"

    class Meta:
        indexes: ClassVar = [models.Index(fields=["-created_at"])]

    def __str__(self) -> str:
        return f"migration {self.pk}"


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


class SubscriptionDiscount(models.Model):
    """A discount of a subscription, for billing periods that begin from `starts_on` until before
    `ends_on` (null: for all that follow), in the order of `number`.

    The terms are a copy of the coupon's, or agreed by themselves. Only its days may change, to earlier
    ones (trigger); one that ends where it starts was taken back before it counted. With
    `is_advance_billed` it came when what its first period bills in advance was billed, and does not count
    for that.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="discounts")
    number = models.PositiveIntegerField()
    coupon = models.ForeignKey(Coupon, models.PROTECT, null=True, related_name="redemptions")
    name = models.CharField(max_length=200)
    type = models.CharField(max_length=16, choices=TYPES)
    value = models.DecimalField(max_digits=38, decimal_places=12)
    currency = models.CharField(max_length=3, blank=True)
    price_keys = models.JSONField(default=list)
    plan_keys = models.JSONField(default=list)
    periods = models.PositiveIntegerField(null=True)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True)
    is_advance_billed = models.BooleanField(default=False, db_default=False)
    reason = models.CharField(max_length=500, blank=True)
    applied_by = models.CharField(max_length=200)
    applied_at = models.DateTimeField()
    ended_by = models.CharField(max_length=200, blank=True)

    web_access = "read"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "subscription", "number"],
                name="billing_subscription_discount_once",
            ),
            # A tenant redeems a coupon once, unless it was taken back before it counted.
            models.UniqueConstraint(
                fields=["tenant", "coupon"],
                condition=Q(ends_on__isnull=True) | Q(ends_on__gt=F("starts_on")),
                name="billing_coupon_once_a_tenant",
            ),
            models.CheckConstraint(condition=sound_terms(), name="billing_discount_sound"),
            models.CheckConstraint(
                condition=Q(ends_on__isnull=True) | Q(ends_on__gte=F("starts_on")),
                name="billing_discount_days",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} from {self.starts_on}"
