"""Rates of tax as dated data.

A row is never changed but once: an open one may get its end. Of one jurisdiction, category and
supply no two rows are in force on one day (exclusion constraint of ``0014_tax_guards``).
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from billing.taxes.domain.rules import Supply, TaxCode
from kernel import clock, ids


class TaxRate(models.Model):
    """What a jurisdiction wants of a category of products, from a day until before another."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    jurisdiction = models.CharField(max_length=2)
    category = models.CharField(max_length=100)
    supply = models.CharField(max_length=20, choices=[(s.value, s.value) for s in Supply])
    code = models.CharField(max_length=16, choices=[(c.value, c.value) for c in TaxCode])
    percent = models.DecimalField(max_digits=15, decimal_places=12)
    valid_from = models.DateField()
    valid_to = models.DateField(null=True)
    text = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=clock.now)

    web_access = "read"
    jobs_access = "write"

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(valid_to__isnull=True) | Q(valid_to__gt=F("valid_from")),
                name="billing_tax_rate_period",
            ),
            models.CheckConstraint(
                condition=Q(code__in=list(TaxCode), supply__in=list(Supply))
                & (
                    Q(code=TaxCode.STANDARD, percent__gt=0, percent__lte=100)
                    | ~Q(code=TaxCode.STANDARD) & Q(percent=0)
                ),
                name="billing_tax_rate_percent",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.jurisdiction} {self.category} {self.percent}"
