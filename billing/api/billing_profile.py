"""What invoices say of the tenant, over HTTP."""

from dataclasses import asdict
from typing import Any, Final

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from billing.parties.domain.profile import LONGEST, STAFF_FIELDS, BillingProfile
from billing.parties.queries import profile_of
from billing.parties.services.set_billing_profile import set_billing_profile
from kernel import clock
from tenants.api.endpoint import Endpoint, Strict
from tenants.api.idempotency import Answer, answer_once
from tenants.api.schema import IDEMPOTENCY_KEY, TEXT, UNSAFE, answers, record
from tenants.domain import KeyScope

BILLING_PROFILE: Final = record(**dict.fromkeys(LONGEST, TEXT))


class BillingProfileChange(Strict):
    """What is given is changed; an empty text takes the field away."""

    def get_fields(self) -> dict[str, Any]:
        return {
            name: serializers.CharField(max_length=longest, required=False, allow_blank=True)
            for name, longest in LONGEST.items()
            if name not in STAFF_FIELDS
        }


class BillingProfileView(Endpoint):
    """What the tenant's invoices say of it beside its name, country and tax id."""

    key_scopes = {"GET": {KeyScope.READ}, "PATCH": {KeyScope.FULL}}

    @extend_schema(
        operation_id="read_billing_profile",
        summary="Read what your invoices say of you",
        responses=answers(BILLING_PROFILE),
    )
    def get(self, request: Request) -> Response:
        with self.scope():
            return Response(asdict(profile_of(tenant_id=self.caller.tenant_id)))

    @extend_schema(
        operation_id="change_billing_profile",
        summary="Change what your next invoices say of you",
        description=(
            "What is given is changed; issued invoices stay. Country and tax id decide taxes and are "
            "changed by the operator; so is the reason of an exemption."
        ),
        parameters=[IDEMPOTENCY_KEY],
        request=BillingProfileChange,
        responses=answers(BILLING_PROFILE, *UNSAFE),
        examples=[
            OpenApiExample(
                "An address",
                {"street": "1 Rue de la Paix", "postal_code": "75002", "city": "Paris"},
                request_only=True,
            )
        ],
    )
    def patch(self, request: Request) -> HttpResponse:
        wanted = self.body(BillingProfileChange)

        def change() -> Answer:
            profile: BillingProfile = set_billing_profile(
                tenant_id=self.caller.tenant_id,
                changes=wanted,
                by_staff=False,
                now=clock.now(),
                actor=self.caller.actor,
            )
            return Answer(data=asdict(profile))

        return answer_once(
            request=request, endpoint="PATCH /billing-profile", content=wanted, call=change
        )
