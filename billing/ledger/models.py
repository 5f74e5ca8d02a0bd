"""Chart of accounts and journal. Entries are never changed; a mistake is reversed by a new transaction.

The database holds what must always be true: the entries of a transaction come in one statement and sum to
zero per currency (migration ``0021``), and neither table can be updated, deleted or truncated (``0002``). Nothing is posted into a month that is
closed (``0023``).
"""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from billing.ledger.domain import Account, AccountKind, BalanceKind, PeriodAction
from kernel import ids
from tenants.models import Tenant
from tenants.two_people import Asked, two_people_constraints


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
    # One key (tenant, transaction) stands for both (migration 0002).
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+", db_constraint=False)
    transaction = models.ForeignKey(
        JournalTransaction, models.PROTECT, related_name="entries", db_constraint=False
    )
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


class BalanceLot(models.Model):
    """A part of a tenant's prepaid balance: where it came from, what is left, when it ends.

    `priority` and `scope` tell when it pays and what: see `draw_order` and `CreditScope`.
    (tenant, source) is unique, so nothing is credited twice. What is left of all lots of a kind is
    what the kind's ledger account says.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    tenant = models.ForeignKey(Tenant, models.PROTECT, related_name="+")
    kind = models.CharField(max_length=16, choices=[(k.value, k.value) for k in BalanceKind])
    source = models.CharField(max_length=100)
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    left_minor = models.BigIntegerField()
    granted_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    priority = models.SmallIntegerField(default=0, db_default=0)
    scope = models.JSONField(default=dict, db_default={})

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "id"], name="billing_balance_lot_tenant_id"),
            models.UniqueConstraint(fields=["tenant", "source"], name="billing_balance_lot_once"),
            models.CheckConstraint(
                condition=Q(amount_minor__gt=0, left_minor__gte=0)
                & Q(left_minor__lte=F("amount_minor"))
                & Q(kind__in=list(BalanceKind)),
                name="billing_balance_lot_left",
            ),
            models.CheckConstraint(
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=F("granted_at")),
                name="billing_balance_lot_ends",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "currency"],
                name="billing_balance_lot_open",
                condition=Q(left_minor__gt=0),
            ),
            models.Index(
                fields=["expires_at"],
                name="billing_balance_lot_expires",
                condition=Q(left_minor__gt=0, expires_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.source}"


class PeriodRequest(Asked):
    """That somebody asked to close a month of the books, or to open it again, and what became of it.

    What was asked never changes and is decided once (a trigger); a constraint keeps the asking person
    from approving.
    """

    id = models.UUIDField(primary_key=True, default=ids.new_id)
    month = models.DateField()
    action = models.CharField(max_length=8, choices=[(a.value, a.value) for a in PeriodAction])
    reason = models.CharField(max_length=200, blank=True)

    web_access = "none"
    jobs_access = "write"

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(
                    state__in=["waiting", "done", "refused"], action__in=list(PeriodAction)
                ),
                name="billing_period_request_state",
            ),
            *two_people_constraints(prefix="billing_period_request", done="done"),
            models.CheckConstraint(
                condition=Q(action="close") | ~Q(reason=""), name="billing_period_request_reason"
            ),
            models.UniqueConstraint(
                fields=["month"],
                condition=Q(state="waiting"),
                name="billing_period_request_waits_once",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["-requested_at"])]

    def __str__(self) -> str:
        return f"{self.action} {self.month:%Y-%m}"


class AccountingPeriod(models.Model):
    """A month of the books (UTC) that was closed at least once; `month` is its first day.

    Nothing is posted before the end of the last closed month: a trigger of the journal refuses it. Months
    are closed in their order and opened again in the reverse one, each time by a request that two people
    stand behind. `figures` are those of the trial balance at its last instant as it was closed, in minor
    units.
    """

    month = models.DateField(primary_key=True)
    is_closed = models.BooleanField()
    request = models.ForeignKey(PeriodRequest, models.PROTECT, related_name="+")
    changed_at = models.DateTimeField()
    figures = models.JSONField(default=list)

    web_access = "read"
    jobs_access = "write"

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"
