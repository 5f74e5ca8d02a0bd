"""The ledger: a trial balance as of any day, and the statement of each account behind it."""

from datetime import UTC, date, datetime, time
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from billing.ledger.domain import Account
from billing.ledger.statements import (
    StatementRow,
    TrialRow,
    account_statement,
    statement_count,
    trial_balance,
)
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.currencies import current_codes
from kernel.errors import NotFound
from kernel.money import total
from tenants.permissions import StaffAction
from ui import words
from ui.cells import Instant, Link
from ui.exports import MAX_ROWS
from ui.tables import Column, ListState, Table, csv_of, wants_csv

STATEMENT_COLUMNS: Final[tuple[Column[StatementRow], ...]] = (
    Column(
        key="posted",
        label=_("Posted (UTC)"),
        value=lambda row: Instant(at=row.posted_at, zone="UTC"),
    ),
    Column(
        key="tenant",
        label=_("Tenant"),
        value=lambda row: Link(text=row.tenant, url=reverse("console:tenant", args=[row.tenant])),
    ),
    Column(
        key="description", label=_("Description"), value=lambda row: row.description, minor=True
    ),
    Column(key="amount", label=_("Amount"), value=lambda row: row.amount, numeric=True),
    Column(key="balance", label=_("Balance"), value=lambda row: row.balance, numeric=True),
)


def _day(request: HttpRequest) -> date:
    """The day that the address names; today where it names none, or none that there is."""
    try:
        return date.fromisoformat(request.GET.get("on", ""))
    except ValueError:
        return clock.now().astimezone(UTC).date()


def _end_of(day: date) -> datetime:
    """The last instant of a UTC day."""
    return datetime.combine(day, time.max, tzinfo=UTC)


@staff_page(action=StaffAction.LEDGER_VIEW, purpose="trial balance")
def ledger(request: StaffRequest) -> HttpResponse:
    """Each account's turnover and balance as of the end of a UTC day, by currency."""
    day = _day(request)
    columns: tuple[Column[TrialRow], ...] = (
        Column(
            key="account",
            label=_("Account"),
            value=lambda row: Link(
                text=words.word("account", row.account),
                url=reverse("console:account", args=[row.account, row.currency])
                + "?"
                + urlencode({"on": day.isoformat()}),
                note=row.currency,
            ),
        ),
        Column(key="debits", label=_("Debits"), value=lambda row: row.debits, numeric=True),
        Column(key="credits", label=_("Credits"), value=lambda row: row.credits, numeric=True),
        Column(key="balance", label=_("Balance"), value=lambda row: row.balance, numeric=True),
    )
    rows = trial_balance(at=_end_of(day))
    if wants_csv(request):
        return csv_of(columns=columns, rows=rows, name=f"trial-balance-{day.isoformat()}")
    table = Table(
        columns=columns,
        rows=rows,
        total=len(rows),
        state=ListState.read(request.GET),
        caption=_("Trial balance"),
        empty_title=_("Nothing was posted by this day"),
        empty_text=_("Invoices, payments, balances and credit notes post to the ledger."),
    )
    return page(
        request,
        "console/ledger.html",
        place="ledger",
        table=table,
        day=day,
        sums=[
            total((row.balance for row in rows if row.currency == currency), currency=currency)
            for currency in sorted({row.currency for row in rows})
        ],
    )


@staff_page(action=StaffAction.LEDGER_VIEW, purpose="statement of an account")
def account(request: StaffRequest, account: str, currency: str) -> HttpResponse:
    """The account's entries up to the end of a UTC day, newest first, each with the balance after it."""
    if account not in set(Account) or currency not in current_codes():
        raise NotFound("account_not_found", "There is no such account in the chart.")
    day = _day(request)
    state = ListState.read(request.GET, filters={"on": (day.isoformat(),)})
    exported = wants_csv(request)
    rows = account_statement(
        account=account,
        currency=currency,
        at=_end_of(day),
        tenant_key=state.search,
        limit=MAX_ROWS if exported else state.limit,
        offset=0 if exported else state.offset,
    )
    if exported:
        return csv_of(
            columns=STATEMENT_COLUMNS, rows=rows, name=f"{account}-{currency}-{day.isoformat()}"
        )
    return page(
        request,
        "console/account.html",
        place="ledger",
        table=Table(
            columns=STATEMENT_COLUMNS,
            rows=rows,
            total=statement_count(
                account=account, currency=currency, at=_end_of(day), tenant_key=state.search
            ),
            state=state,
            caption=words.word("account", account),
            empty_title=_("No entries"),
            empty_text=_("Nothing was posted to this account by this day."),
        ),
        state=state,
        day=day,
        name=words.word("account", account),
        currency=currency,
    )
