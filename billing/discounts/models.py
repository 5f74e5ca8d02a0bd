"""Coupons: discounts that may be redeemed by a code."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from billing.rating.adjustments.discounts import DiscountType
from kernel import clock, ids

TYPES = [(each.value, each.value) for each in DiscountType]


def sound_terms() -> Q:
    """What is true of the terms of any discount."""
    return (
        Q(type__in=list(DiscountType), value__gt=0)
        & (
            Q(type=DiscountType.FIXED) & ~Q(currency="")
            | ~Q(type=DiscountType.FIXED) & Q(currency="")
        )
        & (~Q(type=DiscountType.PERCENTAGE) | Q(value__lte=100))
    )


class Coupon(models.Model):
    """A discount that may be redeemed by its code. Its terms never change (trigger): it is retired, and
    another one is made.

    `value` is a percentage, an amount of `currency`, or a quantity of usage. Empty `price_keys` and
    `plan_keys` are no limit. `periods` is for how many billing periods, null for all that follow. It
    may be redeemed on local days from `valid_from` until before `valid_to`, and `redeemed` counts how
    often it was.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    code = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=200)
    type = models.CharField(max_length=16, choices=TYPES)
    value = models.DecimalField(max_digits=38, decimal_places=12)
    currency = models.CharField(max_length=3, blank=True)
    price_keys = models.JSONField(default=list)
    plan_keys = models.JSONField(default=list)
    periods = models.PositiveIntegerField(null=True)
    valid_from = models.DateField(null=True)
    valid_to = models.DateField(null=True)
    max_redemptions = models.PositiveIntegerField(null=True)
    redeemed = models.PositiveIntegerField(default=0)
    created_by = models.CharField(max_length=200)
    created_at = models.DateTimeField(default=clock.now)
    retired_at = models.DateTimeField(null=True)

    web_access = "read"

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=sound_terms(), name="billing_coupon_sound"),
            models.CheckConstraint(
                condition=Q(valid_from__isnull=True)
                | Q(valid_to__isnull=True)
                | Q(valid_to__gt=F("valid_from")),
                name="billing_coupon_validity",
            ),
            models.CheckConstraint(
                condition=Q(max_redemptions__isnull=True) | Q(redeemed__lte=F("max_redemptions")),
                name="billing_coupon_redemptions",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["-id"], name="billing_coupon_newest")]

    def __str__(self) -> str:
        return self.code
