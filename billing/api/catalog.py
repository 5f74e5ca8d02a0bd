"""Plans over HTTP: what is on offer, in the form in which it was loaded."""

from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing.catalog.queries import StoredVersion, latest_versions, versions_of
from kernel.errors import NotFound
from kernel.period import Interval
from tenants.api.endpoint import Endpoint, ListEndpoint, PageQuery
from tenants.api.schema import (
    ANY_OBJECT,
    INSTANT,
    NULLABLE_DATE,
    TEXT,
    WHOLE,
    answers,
    list_of,
    one_of,
    page_of,
    record,
)
from tenants.domain import KeyScope

_PLAN_FIELDS: Final = {
    "key": TEXT,
    "version": WHOLE,
    "name": {"type": "object", "additionalProperties": TEXT, "description": "By language."},
    "currency": TEXT,
    "interval": one_of(*Interval),
    "interval_count": WHOLE,
    "effective_from": NULLABLE_DATE,
    "created_at": INSTANT,
    "terms": {**ANY_OBJECT, "description": "The whole plan, as it was loaded."},
}
PLAN: Final = record(**_PLAN_FIELDS)
PLAN_WITH_VERSIONS: Final = record(**_PLAN_FIELDS, versions=list_of(PLAN))


class PlansView(ListEndpoint):
    """All plans, each in its newest version."""

    key_scopes = {"GET": {KeyScope.READ}}
    list_name = "plans"

    @extend_schema(
        operation_id="list_plans",
        summary="List plans, by key",
        parameters=[PageQuery],
        responses=answers(page_of(PLAN)),
    )
    def get(self, request: Request) -> Response:
        with self.scope():
            rows = latest_versions(limit=self.wanted, after_key=self.after)
        return self.page(
            rows, position=lambda row: row.plan_key, shown=lambda row: _plan(self, row)
        )


class PlanView(Endpoint):
    """One plan."""

    key_scopes = {"GET": {KeyScope.READ}}

    @extend_schema(
        operation_id="read_plan",
        summary="Read a plan with all its versions",
        parameters=[OpenApiParameter("plan_key", str, OpenApiParameter.PATH)],
        responses=answers(PLAN_WITH_VERSIONS, 404),
    )
    def get(self, request: Request, plan_key: str) -> Response:
        with self.scope():
            versions = [] if "\x00" in plan_key else versions_of(plan_key=plan_key)
        if not versions:
            raise NotFound("plan_not_found", "There is no such plan.", field="plan")
        shown = [_plan(self, version) for version in versions]
        return Response({**shown[-1], "versions": shown})


def _plan(endpoint: Endpoint, version: StoredVersion) -> dict[str, Any]:
    terms = version.terms
    return {
        "key": version.plan_key,
        "version": version.number,
        "name": dict(terms.names),
        "currency": terms.currency,
        "interval": terms.interval.value,
        "interval_count": terms.interval_count,
        "effective_from": version.effective_from.isoformat() if version.effective_from else None,
        "created_at": endpoint.instant(version.created_at),
        "terms": version.document,
    }
