"""Chart of accounts and journal. Entries are never changed; a mistake is reversed by a new transaction.

The database holds what must always be true (migration ``0002_guards``): the entries of a transaction
sum to zero per currency at commit, and neither table can be updated, deleted or truncated.
"""

from typing import ClassVar

from django.db import models

from billing.ledger.domain import Account, AccountKind
from kernel import ids
from tenants.models import Tenant


class LedgerAccount(models.Model):
    """An account of the chart."""

    code = models.CharField(
        primary_key=True, max_length=32, choices=[(a.value, a.value) for a in Account]
    )
    kind = models.CharField(max_length=16, choices=[(k.value, k.value) for k in AccountKind])

    web_access = "read"
    jobs_access = "read"

    def __str__(self) -> str:
        return self.code


class JournalTransaction(models.Model):
    """One balanced movement; (tenant, kind, reference) is unique, so nothing is posted twice."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=32)
    reference = models.CharField(max_length=100)
    description = models.CharField(max_length=200, blank=True)
    posted_at = models.DateTimeField()

    web_access = "append"
    jobs_access = "append"

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "id"], name="billing_journal_tenant_id"),
            models.UniqueConstraint(
                fields=["tenant", "kind", "reference"], name="billing_journal_posted_once"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "-posted_at"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class JournalEntry(models.Model):
    """One side of a transaction: debit positive, credit negative, in minor units of `currency`."""

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    transaction = models.ForeignKey(JournalTransaction, models.PROTECT, related_name="entries")
    account = models.ForeignKey(
        LedgerAccount, models.PROTECT, related_name="+", db_column="account"
    )
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()

    web_access = "append"
    jobs_access = "append"

    class Meta:
        indexes: ClassVar = [models.Index(fields=["tenant", "account", "currency"])]

    def __str__(self) -> str:
        return f"{self.account_id} {self.amount_minor} {self.currency}"
