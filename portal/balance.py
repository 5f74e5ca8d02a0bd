"""The prepaid balance: what is left, what came in and when it ends, and what it paid."""

from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing.payments.balance_listing import balance_sums, draw_rows, lot_rows
from kernel import clock
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.queries import tenant_profile_by_id
from ui.balances import draw_columns, kinds_left, lot_columns
from ui.tables import ListState, Table

_SHOWN: Final = {"show": ["paid"]}


@member_page(action=MemberAction.INVOICES_VIEW)
def balance(request: HttpRequest, here: Here) -> HttpResponse:
    """To be read only: a top-up is asked for on a page of its own."""
    now = clock.now()
    zone = tenant_profile_by_id(tenant_id=here.tenant_id).timezone
    state = ListState.read(request.GET, filters=_SHOWN)
    if state.filters:
        drawn = draw_rows(tenant_id=here.tenant_id, limit=state.limit, offset=state.offset)
        table: Table[Any] = Table(
            columns=draw_columns(
                zone=zone,
                invoice_url=lambda invoice_id: reverse(
                    "portal:invoice", args=[here.tenant_key, invoice_id]
                ),
            ),
            rows=drawn.rows,
            total=drawn.total,
            state=state,
            caption=_("What the balance paid"),
            empty_title=_("Nothing paid yet"),
            empty_text=_("Invoices are paid from the balance when they are issued."),
        )
    else:
        lots = lot_rows(tenant_id=here.tenant_id, now=now, limit=state.limit, offset=state.offset)
        table = Table(
            columns=lot_columns(zone=zone),
            rows=lots.rows,
            total=lots.total,
            state=state,
            caption=_("What came in"),
            empty_title=_("No balance yet"),
            empty_text=_(
                "It comes from top-ups, grants, credit notes, and payments above what was owed."
            ),
        )
    return page(
        request,
        here,
        "portal/balance.html",
        place="balance",
        zone=zone,
        sums=[
            (each, kinds_left(each.left))
            for each in balance_sums(tenant_id=here.tenant_id, now=now)
        ],
        table=table,
        shows_draws=bool(state.filters),
    )
