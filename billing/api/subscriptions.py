"""The tenant's subscriptions over HTTP."""

from typing import Any, Final
from zoneinfo import ZoneInfo

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing.discounts.domain import HeldDiscount
from billing.invoicing.representation import plain
from billing.rating.adjustments.discounts import DiscountType
from billing.subscriptions.domain import Anchor, SubscriptionStatus
from billing.subscriptions.queries import SubscriptionRow, subscription_page
from kernel import clock
from kernel.ids import public_id
from tenants.api.endpoint import ListEndpoint, PageQuery
from tenants.api.schema import (
    AMOUNT,
    DATE,
    FLAG,
    INSTANT,
    NULLABLE_DATE,
    NULLABLE_INSTANT,
    NULLABLE_TEXT,
    PERIOD,
    TEXT,
    WHOLE,
    answers,
    id_of,
    list_of,
    one_of,
    page_of,
    record,
)
from tenants.domain import KeyScope

DISCOUNT: Final = record(
    number=WHOLE,
    name=TEXT,
    coupon=NULLABLE_TEXT,
    type=one_of(*DiscountType),
    value={**AMOUNT, "description": "A percentage, an amount of the currency, or a quantity."},
    currency=NULLABLE_TEXT,
    prices={**list_of(TEXT), "description": "The prices that it is for; empty for all."},
    starts_on=DATE,
    ends_on={**NULLABLE_DATE, "description": "It counts for periods that begin before."},
)
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
    discounts={
        **list_of(DISCOUNT),
        "description": "In the order in which they come off; those that are over too.",
    },
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
                "discounts": [_discount(each) for each in row.discounts],
            }

        return self.page(rows, position=lambda row: str(row.id), shown=shown)


def _discount(held: HeldDiscount) -> dict[str, Any]:
    terms = held.terms
    return {
        "number": held.number,
        "name": terms.name,
        "coupon": terms.coupon or None,
        "type": terms.discount.type.value,
        "value": plain(terms.discount.value),
        "currency": terms.currency or None,
        "prices": sorted(terms.discount.keys or ()),
        "starts_on": held.starts_on.isoformat(),
        "ends_on": held.ends_on.isoformat() if held.ends_on else None,
    }
