"""A tenant's prepaid balance: what is left, what it paid, and granting more."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from billing.ledger.domain import LOWEST_PRIORITY, BalanceKind
from billing.payments.balance_listing import balance_sums, draw_rows, lot_rows
from billing.payments.services.grant_balance import check_grant, grant_balance
from billing.rating.adjustments.credits import CreditScope
from billing.subscriptions.queries import subscriptions_of
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock, ids
from kernel.errors import Conflict, DomainError
from kernel.money import Money
from kernel.period import local_midnight
from kernel.zones import zone_named
from tenants.permissions import StaffAction
from tenants.queries import TenantProfile, tenant_profile
from ui import words
from ui.balances import draw_columns, kinds_left, lot_columns, scope_text
from ui.confirmed import once_id, once_token
from ui.errors import message_of
from ui.exports import MAX_ROWS
from ui.tables import ListState, Table, csv_of, wants_csv

_SHOWN: Final = {"show": ["paid"]}
_KEYS: Final = ("prices", "plans", "apps")


class GrantForm(forms.Form):
    """What is granted, until when, and what it may pay."""

    kind = forms.ChoiceField(
        label=_("Kind"),
        help_text=_("Cash was paid in by the tenant; gifts and vouchers are given to it."),
    )
    amount = forms.RegexField(
        r"\A[0-9]+(\.[0-9]+)?\Z",
        label=_("Amount"),
        max_length=40,
        strip=True,
        error_messages={
            "invalid": _("Write a number such as 1234.50, without thousands separators.")
        },
    )
    currency = forms.ChoiceField(label=_("Currency"))
    ends_on = forms.DateField(
        label=_("Ends on"),
        help_text=_(
            "The first day, in the tenant's time zone, on which it pays nothing more. "
            "Left empty, it does not end."
        ),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
    )
    priority = forms.IntegerField(
        label=_("Priority"),
        help_text=_("The lower pays first; 0 is usual."),
        initial=0,
        min_value=-LOWEST_PRIORITY,
        max_value=LOWEST_PRIORITY,
    )
    prices = forms.CharField(
        label=_("Only these prices"),
        help_text=_("Keys with commas between; left empty, it pays everything."),
        required=False,
        max_length=1000,
    )
    plans = forms.CharField(label=_("Only these plans"), required=False, max_length=1000)
    apps = forms.CharField(label=_("Only these apps"), required=False, max_length=1000)
    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("For the audit trail: the order, the complaint, the transfer."),
        max_length=200,
    )

    def __init__(self, *args: Any, currencies: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [  # type: ignore[attr-defined]  # of ChoiceField
            (kind.value, words.word("balance", kind.value)) for kind in reversed(BalanceKind)
        ]
        self.fields["currency"].choices = [(each, each) for each in currencies]  # type: ignore[attr-defined]  # of ChoiceField

    def scope(self) -> CreditScope:
        """What it may pay."""
        return CreditScope(
            **{
                name: frozenset(
                    key for each in self.cleaned_data[name].split(",") if (key := each.strip())
                )
                for name in _KEYS
            }
        )

    def ends_at(self, timezone: str) -> datetime | None:
        """The local midnight from which it pays nothing."""
        ends_on = self.cleaned_data["ends_on"]
        return None if ends_on is None else local_midnight(ends_on, zone_named(timezone))


@staff_page(action=StaffAction.INVOICES_VIEW, purpose="balance of a tenant")
def balance(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """What is left by currency and kind, what came in and when it ends, and what it paid."""
    profile = tenant_profile(key=tenant_key)
    now = clock.now()
    state = ListState.read(request.GET, filters=_SHOWN)
    export = wants_csv(request)
    limit, offset = (MAX_ROWS, 0) if export else (state.limit, state.offset)
    shows_draws = bool(state.filters)
    if shows_draws:
        drawn = draw_rows(tenant_id=profile.id, limit=limit, offset=offset)
        columns = draw_columns(
            zone=profile.timezone,
            invoice_url=lambda invoice_id: reverse("console:invoice", args=[invoice_id]),
        )
        table: Table[Any] = Table(
            columns=columns,
            rows=drawn.rows,
            total=drawn.total,
            state=state,
            caption=_("What the balance paid"),
            empty_title=_("Nothing paid yet"),
            empty_text=_("Invoices are paid from the balance when they are issued."),
            exportable=drawn.total <= MAX_ROWS,
        )
    else:
        lots = lot_rows(tenant_id=profile.id, now=now, limit=limit, offset=offset)
        table = Table(
            columns=lot_columns(zone=profile.timezone),
            rows=lots.rows,
            total=lots.total,
            state=state,
            caption=_("What came in"),
            empty_title=_("No balance yet"),
            empty_text=_(
                "It comes from top-ups, grants, credit notes, and payments above what was owed."
            ),
            exportable=lots.total <= MAX_ROWS,
        )
    if export:
        return csv_of(columns=table.columns, rows=table.rows, name=f"balance-{tenant_key}")
    return page(
        request,
        "console/balance.html",
        place="tenants",
        profile=profile,
        zone=profile.timezone,
        sums=[
            (each, kinds_left(each.left)) for each in balance_sums(tenant_id=profile.id, now=now)
        ],
        table=table,
        shows_draws=shows_draws,
    )


@never_cache
@staff_page(action=StaffAction.BALANCES_GRANT, purpose="grant a balance")
def grant(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """A form; then what it says, to be confirmed; then the grant, once however often it is sent."""
    profile = tenant_profile(key=tenant_key)
    currencies = _currencies(profile)
    form = GrantForm(request.POST or None, currencies=currencies)
    confirmed = False
    if request.method == "POST" and form.is_valid():
        token = once_id(request.POST.get("token", ""), what=f"grant to {profile.id}")
        if (
            token is not None
            and "back" not in request.POST
            and _is_granted(request, profile, form, grant_id=token)
        ):
            messages.success(request, gettext("The balance is granted."))
            return redirect("console:balance", tenant_key=tenant_key)
        confirmed = not form.errors and "back" not in request.POST
        if confirmed:
            _refuse_early(profile, form)
            confirmed = not form.errors
    told = form.cleaned_data if confirmed else {}
    return page(
        request,
        "console/grant.html",
        place="tenants",
        status=422 if form.errors else 200,
        profile=profile,
        form=form,
        to_confirm=confirmed,
        amount=Money.of(told["amount"], told["currency"]) if confirmed else None,
        kind=words.word("balance", told["kind"]) if confirmed else "",
        ends_at=form.ends_at(profile.timezone) if confirmed else None,
        pays=scope_text(form.scope()) if confirmed else "",
        token=once_token(ids.new_id(), what=f"grant to {profile.id}"),
    )


def _currencies(profile: TenantProfile) -> list[str]:
    """Those in which the tenant is billed or has a balance, what it holds now first."""
    held = [each.terms.currency for each in subscriptions_of(tenant_id=profile.id)]
    had = [each.currency for each in balance_sums(tenant_id=profile.id, now=clock.now())]
    return list(dict.fromkeys([*held, *had])) or ["CNY"]


def _is_granted(
    request: StaffRequest, profile: TenantProfile, form: GrantForm, *, grant_id: UUID
) -> bool:
    """Grant it; what is refused stands at its field."""
    given = form.cleaned_data
    try:
        grant_balance(
            tenant_id=profile.id,
            kind=BalanceKind(given["kind"]),
            amount=Money.of(given["amount"], given["currency"]),
            expires_at=form.ends_at(profile.timezone),
            priority=given["priority"],
            scope=form.scope(),
            reason=given["reason"],
            now=clock.now(),
            actor=f"user:{request.user.pk}",
            grant_id=grant_id,
        )
    except Conflict as error:
        # Sent again: it was granted by the first.
        return error.code == "already_granted"
    except DomainError as error:
        _at_field(form, error)
        return False
    return True


def _refuse_early(profile: TenantProfile, form: GrantForm) -> None:
    """What the grant would be refused for, before it is shown to be confirmed."""
    given = form.cleaned_data
    try:
        check_grant(
            tenant_id=profile.id,
            amount=Money.of(given["amount"], given["currency"]),
            expires_at=form.ends_at(profile.timezone),
            priority=given["priority"],
            scope=form.scope(),
            now=clock.now(),
        )
    except DomainError as error:
        _at_field(form, error)


def _at_field(form: GrantForm, error: DomainError) -> None:
    name = {"expires_at": "ends_on"}.get(error.field or "", error.field or "")
    name = str(error.params.get("part", name))
    form.add_error(name if name in form.fields else None, message_of(error))
