"""What the tenant may use now, over HTTP."""

from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.entitlements.domain import Denial, Source, UsageWindow
from billing.entitlements.queries import EntitlementCheck, check_entitlement, entitlements_page
from billing.rating.terms import QuotaKind, Scope
from kernel import clock
from kernel.decimals import parse_decimal, plain_text
from kernel.errors import Invalid
from kernel.ids import public_id
from tenants.api.endpoint import Endpoint, ListEndpoint, PageQuery, Query
from tenants.api.schema import (
    AMOUNT,
    FLAG,
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

_NULLABLE_AMOUNT: Final = {**AMOUNT, "nullable": True}


def _nullable(*words: str) -> dict[str, Any]:
    """One of the words, or null."""
    return {"type": "string", "nullable": True, "enum": [*sorted(words), None]}


ENTITLEMENT: Final = record(
    feature=TEXT,
    app={**NULLABLE_TEXT, "description": "The app that was asked for."},
    quantity={**AMOUNT, "description": "How much more was asked for."},
    allowed={**FLAG, "nullable": True, "description": "Null where an app must be named to tell."},
    reason={**_nullable(*Denial), "description": "Why it is not allowed."},
    value={
        "nullable": True,
        "anyOf": [{**FLAG, "nullable": True}, {**TEXT, "nullable": True}],
        "description": "True, false, a text, or the limit as a decimal text.",
    },
    limit=_NULLABLE_AMOUNT,
    kind={**_nullable(*QuotaKind), "description": "What happens at the limit."},
    over_limit={**FLAG, "description": "The quantity asked for would pass the limit."},
    used={**_NULLABLE_AMOUNT, "description": "Null where nothing is counted against the limit."},
    remaining={**_NULLABLE_AMOUNT, "description": "The limit less what was used, 0 at least."},
    counted={
        **record(
            meter=TEXT,
            scope=one_of(Scope.APP, Scope.TENANT),
            window=one_of(*UsageWindow),
            period=PERIOD,
        ),
        "nullable": True,
        "description": "What is counted, for whom, and over which time.",
    },
    subscription={**id_of("sub"), "nullable": True},
    plan=NULLABLE_TEXT,
    version={**WHOLE, "nullable": True},
    sources={
        **list_of(
            record(
                price={**NULLABLE_TEXT, "description": "The add-on or price; null: the plan."},
                held=AMOUNT,
                value={"oneOf": [FLAG, TEXT]},
                adds={**FLAG, "description": "It widens the limit, once for each unit held."},
            )
        ),
        "description": "What allows it.",
    },
)


class CheckQuery(Query):
    """Which feature, for which app, and how much more."""

    # The view says what is missing: another method than GET is refused first.
    app = serializers.CharField(required=False, max_length=100, help_text="An app's key.")
    feature = serializers.CharField(
        required=False, max_length=200, trim_whitespace=False, help_text="A feature of the plan."
    )
    quantity = serializers.CharField(
        max_length=60, default="1", help_text="How much more; 1 unless given."
    )


class EntitlementsQuery(PageQuery):
    """A page of features, with the usage of an app."""

    app = serializers.CharField(required=False, max_length=100, help_text="An app's key.")


class EntitlementCheckView(Endpoint):
    """Whether an app may use so much more of a feature."""

    key_scopes = {"GET": {KeyScope.READ}}
    query = CheckQuery

    @extend_schema(
        operation_id="check_entitlement",
        summary="Check an entitlement",
        description=(
            "Whether `quantity` more of a feature is allowed now. A limit on a feature that has the name "
            "of a meter is held against what was used: daily users and peaks of the local day, sums and "
            "different users of the billing period so far, levels as they are; every committed event "
            "counts. Any other limit is held against the quantity alone. While a subscription rests "
            "nothing is allowed."
        ),
        parameters=[
            OpenApiParameter("app", str, required=True, description="An app's key."),
            OpenApiParameter("feature", str, required=True, description="A feature of the plan."),
            OpenApiParameter("quantity", str, default="1", description="How much more."),
        ],
        responses=answers(ENTITLEMENT, 404, 409),
    )
    def get(self, request: Request) -> Response:
        for name in ("app", "feature"):
            if name not in self.asked:
                raise Invalid("missing", f"{name} is missing; give it.", field=name)
        quantity = parse_decimal(self.asked["quantity"], field="quantity")
        with self.scope():
            found = check_entitlement(
                tenant_id=self.caller.tenant_id,
                app_key=self.asked["app"],
                feature=self.asked["feature"],
                quantity=quantity,
                timezone=self.caller.zone.key,
                now=clock.now(),
            )
        return Response(_shown(found))


class EntitlementsView(ListEndpoint):
    """What the tenant's plan and what it holds of it allow."""

    key_scopes = {"GET": {KeyScope.READ}}
    query = EntitlementsQuery
    list_name = "entitlements"

    @extend_schema(
        operation_id="list_entitlements",
        summary="List entitlements, by feature",
        description="Each as if one more were asked for.",
        parameters=[EntitlementsQuery],
        responses=answers(page_of(ENTITLEMENT), 404),
    )
    def get(self, request: Request) -> Response:
        after = self.after
        with self.scope():
            rows = entitlements_page(
                tenant_id=self.caller.tenant_id,
                app_key=self.asked.get("app"),
                after=after,
                limit=self.wanted,
                timezone=self.caller.zone.key,
                now=clock.now(),
            )
        return self.page(rows, position=lambda row: row.feature, shown=_shown)


def _shown(row: EntitlementCheck) -> dict[str, Any]:
    zone = ZoneInfo(row.timezone)
    granted, counted = row.granted, row.counted
    kind = None if granted is None else granted.kind
    is_limit = kind is not None
    value = None if granted is None else _value(granted.value)

    def instant(at: datetime) -> str:
        return at.astimezone(zone).isoformat()

    return {
        "feature": row.feature,
        "app": row.app,
        "quantity": plain_text(row.quantity),
        "allowed": row.decision.is_allowed if row.is_known else None,
        "reason": row.decision.denial.value if row.is_known and row.decision.denial else None,
        "value": value,
        "limit": value if is_limit else None,
        "kind": None if kind is None else kind.value,
        "over_limit": row.decision.is_over and row.is_known,
        "used": None if counted is None or counted.used is None else plain_text(counted.used),
        "remaining": None if row.decision.left is None else plain_text(row.decision.left),
        "counted": None
        if counted is None
        else {
            "meter": counted.meter,
            "scope": counted.scope.value,
            "window": counted.window.value,
            "period": {
                "starts_at": instant(counted.period.starts_at),
                "ends_at": instant(counted.period.ends_at),
            },
        },
        "subscription": None
        if row.subscription_id is None
        else public_id("sub", row.subscription_id),
        "plan": row.plan_key,
        "version": row.plan_version,
        "sources": [] if granted is None else [_source(each) for each in granted.sources],
    }


def _source(source: Source) -> dict[str, Any]:
    return {
        "price": source.price_key or None,
        "held": plain_text(source.held),
        "value": _value(source.entitlement.value),
        "adds": source.entitlement.adds,
    }


def _value(value: Any) -> bool | str:
    return value if isinstance(value, bool | str) else plain_text(value)
