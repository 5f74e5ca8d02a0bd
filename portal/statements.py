"""Statements of account: the list, asking for one, one with its figures and files."""

from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from billing.statements.queries import (
    account_currencies,
    gets_monthly_statements,
    shown_figures,
    statement_file,
    statement_of,
    statement_rows,
)
from billing.statements.services.request_statement import request_statement
from billing.statements.services.set_monthly import set_monthly_statements
from kernel import clock
from kernel.errors import DomainError
from kernel.period import local_day
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.queries import tenant_profile_by_id
from ui.errors import message_of
from ui.exports import file_stream
from ui.statements import StatementForm, last_month, statement_columns
from ui.tables import ListState, Table


@member_page(action=MemberAction.INVOICES_VIEW)
def statement_list(request: HttpRequest, here: Here) -> HttpResponse:
    """Newest first. A POST asks for one."""
    zone = tenant_profile_by_id(tenant_id=here.tenant_id).timezone
    currencies = account_currencies(tenant_id=here.tenant_id)
    if request.method != "POST":
        proposed = last_month(local_day(clock.now(), ZoneInfo(zone)))
        form = StatementForm(currencies=currencies, initial=proposed)
        return _page(request, here, form=form, zone=zone)
    form = StatementForm(request.POST, currencies=currencies)
    if not here.may(MemberAction.INVOICES_PAY):
        return _page(request, here, form=form, zone=zone, status=403)
    if form.is_valid():
        try:
            statement_id = request_statement(
                tenant_id=here.tenant_id,
                currency=form.cleaned_data["currency"],
                starts_on=form.cleaned_data["starts_on"],
                ends_on=form.ends_on(),
                now=clock.now(),
                actor=here.actor,
            )
        except DomainError as error:
            form.add_error("last_day", message_of(error))
        else:
            messages.success(request, gettext("The statement is being made."))
            return redirect("portal:statement", here.tenant_key, statement_id)
    return _page(request, here, form=form, zone=zone, status=422)


@require_POST
@member_page(action=MemberAction.INVOICES_PAY)
def set_monthly(request: HttpRequest, here: Here) -> HttpResponse:
    """Get one each month, or no more."""
    wanted = request.POST.get("monthly") == "yes"
    set_monthly_statements(
        tenant_id=here.tenant_id, wanted=wanted, now=clock.now(), actor=here.actor
    )
    messages.success(
        request,
        gettext("A statement is made of each month, a day after its end.")
        if wanted
        else gettext("No more statements are made by themselves."),
    )
    return redirect("portal:statements", here.tenant_key)


@member_page(action=MemberAction.INVOICES_VIEW)
def statement(request: HttpRequest, here: Here, statement_id: UUID) -> HttpResponse:
    """What it says, what was checked, and its files."""
    row = statement_of(statement_id=statement_id, tenant_id=here.tenant_id)
    return page(
        request,
        here,
        "portal/statement.html",
        place="statements",
        statement=row,
        figures=shown_figures(row),
        files=[
            (file, reverse("portal:statement_file", args=[here.tenant_key, row.id, file.name]))
            for file in row.files
        ],
    )


@member_page(action=MemberAction.INVOICES_VIEW)
def statement_file_of(
    request: HttpRequest, here: Here, statement_id: UUID, file_name: str
) -> HttpResponse:
    """A file, as it was kept."""
    found = statement_file(statement_id=statement_id, name=file_name, tenant_id=here.tenant_id)
    return file_stream(
        name=found.filename,
        media_type=found.file.media_type,
        size=found.file.size,
        sha256=found.file.sha256,
        parts=found.parts(),
    )


def _page(
    request: HttpRequest, here: Here, *, form: StatementForm, zone: str, status: int = 200
) -> HttpResponse:
    state = ListState.read(request.GET)
    found = statement_rows(tenant_id=here.tenant_id, limit=state.limit, offset=state.offset)
    return page(
        request,
        here,
        "portal/statements.html",
        place="statements",
        status=status,
        form=form,
        may_ask=bool(form.fields["currency"].choices),  # type: ignore[attr-defined]  # of ChoiceField
        monthly=gets_monthly_statements(tenant_id=here.tenant_id),
        table=Table(
            columns=statement_columns(
                zone=zone,
                url=lambda row: reverse("portal:statement", args=[here.tenant_key, row.id]),
                pdf_url=lambda row: reverse(
                    "portal:statement_file", args=[here.tenant_key, row.id, row.printed.name]
                ),
            ),
            rows=found.rows,
            total=found.total,
            state=state,
            caption=_("Statements of account"),
            empty_title=_("No statement yet"),
            empty_text=_("Ask for one of any days that are over, or let one come each month."),
        ),
    )
