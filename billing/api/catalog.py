"""Plans over HTTP: what is on offer, in the form in which it was loaded."""

from typing import Any, Final

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from billing.catalog.queries import StoredVersion, wording_on
from billing.subscriptions.queries import plans_shown_to, versions_shown_to
from kernel import clock
from kernel.period import Interval, local_day
from tenants.api.endpoint import Day, Endpoint, ListEndpoint, PageQuery, Query
from tenants.api.schema import (
    ANY_OBJECT,
    DATE,
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
PLAN_IN_FORCE: Final = record(
    **_PLAN_FIELDS,
    on=DATE,
    in_force={
        **record(starts_on=NULLABLE_DATE, ends_on=NULLABLE_DATE),
        "description": "The first day, and the first day no more; null for no bound.",
    },
)
PLAN_WITH_VERSIONS: Final = record(**_PLAN_FIELDS, versions=list_of(PLAN))


class PlansView(ListEndpoint):
    """All plans that the tenant may know of, each in its newest version."""

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
            rows = plans_shown_to(
                tenant_id=self.caller.tenant_id, limit=self.wanted, after_key=self.after
            )
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
            versions = versions_shown_to(tenant_id=self.caller.tenant_id, plan_key=plan_key)
        shown = [_plan(self, version) for version in versions]
        return Response({**shown[-1], "versions": shown})


class OnDayQuery(Query):
    """On which day."""

    on = Day(required=False, help_text="A local day; today when left out.")


class PlanInForceView(Endpoint):
    """The wording of a plan on a day."""

    key_scopes = {"GET": {KeyScope.READ}}
    query = OnDayQuery

    @extend_schema(
        operation_id="read_plan_in_force",
        summary="Read the wording of a plan that was in force on a day",
        description="For new subscriptions of that day; what a subscription holds stays as it was "
        "agreed: see `/terms`.",
        parameters=[OpenApiParameter("plan_key", str, OpenApiParameter.PATH), OnDayQuery],
        responses=answers(PLAN_IN_FORCE, 404),
    )
    def get(self, request: Request, plan_key: str) -> Response:
        day = self.asked.get("on") or local_day(clock.now(), self.caller.zone)
        with self.scope():
            versions = versions_shown_to(tenant_id=self.caller.tenant_id, plan_key=plan_key)
        found = wording_on(versions, day=day)
        return Response(
            {
                **_plan(self, found.version),
                "on": day.isoformat(),
                "in_force": {
                    "starts_on": found.starts_on.isoformat() if found.starts_on else None,
                    "ends_on": found.ends_on.isoformat() if found.ends_on else None,
                },
            }
        )


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
