"""Statements of account: all of them, a tenant's with the form that asks for one, and one with its files."""

from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.statements.domain.states import StatementState
from billing.statements.queries import (
    StatementPage,
    account_currencies,
    gets_monthly_statements,
    shown_figures,
    statement_file,
    statement_of,
    statement_rows,
)
from billing.statements.services.request_statement import request_statement
from billing.statements.services.set_monthly import set_monthly_statements
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import DomainError
from kernel.period import local_day
from tenants.permissions import StaffAction, staff_may
from tenants.queries import TenantProfile, tenant_profile
from ui import words
from ui.cells import Link
from ui.errors import message_of
from ui.exports import file_stream
from ui.statements import StatementForm, last_month, statement_columns
from ui.tables import Column, ListState, Table

_TENANT: Final[tuple[Column[Any], ...]] = (
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(
            text=row.tenant_name, url=reverse("console:tenant_statements", args=[row.tenant_key])
        ),
    ),
)


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="statements list")
def statement_list(request: StaffRequest) -> HttpResponse:
    """Of all tenants, newest first."""
    state = ListState.read(request.GET, filters={"state": list(StatementState)})
    chosen = state.filters.get("state", "")
    found = statement_rows(
        state=StatementState(chosen) if chosen else None,
        tenant_key=state.search,
        limit=state.limit,
        offset=state.offset,
    )
    return page(
        request,
        "console/statements.html",
        place="statements",
        state=state,
        filters=[
            (
                "state",
                _("All states"),
                [
                    (each.value, words.status("statement", each).label, chosen == each)
                    for each in StatementState
                ],
            )
        ],
        table=_table(
            found,
            state,
            before=_TENANT,
            empty_text=_("Open a tenant and ask for one there, or let one come each month."),
        ),
    )


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="statements of tenant")
def of_tenant(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """A tenant's, newest first. A POST asks for one, or sets whether one comes each month."""
    profile = tenant_profile(key=tenant_key)
    currencies = account_currencies(tenant_id=profile.id)
    actor = f"user:{request.user.pk}"
    if request.method != "POST":
        proposed = last_month(local_day(clock.now(), ZoneInfo(profile.timezone)))
        form = StatementForm(currencies=currencies, initial=proposed)
        return _of_tenant(request, profile, form=form)
    form = StatementForm(request.POST, currencies=currencies)
    if not staff_may(role=request.user.staff_role, action=StaffAction.STATEMENTS_MAKE):
        return _of_tenant(request, profile, form=form, status=403)
    if "monthly" in request.POST:
        set_monthly_statements(
            tenant_id=profile.id,
            wanted=request.POST["monthly"] == "yes",
            now=clock.now(),
            actor=actor,
        )
        messages.success(request, gettext("Kept."))
        return redirect("console:tenant_statements", tenant_key)
    if form.is_valid():
        try:
            statement_id = request_statement(
                tenant_id=profile.id,
                currency=form.cleaned_data["currency"],
                starts_on=form.cleaned_data["starts_on"],
                ends_on=form.ends_on(),
                now=clock.now(),
                actor=actor,
            )
        except DomainError as error:
            form.add_error("last_day", message_of(error))
        else:
            messages.success(request, gettext("The statement is being made."))
            return redirect("console:statement", statement_id)
    return _of_tenant(request, profile, form=form, status=422)


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="read a statement")
def statement(request: StaffRequest, statement_id: UUID) -> HttpResponse:
    """What it says, what was checked, and its files."""
    row = statement_of(statement_id=statement_id)
    return page(
        request,
        "console/statement.html",
        place="statements",
        statement=row,
        figures=shown_figures(row),
        files=[
            (file, reverse("console:statement_file", args=[row.id, file.name]))
            for file in row.files
        ],
    )


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="download a statement's file")
def statement_file_of(request: StaffRequest, statement_id: UUID, file_name: str) -> HttpResponse:
    """A file, as it was kept."""
    found = statement_file(statement_id=statement_id, name=file_name)
    return file_stream(
        name=found.filename,
        media_type=found.file.media_type,
        size=found.file.size,
        sha256=found.file.sha256,
        parts=found.parts(),
    )


def _of_tenant(
    request: StaffRequest, profile: TenantProfile, *, form: StatementForm, status: int = 200
) -> HttpResponse:
    state = ListState.read(request.GET)
    found = statement_rows(tenant_id=profile.id, limit=state.limit, offset=state.offset)
    return page(
        request,
        "console/tenant_statements.html",
        place="tenants",
        status=status,
        profile=profile,
        form=form,
        may_ask=bool(form.fields["currency"].choices),  # type: ignore[attr-defined]  # of ChoiceField
        monthly=gets_monthly_statements(tenant_id=profile.id),
        table=_table(found, state, empty_text=_("Ask for one of any days that are over.")),
    )


def _table(
    found: StatementPage,
    state: ListState,
    *,
    empty_text: Any,
    before: tuple[Column[Any], ...] = (),
) -> Table[Any]:
    return Table(
        columns=statement_columns(
            zone="UTC",
            url=lambda row: reverse("console:statement", args=[row.id]),
            pdf_url=lambda row: reverse("console:statement_file", args=[row.id, row.printed.name]),
            before=before,
        ),
        rows=found.rows,
        total=found.total,
        state=state,
        caption=_("Statements of account"),
        empty_title=_("No statement yet"),
        empty_text=empty_text,
    )
