"""Changing the plan: the exact documents first, then the change itself, done by a job.

What a person agrees to is what they saw: the form that confirms carries a mark of the amounts, and with
other amounts (a day has ended, something else was changed) it only shows the new ones. The same form sent
twice asks once.
"""

from typing import Final
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from billing.estimates.considering import consider_change
from billing.invoicing.services.request_change import request_change
from billing.subscriptions.domain import ChangeKind
from billing.subscriptions.queries import change_of
from kernel import clock, ids
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.queries import tenant_profile_by_id
from ui.changes import asked_id, form_token, seen_mark, shown_document
from ui.errors import message_of, status_of

KINDS: Final = (
    ChangeKind.PLAN,
    ChangeKind.QUANTITY,
    ChangeKind.ADD,
    ChangeKind.REMOVE,
    ChangeKind.COUPON,
    ChangeKind.CANCEL,
    ChangeKind.UNDO_CANCEL,
    ChangeKind.UNDO_CHANGE,
)
"""What a tenant does by itself; a pause is agreed with the operator."""


@never_cache
@member_page(action=MemberAction.PLAN_CHANGE)
def change(request: HttpRequest, here: Here) -> HttpResponse:
    """A form for the change; what it would bill; and, by POST, the request for it."""
    now = clock.now()
    sent = request.POST if request.method == "POST" else request.GET
    considered = consider_change(
        tenant_id=here.tenant_id, texts=sent.dict(), allowed=KINDS, now=now
    )
    if considered is None:
        return page(request, here, "portal/plan_change.html", place="plan", considered=None)
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
                tenant_id=here.tenant_id,
                subscription_id=subscription_id,
                asked=asked,
                now=now,
                actor=here.actor,
                change_id=change_id,
            )
            return redirect("portal:changed", tenant_key=here.tenant_key, change_id=change_id)
        fault, status = _("The amounts are not the same any more. Look at them again."), 409
    return page(
        request,
        here,
        "portal/plan_change.html",
        place="plan",
        status=status,
        considered=considered,
        sent=sent.dict(),
        fault=fault,
        seen=seen,
        token=form_token(ids.new_id(), of=subscription_id),
        documents=[shown_document(each) for each in preview.documents] if preview else [],
        following=[shown_document(each) for each in preview.following] if preview else [],
    )


@never_cache
@member_page(action=MemberAction.PLAN_CHANGE)
def changed(request: HttpRequest, here: Here, change_id: UUID) -> HttpResponse:
    """What became of a change; the page asks again until it is concluded.

    Raises NotFound `change_not_found`.
    """
    row = change_of(tenant_id=here.tenant_id, change_id=change_id)
    zone = tenant_profile_by_id(tenant_id=here.tenant_id).timezone
    return page(request, here, "portal/plan_changed.html", place="plan", change=row, zone=zone)
