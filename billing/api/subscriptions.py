"""The tenant's subscriptions over HTTP."""

from typing import Any, Final
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing.subscriptions.domain import Anchor, SubscriptionStatus
from billing.subscriptions.queries import SubscriptionRow, subscription_page
from kernel import clock
from kernel.ids import public_id
from tenants.api.endpoint import ListEndpoint, PageQuery
from tenants.api.schema import (
    FLAG,
    INSTANT,
    NULLABLE_INSTANT,
    PERIOD,
    TEXT,
    WHOLE,
    answers,
    id_of,
    one_of,
    page_of,
    record,
)
from tenants.domain import KeyScope

SUBSCRIPTION: Final = record(
    id=id_of("sub"),
    plan=TEXT,
    version=WHOLE,
    status=one_of(*SubscriptionStatus),
    paused={**FLAG, "description": "It rests: nothing is billed until it is resumed."},
    anchor=one_of(*Anchor),
    timezone=TEXT,
    starts_at=INSTANT,
    ends_at=NULLABLE_INSTANT,
    period={**PERIOD, "nullable": True, "description": "The billing period that runs now."},
)


class SubscriptionsView(ListEndpoint):
    """What the tenant has agreed to."""

    key_scopes = {"GET": {KeyScope.READ}}
    list_name = "subscriptions"

    @extend_schema(
        operation_id="list_subscriptions",
        summary="List subscriptions, newest first",
        parameters=[PageQuery],
        responses=answers(page_of(SUBSCRIPTION)),
    )
    def get(self, request: Request) -> Response:
        now = clock.now()
        with self.scope():
            rows = subscription_page(
                tenant_id=self.caller.tenant_id, after=self.after_id, limit=self.wanted
            )

        def shown(row: SubscriptionRow) -> dict[str, Any]:
            zone, period = ZoneInfo(row.timezone), row.period_at(now)
            return {
                "id": public_id("sub", row.id),
                "plan": row.plan_key,
                "version": row.plan_version,
                "status": row.status.value,
                "paused": row.is_paused_at(now),
                "anchor": row.anchor.value,
                "timezone": row.timezone,
                "starts_at": row.starts_at.astimezone(zone).isoformat(),
                "ends_at": row.ends_at.astimezone(zone).isoformat() if row.ends_at else None,
                "period": {
                    "starts_at": period.starts_at.astimezone(zone).isoformat(),
                    "ends_at": period.ends_at.astimezone(zone).isoformat(),
                }
                if period
                else None,
            }

        return self.page(rows, position=lambda row: str(row.id), shown=shown)
