"""Changing a tenant's subscription for it: the same documents, shown first, and the same job."""

from typing import Final
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from billing.estimates.considering import consider_change
from billing.invoicing.services.request_change import request_change
from billing.subscriptions.domain import ChangeKind
from billing.subscriptions.queries import change_of
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock, ids
from tenants.permissions import StaffAction
from tenants.queries import tenant_profile
from ui.changes import asked_id, form_token, seen_mark, shown_document
from ui.errors import message_of, status_of

KINDS: Final = tuple(ChangeKind)


@never_cache
@staff_page(action=StaffAction.SUBSCRIPTIONS_CHANGE, purpose="change a subscription")
def change(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """A form for the change; what it would bill; and, by POST, the request for it.

    Raises NotFound `tenant_not_found`.
    """
    now = clock.now()
    profile = tenant_profile(key=tenant_key)
    sent = request.POST if request.method == "POST" else request.GET
    considered = consider_change(
        tenant_id=profile.id, texts=sent.dict(), allowed=KINDS, now=now, for_staff=True
    )
    if considered is None:
        return page(
            request,
            "console/change.html",
            place="tenants",
            profile=profile,
            considered=None,
        )
    fault, status = "", 200
    if considered.refusal is not None:
        fault, status = message_of(considered.refusal), status_of(considered.refusal)
    preview, asked = considered.preview, considered.asked
    subscription_id = considered.held.subscription_id
    seen = seen_mark([*preview.documents, *preview.following]) if preview is not None else ""
    if request.method == "POST" and preview is not None and asked is not None:
        change_id = asked_id(sent.get("token", ""), of=subscription_id)
        if change_id is not None and sent.get("seen") == seen:
            request_change(
                tenant_id=profile.id,
                subscription_id=subscription_id,
                asked=asked,
                now=now,
                actor=f"user:{request.user.pk}",
                change_id=change_id,
                for_staff=True,
            )
            return redirect("console:changed", tenant_key=tenant_key, change_id=change_id)
        fault, status = _("The amounts are not the same any more. Look at them again."), 409
    return page(
        request,
        "console/change.html",
        place="tenants",
        status=status,
        profile=profile,
        considered=considered,
        sent=sent.dict(),
        fault=fault,
        seen=seen,
        token=form_token(ids.new_id(), of=subscription_id),
        documents=[shown_document(each) for each in preview.documents] if preview else [],
        following=[shown_document(each) for each in preview.following] if preview else [],
    )


@never_cache
@staff_page(action=StaffAction.SUBSCRIPTIONS_CHANGE, purpose="outcome of a change")
def changed(request: StaffRequest, tenant_key: str, change_id: UUID) -> HttpResponse:
    """What became of a change. Raises NotFound `tenant_not_found`, `change_not_found`."""
    profile = tenant_profile(key=tenant_key)
    row = change_of(tenant_id=profile.id, change_id=change_id)
    return page(request, "console/changed.html", place="tenants", profile=profile, change=row)
