"""What tests start from: tenants, plans and usage, made through the services."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from billing.catalog.services import load_plans
from billing.subscriptions.domain import Anchor
from billing.subscriptions.services import NewSubscription, subscribe
from kernel.period import local_midnight
from metering.meters.domain import METERS
from metering.services import set_usage
from tenants.scope import system_scope
from tenants.services.create_tenant import CreatedTenant, NewTenant, create_tenant

NOW = datetime(2026, 3, 1, tzinfo=UTC)

STANDARD: dict[str, Any] = {
    "key": "standard",
    "name": {"en": "Standard", "zh-hans": "标准版"},
    "currency": "CNY",
    "interval": "month",
    "prices": [
        {"key": "base", "model": "flat", "amount": "199", "timing": "in_advance"},
        {
            "key": "dau",
            "meter": "dau",
            "scope": "app",
            "period_aggregation": "max_day",
            "included": "10",
            "model": "package",
            "package_size": "10",
            "package_price": "5.00",
            "package_rounding": "up",
        },
    ],
}
"""199 a month in advance, 5.00 for each started 10 of peak DAU above 10."""

EVERYTHING: dict[str, Any] = {
    "key": "everything",
    "name": {"en": "Everything " + "at once " * 12, "zh-hans": "应有尽有" * 12},
    "currency": "CNY",
    "interval": "month",
    "trial_days": 14,
    "effective_from": "2026-03-01",
    "grace": "PT48H",
    "day_count": "30/360",
    "entitlements": {
        "max_group_size": {"limit": "3000", "kind": "hard"},
        "dau": {"limit": "30000", "kind": "soft"},
        "recall": True,
        "support": "by telephone, around the clock, in Chinese and English",
        "video": False,
    },
    "prices": [
        {
            "key": "base",
            "model": "flat",
            "amount": "1299",
            "timing": "in_advance",
            "prorate": True,
        },
        {
            "key": "dau",
            "meter": "dau",
            "scope": "tenant",
            "period_aggregation": "kth_max_day",
            "k": 3,
            "included": "100",
            "model": "package",
            "package_size": "50",
            "package_price": "100",
            "package_rounding": "down",
        },
        {
            "key": "messages",
            "meter": "messages",
            "period_aggregation": "sum",
            "convert": {"divide_by": "1000", "rounding": "up"},
            "model": "graduated",
            "tiers": [
                {"up_to": "2", "unit_price": "0"},
                {"up_to": "200", "unit_price": "45.5", "flat_fee": "10"},
                {"up_to": None, "unit_price": "18"},
            ],
            "minimum": "20",
            "maximum": "500000",
        },
        {
            "key": "group-messages",
            "meter": "messages",
            "scope": "tenant_sum_of_peaks",
            "period_aggregation": "p95_day",
            "filter": {"kind": ["group", "room"]},
            "model": "volume",
            "tiers": [
                {"up_to": "1000", "unit_price": "0.02"},
                {"up_to": None, "unit_price": "0.015"},
            ],
            "zero_usage": "free",
        },
        {
            "key": "steps",
            "meter": "dau",
            "period_aggregation": "mean_day",
            "model": "stairstep",
            "tiers": [
                {"up_to": "100", "flat_fee": "0"},
                {"up_to": None, "flat_fee": "250"},
            ],
        },
        {
            "key": "history-180",
            "model": "flat",
            "amount": "500",
            "prorate": True,
            "addon": True,
            "group": "history",
            "stacking": "add",
        },
        {"key": "seats", "model": "per_unit", "unit_price": "9.99", "included": "1"},
        {
            "key": "share",
            "model": "percentage",
            "rate_percent": "2.5",
            "fixed_fee": "1",
            "addon": True,
        },
        {
            "key": "share-by-size",
            "model": "graduated_percentage",
            "tiers": [
                {"up_to": "1000", "rate_percent": "3"},
                {"up_to": None, "rate_percent": "2", "flat_fee": "5"},
            ],
            "addon": True,
        },
    ],
    "minimum": "100",
    "maximum": "9000000",
    "max_of": ["dau", "steps"],
}
"""A plan with every model and every kind of term, and names that are long."""


def a_plan(document: Mapping[str, Any] = STANDARD, **changes: Any) -> str:
    """Load a plan and give its key."""
    with system_scope(purpose="test"):
        load_plans(
            documents=[{**document, **changes}],
            known_meters=METERS,
            now=NOW,
            actor="test",
        )
    return str(changes.get("key", document["key"]))


def a_tenant(
    key: str = "acme", *, apps: tuple[str, ...] = ("chat",), timezone: str = "Asia/Shanghai"
) -> CreatedTenant:
    """A tenant with apps."""
    with system_scope(purpose="test"):
        return create_tenant(
            tenant=NewTenant(key=key, name=key.title(), timezone=timezone, apps=apps),
            now=NOW,
            actor="test",
        )


def a_subscription(
    tenant: CreatedTenant,
    *,
    plan: str = "standard",
    starts_on: date = date(2026, 3, 1),
    anchor: Anchor = Anchor.CALENDAR,
) -> None:
    """Subscribe from the local midnight of `starts_on`."""
    with system_scope(purpose="test"):
        subscribe(
            plan_key=plan,
            subscription=NewSubscription(
                tenant_id=tenant.id,
                timezone=tenant.timezone,
                starts_at=local_midnight(starts_on, ZoneInfo(tenant.timezone)),
                anchor=anchor,
            ),
            now=NOW,
            actor="test",
        )


def some_usage(
    tenant: CreatedTenant, days: Mapping[date, int | str], *, meter: str = "dau", app: int = 0
) -> None:
    """Set daily values of one of the tenant's apps."""
    with system_scope(purpose="test"):
        for day, value in days.items():
            set_usage(
                tenant_id=tenant.id,
                app_id=tenant.apps[app].id,
                meter=meter,
                day=day,
                value=Decimal(value),
                now=NOW,
                reason="test",
            )
