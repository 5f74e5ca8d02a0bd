"""Exchange rates as they were published, by day. Documents keep the one by which they were issued."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from kernel import clock, ids


class ExchangeRate(models.Model):
    """One unit of `base` in units of `quote` on a day."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    base = models.CharField(max_length=3)
    quote = models.CharField(max_length=3)
    on = models.DateField()
    rate = models.DecimalField(max_digits=30, decimal_places=12)
    source = models.CharField(max_length=100)
    entered_at = models.DateTimeField(default=clock.now)

    web_access = "read"
    jobs_access = "write"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["base", "quote", "on"], name="billing_exchange_rate_once"
            ),
            models.CheckConstraint(
                condition=Q(rate__gt=0) & ~Q(base=F("quote")) & ~Q(source=""),
                name="billing_exchange_rate_positive",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["on"], name="billing_exchange_rate_day")]

    def __str__(self) -> str:
        return f"{self.base} {self.quote} {self.on}"
