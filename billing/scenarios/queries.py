"""What a story's world looks like at its end (contract section 4, the result), and what is due next."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Min

from billing.catalog.queries import terms_of
from billing.invoicing.credit_notes import credit_notes
from billing.invoicing.domain import InvoiceStatus
from billing.invoicing.drafting import grace_of
from billing.invoicing.models import Invoice
from billing.invoicing.queries import InvoiceFilter, all_invoices
from billing.invoicing.representation import invoice_document
from billing.ledger.domain import BALANCE_ACCOUNTS, Account
from billing.ledger.models import BalanceLot
from billing.ledger.queries import (
    account_balances,
    first_balance_drift,
    first_drift,
    first_imbalance,
)
from billing.ledger.recognition import first_deferral_drift
from billing.subscriptions.domain import SubscriptionStatus
from billing.subscriptions.models import Subscription
from billing.subscriptions.queries import SubscriptionRow, subscriptions_of
from kernel.money import Money
from tenants.models import Tenant


def next_due(*, after: datetime) -> datetime | None:
    """The first instant later than `after` at which a document falls due or its grace is over."""
    instants = [
        Subscription.objects.filter(parked_code="", next_boundary_at__gt=after).aggregate(
            first=Min("next_boundary_at")
        )["first"],
        Invoice.objects.filter(status=InvoiceStatus.DRAFT, finalize_at__gt=after).aggregate(
            first=Min("finalize_at")
        )["first"],
        BalanceLot.objects.filter(left_minor__gt=0, expires_at__gt=after).aggregate(
            first=Min("expires_at")
        )["first"],
        *_graces_of_ended(after=after),
    ]
    return min((instant for instant in instants if instant is not None), default=None)


def _graces_of_ended(*, after: datetime) -> list[datetime]:
    """When the late usage of subscriptions that ended has been collected and may be billed."""
    ended = Subscription.objects.filter(
        status=SubscriptionStatus.ENDED, ends_at__isnull=False
    ).select_related("plan_version")
    instants = []
    for row in ended:
        terms = terms_of(version_id=row.plan_version_id, document=row.plan_version.document)
        assert row.ends_at is not None  # noqa: S101  # filtered by it
        instants.append(row.ends_at + grace_of(terms))
    return [instant for instant in instants if instant > after]


def tenant_currency(tenant_id: UUID, *, default: str) -> str:
    """The currency of the plan that the tenant holds or held."""
    held = subscriptions_of(tenant_id=tenant_id)
    return held[0].terms.currency if held else default


def started_subscriptions(*, tenant_id: UUID) -> list[SubscriptionRow]:
    """The tenant's subscriptions in the order in which they were started, so that a story may count them."""
    return sorted(subscriptions_of(tenant_id=tenant_id), key=lambda row: row.id)


def invoices_in_order() -> list[UUID]:
    """Ids in the order of the result, so that a story may count them from 1."""
    return [detail.invoice.id for detail in all_invoices(wanted=InvoiceFilter())]


def result_document(*, at: datetime, currency: str) -> dict[str, Any]:
    """The whole result. Ids differ from run to run, so none is shown."""
    tenants = list(Tenant.objects.order_by("key").values_list("id", "key", "timezone"))
    held = {tenant_id: subscriptions_of(tenant_id=tenant_id) for tenant_id, _, _ in tenants}
    return {
        "invoices": [
            {name: value for name, value in invoice_document(detail).items() if name != "id"}
            for detail in all_invoices(wanted=InvoiceFilter())
        ],
        "credit_notes": credit_notes(),
        "balances": {
            key: _balances(
                account_balances(tenant_id=tenant_id),
                currency=tenant_currency(tenant_id, default=currency),
            )
            for tenant_id, key, _ in tenants
        },
        "subscriptions": [
            _subscription(row, tenant=key, at=at)
            for tenant_id, key, _ in tenants
            for row in sorted(held[tenant_id], key=lambda row: (row.starts_at, row.id))
        ],
        "ledger_balanced": first_imbalance() is None
        and first_drift() is None
        and first_balance_drift() is None
        and first_deferral_drift() is None,
    }


def _balances(accounts: Mapping[tuple[str, str], Money], *, currency: str) -> dict[str, str]:
    nothing = Money.zero(currency)
    owed = {
        kind.value: -accounts.get((account.value, currency), nothing)
        for kind, account in BALANCE_ACCOUNTS.items()
    }
    receivable = accounts.get((Account.RECEIVABLE.value, currency), nothing)
    return {
        **{kind: f"{owed[kind].amount:f}" for kind in ("cash", "gift", "voucher")},
        "receivable": f"{receivable.amount:f}",
    }


def _subscription(row: SubscriptionRow, *, tenant: str, at: datetime) -> dict[str, Any]:
    zone = ZoneInfo(row.timezone)
    period = row.period_at(at)
    return {
        "tenant": tenant,
        "plan": row.plan_key,
        "version": row.plan_version,
        "status": row.status.value,
        "period": None
        if period is None
        else {
            "starts_at": period.starts_at.astimezone(zone).isoformat(),
            "ends_at": period.ends_at.astimezone(zone).isoformat(),
        },
    }
