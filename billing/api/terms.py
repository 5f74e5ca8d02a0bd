"""Which text applied to the tenant on a day, over HTTP."""

from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.api.catalog import OnDayQuery
from billing.catalog.domain import PriceOverride
from billing.invoicing.wording import terms_on
from billing.subscriptions.queries import subscription_not_found
from kernel import clock
from kernel.ids import public_id
from kernel.period import local_day
from tenants.api.endpoint import Endpoint, path_id
from tenants.api.schema import (
    ANY_OBJECT,
    DATE,
    NULLABLE_DATE,
    TEXT,
    WHOLE,
    answers,
    id_of,
    list_of,
    record,
)
from tenants.domain import KeyScope

TERMS: Final = record(
    subscription=id_of("sub"),
    on=DATE,
    timezone=TEXT,
    plan=TEXT,
    version=WHOLE,
    effective_from=NULLABLE_DATE,
    starts_on=DATE,
    ends_on={**NULLABLE_DATE, "description": "The first day on which other terms apply."},
    terms={**ANY_OBJECT, "description": "The plan as it applies, with overridden prices."},
    overrides=list_of(
        record(
            number=WHOLE,
            price=TEXT,
            starts_on=DATE,
            ends_on=NULLABLE_DATE,
            clause={**TEXT, "description": "The contract's text."},
            reference=TEXT,
        )
    ),
)


class TermsQuery(OnDayQuery):
    """On which day, and of which subscription."""

    subscription = serializers.CharField(
        required=False,
        max_length=40,
        help_text="A subscription; of several on the day the one that started first when left out.",
    )


class TermsView(Endpoint):
    """What applied to the tenant on a day."""

    key_scopes = {"GET": {KeyScope.READ}}
    query = TermsQuery

    @extend_schema(
        operation_id="read_terms",
        summary="Read the terms that applied on a day",
        parameters=[TermsQuery],
        responses=answers(TERMS, 404),
    )
    def get(self, request: Request) -> Response:
        day = self.asked.get("on") or local_day(clock.now(), self.caller.zone)
        wanted = None
        if "subscription" in self.asked:
            wanted = path_id(
                self.asked["subscription"], prefix="sub", missing=subscription_not_found()
            )
        with self.scope():
            found = terms_on(tenant_id=self.caller.tenant_id, day=day, subscription_id=wanted)
        return Response(
            {
                "subscription": public_id("sub", found.subscription_id),
                "on": day.isoformat(),
                "timezone": found.timezone,
                "plan": found.plan_key,
                "version": found.version,
                "effective_from": found.effective_from.isoformat()
                if found.effective_from
                else None,
                "starts_on": found.starts_on.isoformat(),
                "ends_on": found.ends_on.isoformat() if found.ends_on else None,
                "terms": found.document,
                "overrides": [_override(each) for each in found.overrides],
            }
        )


def _override(override: PriceOverride) -> dict[str, Any]:
    return {**override.told(), "price": override.price_key}
