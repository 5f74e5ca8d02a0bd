"""Months of the books: which are closed, what hinders the next, and their close and reopening by two."""

from collections.abc import Mapping
from datetime import date
from typing import Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from billing.closing.domain import Hinder, Hindrance
from billing.closing.queries import (
    AskedPeriod,
    PeriodRow,
    PeriodState,
    PeriodView,
    period_count,
    period_rows,
    period_view,
    read_month,
)
from billing.closing.services.decide_period import approve_period, refuse_period
from billing.closing.services.request_period import request_period
from billing.ledger.domain import PeriodAction
from billing.ledger.statements import TrialRow
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.errors import DomainError, Invalid
from tenants.permissions import StaffAction, staff_may
from tenants.queries import people_of
from tenants.two_people import GOOD_FOR
from ui import words
from ui.cells import Instant, Link
from ui.errors import message_of
from ui.tables import Column, ListState, Table

COLUMNS: Final[tuple[Column[PeriodRow], ...]] = (
    Column(
        key="month",
        label=_("Month (UTC)"),
        value=lambda row: Link(
            text=f"{row.month:%Y-%m}",
            url=reverse("console:period", args=[f"{row.month:%Y-%m}"]),
            whole=True,
        ),
    ),
    Column(key="state", label=_("State"), value=lambda row: words.status("period", row.state)),
    Column(
        key="transactions",
        label=_("Transactions"),
        value=lambda row: row.transactions,
        numeric=True,
        minor=True,
    ),
    Column(
        key="revenue",
        label=_("Revenue"),
        value=lambda row: row.revenue[0] if len(row.revenue) == 1 else _many(row),
        numeric=True,
    ),
)

FIGURES: Final[tuple[Column[TrialRow], ...]] = (
    Column(
        key="account",
        label=_("Account"),
        value=lambda row: Link(
            text=words.word("account", row.account),
            url=reverse("console:account", args=[row.account, row.currency]),
            note=row.currency,
        ),
    ),
    Column(key="debits", label=_("Debits"), value=lambda row: row.debits, numeric=True, minor=True),
    Column(
        key="credits", label=_("Credits"), value=lambda row: row.credits, numeric=True, minor=True
    ),
    Column(key="balance", label=_("Balance"), value=lambda row: row.balance, numeric=True),
)


def _asked_columns(people: Mapping[str, str]) -> tuple[Column[AskedPeriod], ...]:
    return (
        Column(
            key="action",
            label=_("What"),
            value=lambda row: words.word("period_action", row.action.value),
        ),
        Column(
            key="state",
            label=_("State"),
            value=lambda row: words.status("period_request", row.state),
        ),
        Column(
            key="by",
            label=_("Asked for by"),
            value=lambda row: people.get(row.requested_by, row.requested_by),
        ),
        Column(
            key="at",
            label=_("Asked for (UTC)"),
            value=lambda row: Instant(at=row.requested_at, zone="UTC"),
        ),
        Column(
            key="decided",
            label=_("Decided by"),
            value=lambda row: people.get(row.decided_by, row.decided_by),
            minor=True,
        ),
        Column(key="reason", label=_("Reason"), value=lambda row: row.reason, minor=True),
    )


_HINDERS: Final[dict[Hindrance, str | Promise]] = {
    Hindrance.NOT_OVER: _("The month is not over before %(first)s (UTC)."),
    Hindrance.EARLIER_OPEN: _("Earlier months are open, the first is %(first)s; close them first."),
    Hindrance.NOT_BILLED: _(
        "Subscriptions that are due and not billed: %(count)s, such as that of %(first)s. Start a billing run."
    ),
    Hindrance.LEFT_ASIDE: _(
        "Subscriptions that billing left aside: %(count)s, such as that of %(first)s. Its page says why."
    ),
    Hindrance.DRAFTS: _(
        "Drafts that should have been issued by now: %(count)s, such as one of %(first)s. Start a billing run."
    ),
    Hindrance.NOT_EARNED: _(
        "Revenue billed in advance is not recognised up to the end of the month (last: %(first)s)."
    ),
    Hindrance.UNBALANCED: _(
        "Transactions that do not sum to zero: %(count)s, the first is %(first)s."
    ),
    Hindrance.POSTED_OTHERWISE: _(
        "Invoices whose posting is not their total: %(count)s, the first is %(first)s."
    ),
    Hindrance.DRIFTED: _("Days whose certificate differs: %(count)s, the first is %(first)s."),
    Hindrance.NOT_CERTIFIED: _(
        "Days with postings that have no certificate: %(count)s, the first is %(first)s."
    ),
}


def _many(row: PeriodRow) -> str:
    return ", ".join(f"{each}" for each in row.revenue)


def _told(each: Hinder) -> str:
    return str(_HINDERS[each.what]) % {"count": each.count, "first": each.first}


@staff_page(action=StaffAction.LEDGER_VIEW, purpose="accounting months")
def period_list(request: StaffRequest) -> HttpResponse:
    """Newest first."""
    state, now = ListState.read(request.GET), clock.now()
    return page(
        request,
        "console/periods.html",
        place="periods",
        table=Table(
            columns=COLUMNS,
            rows=period_rows(now=now, limit=state.limit, offset=state.offset),
            total=period_count(now=now),
            state=state,
            caption=_("Accounting months"),
            empty_title=_("The books are empty"),
            empty_text=_("With the first posting the first month begins."),
        ),
    )


@staff_page(action=StaffAction.LEDGER_VIEW, purpose="accounting month")
def period(request: StaffRequest, month: str) -> HttpResponse:
    """One month; a POST asks that it be closed or opened again, or decides what somebody asked."""
    first = read_month(month)
    may_close = staff_may(role=request.user.staff_role, action=StaffAction.PERIODS_CLOSE)
    status, fault = 200, ""
    if request.method == "POST":
        if not may_close:
            status = 403
        else:
            try:
                messages.success(request, _done(request, first))
            except DomainError as error:
                status, fault = 422 if isinstance(error, Invalid) else 409, message_of(error)
            else:
                return redirect("console:period", month=month)
    view = period_view(month=first, now=clock.now())
    people = people_of(
        {name for each in view.asked for name in (each.requested_by, each.decided_by)}
    )
    return page(
        request,
        "console/period.html",
        place="periods",
        status=status,
        fault=fault,
        view=view,
        hinders=[_told(each) for each in view.hinders],
        may_close=may_close,
        is_own=view.waiting is not None and view.waiting.requested_by == _actor(request),
        good_until=None if view.waiting is None else view.waiting.requested_at + GOOD_FOR,
        can_ask_to_close=view.state is PeriodState.OPEN and not view.hinders,
        can_ask_to_reopen=view.state is PeriodState.CLOSED,
        figures=_figures(view),
        history=_history(view, people),
        asked_by=""
        if view.waiting is None
        else people.get(view.waiting.requested_by, view.waiting.requested_by),
    )


def _actor(request: StaffRequest) -> str:
    return f"user:{request.user.pk}"


def _done(request: StaffRequest, month: date) -> str:
    """Do what the form asks; gives what to say. Raises DomainError."""
    now, actor = clock.now(), _actor(request)
    asked = request.POST.get("do", "")
    if asked in {"approve", "refuse"}:
        try:
            request_id = UUID(request.POST.get("request", ""))
        except ValueError:
            request_id = UUID(int=0)
        if asked == "approve":
            approve_period(request_id=request_id, now=now, actor=actor)
            return gettext("Done. It is kept in the month's history.")
        refuse_period(request_id=request_id, now=now, actor=actor)
        return gettext("Refused. Nothing changed.")
    request_period(
        month=month,
        action=PeriodAction.REOPEN if asked == "reopen" else PeriodAction.CLOSE,
        reason=request.POST.get("reason", ""),
        now=now,
        actor=actor,
    )
    return gettext("Asked for. Somebody else has to approve it.")


def _figures(view: PeriodView) -> Table[TrialRow]:
    return Table(
        columns=FIGURES,
        rows=view.figures,
        caption=_("Trial balance at the end of the month"),
        empty_title=_("Nothing was posted by this day"),
        empty_text=_("Invoices, payments, balances and credit notes post to the ledger."),
    )


def _history(view: PeriodView, people: Mapping[str, str]) -> Table[AskedPeriod]:
    return Table(
        columns=_asked_columns(people),
        rows=view.asked,
        caption=_("History"),
        empty_title=_("Nothing was asked of this month yet"),
        empty_text=_("Who asked, who approved and when will stand here."),
    )
