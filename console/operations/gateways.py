"""Gateways that report usage: made here, their secret shown once; what they miss, and letting it go."""

from typing import Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import get_language, gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import DomainError
from metering.reports.queries import GatewayRow, gap_rows, gateway_count, gateway_rows
from metering.reports.services.gateways import (
    CreatedGateway,
    create_gateway,
    release_gap,
    revoke_gateway,
)
from tenants.permissions import StaffAction, staff_may
from ui import formats, words
from ui.cells import Cell
from ui.errors import message_of
from ui.tables import Column, ListState, Table

_ZONE: Final = "UTC"


def _last(row: GatewayRow) -> Cell:
    if row.last_received_at is None:
        return None
    return formats.instant_text(row.last_received_at, zone=_ZONE, language=get_language() or "en")


def _conflict(row: GatewayRow) -> Cell:
    if not row.is_in_conflict:
        return None
    return gettext(
        "Sequence %(sequence)s came again with other content. If the gateway began anew, let it name a "
        "new epoch."
    ) % {"sequence": row.conflict_sequence}


GATEWAY_COLUMNS: Final[tuple[Column[GatewayRow], ...]] = (
    Column(key="key", label=_("Gateway"), value=lambda row: row.key),
    Column(key="deployment", label=_("Deployment"), value=lambda row: row.deployment or None),
    Column(
        key="state",
        label=_("State"),
        value=lambda row: words.status("key", "revoked" if row.revoked_at else "active"),
    ),
    Column(key="last", label=_("Last report (UTC)"), value=_last),
    Column(key="sequence", label=_("Sequence"), value=lambda row: row.last_sequence, numeric=True),
    Column(key="conflict", label=_("Refused"), value=_conflict),
    Column(key="gaps", label=_("Open gaps"), value=lambda row: row.open_gaps, numeric=True),
)


class GatewayForm(forms.Form):
    """A new gateway."""

    key = forms.CharField(
        label=pgettext_lazy("name", "Key"),
        help_text=_("Small letters, digits, dots and dashes. Its reports name it."),
        max_length=63,
    )
    deployment = forms.CharField(
        label=_("Deployment"),
        help_text=_(
            "The cluster whose usage it reports, such as shared. Usage is kept apart by it."
        ),
        required=False,
        max_length=64,
    )


@never_cache
@staff_page(action=StaffAction.GATEWAYS_VIEW, purpose="gateways list")
def gateway_list(request: StaffRequest) -> HttpResponse:
    """By key, with the gaps in their reports. A POST makes one and shows its secret, this once, in the
    answer itself."""
    if request.method != "POST":
        return _page(request, form=GatewayForm())
    if not staff_may(role=request.user.staff_role, action=StaffAction.GATEWAYS_CHANGE):
        return _page(request, form=GatewayForm(), status=403)
    form = GatewayForm(request.POST)
    if form.is_valid():
        try:
            created = create_gateway(
                key=form.cleaned_data["key"].strip(),
                deployment=form.cleaned_data["deployment"].strip(),
                now=clock.now(),
                actor=f"user:{request.user.pk}",
            )
        except DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, message_of(error))
        else:
            return _page(request, form=GatewayForm(), created=created)
    return _page(request, form=form, status=422)


@require_POST
@staff_page(action=StaffAction.GATEWAYS_CHANGE, purpose="revoke a gateway")
def revoke(request: StaffRequest, gateway_key: str) -> HttpResponse:
    """Its reports are refused at once."""
    revoke_gateway(key=gateway_key, now=clock.now(), actor=f"user:{request.user.pk}")
    messages.success(request, gettext("The gateway is revoked."))
    return redirect("console:gateways")


@require_POST
@staff_page(action=StaffAction.GATEWAYS_CHANGE, purpose="release a gap")
def release(request: StaffRequest, gap_id: UUID) -> HttpResponse:
    """Days close in spite of the missing reports; the reason is kept."""
    try:
        release_gap(
            gap_id=gap_id,
            reason=request.POST.get("reason", ""),
            now=clock.now(),
            actor=f"user:{request.user.pk}",
        )
    except DomainError as error:
        messages.error(request, message_of(error))
    else:
        messages.success(request, gettext("The gap is released; its days can be closed."))
    return redirect("console:gateways")


def _page(
    request: StaffRequest,
    *,
    form: GatewayForm,
    created: CreatedGateway | None = None,
    status: int = 200,
) -> HttpResponse:
    state = ListState.read(request.GET)
    table = Table(
        columns=GATEWAY_COLUMNS,
        rows=gateway_rows(limit=state.limit, offset=state.offset),
        total=gateway_count(),
        state=state,
        caption=_("Gateways"),
        empty_title=_("No gateway yet"),
        empty_text=_("Gateways report counts and active users of the platform's nodes."),
    )
    return page(
        request,
        "console/gateways.html",
        place="gateways",
        status=status,
        table=table,
        gaps=gap_rows(),
        form=form,
        created=created,
    )
