"""Which text applies to a tenant, on any day, and agreeing with it on single prices."""

import json
from datetime import date
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.invoicing.services.agree_price import AgreedPrice, agree_price
from billing.invoicing.wording import AppliedTerms, agreed_prices, subscriptions_on, terms_on
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.documents import parse_json
from kernel.errors import DomainError, NotFound
from kernel.ids import public_id
from kernel.period import local_day
from kernel.zones import zone_named
from tenants.permissions import StaffAction, staff_may
from tenants.queries import TenantProfile, tenant_profile
from tenants.scope import staff_scope
from ui.errors import message_of
from ui.plan_terms import plan_sheet


class AgreedPriceForm(forms.Form):
    """What a contract says of one price."""

    price_key = forms.ChoiceField(label=_("Price"))
    document = forms.CharField(
        label=_("Terms"),
        help_text=_(
            'As in a plan file, for example {"model": "flat", "amount": "149"}. '
            "Left empty, the plan's own price holds again."
        ),
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false"}),
    )
    starts_on = forms.DateField(
        label=_("From"),
        help_text=_("The first day of a billing period."),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
    )
    ends_on = forms.DateField(
        label=_("To before"),
        help_text=_("Left empty, until further notice."),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
    )
    clause = forms.CharField(
        label=_("Clause"),
        help_text=_("The contract's own words; invoices quote them."),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    reference = forms.CharField(label=_("Contract"), max_length=200)

    def __init__(self, *args: Any, prices: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["price_key"].choices = [(key, key) for key in prices]  # type: ignore[attr-defined]  # of ChoiceField

    def clean_document(self) -> dict[str, Any] | None:
        text = self.cleaned_data["document"].strip()
        if not text:
            return None
        try:
            parse_json(text)
            document = json.loads(text)
        except (DomainError, ValueError):
            raise forms.ValidationError(_("This is not JSON; write { … }.")) from None
        if not isinstance(document, dict):
            raise forms.ValidationError(_("This is not JSON; write { … }."))
        return document


@staff_page(action=StaffAction.TENANTS_VIEW, purpose="terms of a tenant", own_scope=True)
def terms(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """The text that applies on a day, all that was agreed, and a form for those who may agree."""
    now = clock.now()
    with staff_scope(user=request.user, purpose="terms of a tenant"):
        profile = tenant_profile(key=tenant_key)
        day = _asked_day(request, profile, today=local_day(now, zone_named(profile.timezone)))
        serving = subscriptions_on(tenant_id=profile.id, day=day)
        wanted = request.GET.get("subscription", "")
        chosen = next((key for key, _ in serving if public_id("sub", key) == wanted), None)
        applied = _terms_on(profile, day, subscription_id=chosen)
        agreed = (
            agreed_prices(tenant_id=profile.id, subscription_id=applied.subscription_id)
            if applied is not None
            else ()
        )
    may_agree = applied is not None and staff_may(
        role=request.user.staff_role, action=StaffAction.PRICES_AGREE
    )
    form = None
    if applied is not None and may_agree:
        form = AgreedPriceForm(
            request.POST or None,
            prices=[str(price["key"]) for price in applied.document["prices"]],
        )
        if (
            request.method == "POST"
            and form.is_valid()
            and _is_agreed(request, profile, form, subscription_id=applied.subscription_id)
        ):
            messages.success(request, gettext("The agreement is recorded."))
            return redirect(
                f"{reverse('console:terms', args=[tenant_key])}"
                f"?subscription={public_id('sub', applied.subscription_id)}"
            )
    return page(
        request,
        "console/terms.html",
        place="tenants",
        status=422 if form is not None and form.errors else 200,
        profile=profile,
        on=day,
        applied=applied,
        serving=serving if len(serving) > 1 else (),
        sheet=plan_sheet(applied.document) if applied is not None else None,
        agreed=agreed,
        form=form,
    )


def _asked_day(request: StaffRequest, profile: TenantProfile, *, today: date) -> date:
    try:
        return date.fromisoformat(request.GET.get("on", ""))
    except ValueError:
        return today


def _terms_on(
    profile: TenantProfile, day: date, *, subscription_id: UUID | None
) -> AppliedTerms | None:
    try:
        return terms_on(tenant_id=profile.id, day=day, subscription_id=subscription_id)
    except NotFound:
        return None


def _is_agreed(
    request: StaffRequest, profile: TenantProfile, form: AgreedPriceForm, *, subscription_id: UUID
) -> bool:
    """Record it; what is refused stands at its field."""
    given = form.cleaned_data
    try:
        with staff_scope(user=request.user, purpose="agree on a price"):
            agree_price(
                tenant_id=profile.id,
                subscription_id=subscription_id,
                agreed=AgreedPrice(
                    price_key=given["price_key"],
                    starts_on=given["starts_on"],
                    ends_on=given["ends_on"],
                    document=given["document"],
                    clause=given["clause"],
                    reference=given["reference"],
                ),
                now=clock.now(),
                actor=f"user:{request.user.pk}",
            )
    except DomainError as error:
        field = error.field or ""
        field = "document" if field.startswith("price.") else field
        form.add_error(field if field in form.fields else None, message_of(error))
        return False
    return True
