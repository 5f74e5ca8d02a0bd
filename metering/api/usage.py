"""``GET /api/v1/usage``: what a tenant's apps used, by local hour, day or month."""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from kernel.dimensions import DIMENSIONS
from kernel.errors import Invalid
from metering.api.schemas import USAGE
from metering.meters.domain import METERS
from metering.queries import Granularity, ShownUsage, find_meter, shown_app, shown_apps, usage_shown
from tenants.api.endpoint import Endpoint, Query
from tenants.api.schema import answers
from tenants.domain import KeyScope

_A_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
"""The one form of a date; Python reads others too, such as 20260301 and 2026-W09-7."""


class UsageQuery(Query):
    """Names only: the view reads the values, whose errors have codes of their own."""

    app = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    meter = serializers.CharField(required=False, allow_blank=True)
    to = serializers.CharField(required=False, allow_blank=True)
    granularity = serializers.CharField(required=False, allow_blank=True)
    by = serializers.CharField(required=False, allow_blank=True)

    def get_fields(self) -> dict[str, Any]:
        # `from` is a word of Python and can't be an attribute's name.
        return {
            **super().get_fields(),
            "from": serializers.CharField(required=False, allow_blank=True),
        }


class UsageView(Endpoint):
    """Reads daily usage through the one door."""

    key_scopes = {"GET": {KeyScope.READ}}  # read by the permission only
    query = UsageQuery

    @extend_schema(
        operation_id="read_usage",
        summary="Read usage",
        description=(
            "Windows without usage are left out. Days and months are the tenant's local ones; `to` "
            "is excluded. A month's dau are the distinct users of that month; a gauge's value is its "
            "highest or latest reading."
        ),
        parameters=[
            OpenApiParameter("app", str, description="An app's key; all apps when left out."),
            OpenApiParameter(
                "meter",
                str,
                required=True,
                description=f"{', '.join(METERS)}, or one of the operator's meters.",
            ),
            OpenApiParameter("from", date, required=True, description="The first local day."),
            OpenApiParameter("to", date, required=True, description="The day after the last one."),
            OpenApiParameter(
                "by",
                str,
                description="Properties by which the values are told apart, with commas: "
                f"{', '.join(DIMENSIONS)}.",
            ),
            OpenApiParameter("granularity", str, enum=list(Granularity), default="day"),
        ],
        responses=answers(USAGE, 404),
    )
    def get(self, request: Request) -> Response:
        asked = self.asked
        with self.scope():
            meter = find_meter(asked.get("meter", ""))
        from_day, to_day = _day(asked, "from"), _day(asked, "to")
        granularity = _granularity(asked.get("granularity", "day"))
        by = [name.strip() for name in asked.get("by", "").split(",") if name.strip()]
        with self.scope():
            tenant_id = self.caller.tenant_id
            if "app" in asked:
                apps = [shown_app(tenant_id=tenant_id, key=asked["app"])]
            else:
                apps = shown_apps(tenant_id=tenant_id)
            rows = usage_shown(
                apps=apps,
                meter=meter.key,
                from_day=from_day,
                to_day=to_day,
                granularity=granularity,
                by=by,
            )
        answer: dict[str, Any] = {
            "meter": meter.key,
            "timezone": self.caller.zone.key,
            "granularity": granularity.value,
            "data": [_row(row, granularity, by) for row in rows],
            "next": None,
        }
        if "app" in asked:
            answer = {"app": apps[0].key, **answer}
        return Response(answer)


def _row(row: ShownUsage, granularity: Granularity, by: Sequence[str]) -> dict[str, Any]:
    match granularity:
        case Granularity.HOUR:
            window = {"starts_at": row.starts_at.isoformat()}
        case Granularity.DAY:
            window = {"day": row.day.isoformat()}
        case Granularity.MONTH:
            window = {"month": row.day.strftime("%Y-%m")}
    told = {name: row.dimensions.get(name, "") for name in by}
    return {
        "app": row.app,
        **window,
        **told,
        "value": format(row.value, "f"),
        "state": row.state.value,
    }


def _day(asked: Any, name: str) -> date:
    text = asked.get(name, "")
    try:
        if _A_DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise Invalid("bad_date", f"{name} must be a date like 2026-03-01.", field=name)


def _granularity(text: str) -> Granularity:
    try:
        return Granularity(text)
    except ValueError:
        raise Invalid(
            "bad_granularity", "granularity must be hour, day or month.", field="granularity"
        ) from None
