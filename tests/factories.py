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


def a_plan(document: Mapping[str, Any] = STANDARD, **changes: Any) -> str:
    """Load a plan and give its key."""
    with system_scope(purpose="test"):
        load_plans(
            documents=[{**document, **changes}],
            known_meters=frozenset(METERS),
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
