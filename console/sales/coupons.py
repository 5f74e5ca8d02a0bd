"""Coupons: the list, making one, retiring one, and the discounts of a tenant."""

from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from billing.catalog.domain import PlanFaults
from billing.discounts.queries import CouponRow, coupon_by_code, coupon_page
from billing.discounts.services import create_coupons, retire_coupon
from billing.invoicing.discounts_taken import discounts_taken
from billing.rating.adjustments.discounts import DiscountType
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.period import local_day
from kernel.zones import zone_named
from tenants.permissions import StaffAction, staff_may
from tenants.queries import tenant_profile
from ui import words
from ui.cells import Cell, Code, Status
from ui.discounts import gives_text, lasts_text
from ui.pages import PAGE_SIZE
from ui.tables import Column, ListState, Table

_EMPTY: Final = (
    "currency",
    "prices",
    "plans",
    "valid_from",
    "valid_to",
    "max_redemptions",
    "periods",
)


def _state(row: CouponRow) -> Status:
    """Whether it may be redeemed today, by UTC; a tenant's own zone decides in the end."""
    today = clock.now().date()
    if row.retired_at is not None:
        return words.status("coupon", "retired")
    if row.is_used_up:
        return words.status("coupon", "used_up")
    if row.valid_to is not None and row.valid_to <= today:
        return words.status("coupon", "expired")
    if row.valid_from is not None and row.valid_from > today:
        return words.status("coupon", "planned")
    return words.status("coupon", "open")


def _redeemed(row: CouponRow) -> Cell:
    if row.max_redemptions is None:
        return row.redeemed
    return f"{row.redeemed} / {row.max_redemptions}"


COUPON_COLUMNS: Final[tuple[Column[CouponRow], ...]] = (
    Column(key="code", label=_("Code"), value=lambda row: Code(text=row.terms.coupon)),
    Column(key="name", label=_("Name"), value=lambda row: row.terms.name, minor=True),
    Column(
        key="gives",
        label=_("Gives"),
        value=lambda row: gives_text(row.terms, language=get_language() or "en"),
    ),
    Column(key="lasts", label=_("Lasts"), value=lambda row: lasts_text(row.terms.periods)),
    Column(key="state", label=_("State"), value=_state),
    Column(key="redeemed", label=_("Redeemed"), value=_redeemed, numeric=True),
    Column(key="from", label=_("From"), value=lambda row: row.valid_from, minor=True),
    Column(key="to", label=_("To before"), value=lambda row: row.valid_to, minor=True),
)


def _day(label: Any, help_text: Any) -> forms.DateField:
    return forms.DateField(
        label=label,
        help_text=help_text,
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
    )


class CouponForm(forms.Form):
    """What a coupon gives, to what, for how long, and who may redeem it."""

    code = forms.CharField(
        label=_("Code"),
        help_text=_("3 to 40 letters, digits, dashes and underscores, such as WELCOME20."),
        max_length=40,
    )
    name = forms.CharField(
        label=_("Name"), help_text=_("Invoices name it."), required=False, max_length=200
    )
    type = forms.ChoiceField(label=_("Kind"))
    value = forms.CharField(
        label=_("How much"),
        help_text=_("Percent, an amount of the currency, or a free quantity."),
        max_length=40,
    )
    currency = forms.CharField(
        label=_("Currency"),
        help_text=_("Only of a fixed amount, such as CNY."),
        required=False,
        max_length=3,
    )
    prices = forms.CharField(
        label=_("Only these prices"),
        help_text=_("Keys with commas between; left empty, all."),
        required=False,
        max_length=1000,
    )
    plans = forms.CharField(label=_("Only these plans"), required=False, max_length=1000)
    periods = forms.IntegerField(
        label=_("For how many billing periods"),
        help_text=_("1 for once; left empty, for all that follow."),
        required=False,
        min_value=1,
    )
    valid_from = _day(_("Redeemable from"), "")
    valid_to = _day(_("Redeemable before"), _("From this day on nobody redeems it."))
    max_redemptions = forms.IntegerField(
        label=_("How often in all"),
        help_text=_("Left empty, without bound. A tenant redeems it once."),
        required=False,
        min_value=1,
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["type"].choices = [  # type: ignore[attr-defined]  # of ChoiceField
            (each.value, words.word("discount_type", each.value)) for each in DiscountType
        ]

    def document(self) -> dict[str, Any]:
        """As a file of coupons says it; what is left empty is left out."""
        given = dict(self.cleaned_data)
        for name in ("prices", "plans"):
            given[name] = [key for each in given[name].split(",") if (key := each.strip())]
        for name in ("valid_from", "valid_to"):
            given[name] = given[name].isoformat() if given[name] else None
        given["currency"] = given["currency"].strip().upper()
        given["value"] = given["value"].strip()
        given["name"] = given["name"].strip() or given["code"]
        return {name: each for name, each in given.items() if each or name not in _EMPTY}


@staff_page(action=StaffAction.COUPONS_VIEW, purpose="coupons list")
def coupons(request: StaffRequest) -> HttpResponse:
    """Newest first, a page at a time; search by code or name."""
    state = ListState.read(request.GET)
    after = _after(request.GET.get("after", ""))
    rows = coupon_page(limit=PAGE_SIZE + 1, after=after, search=state.search)
    shown = rows[:PAGE_SIZE]
    table = Table(
        columns=COUPON_COLUMNS,
        rows=shown,
        state=state,
        caption=_("Coupons"),
        empty_title=_("No coupons yet"),
        empty_text=_("A coupon is a discount that tenants get by its code."),
    )
    return page(
        request,
        "console/coupons.html",
        place="coupons",
        table=table,
        state=state,
        retirable=[row for row in shown if row.retired_at is None]
        if staff_may(role=request.user.staff_role, action=StaffAction.COUPONS_CHANGE)
        else [],
        next=str(shown[-1].id) if len(rows) > PAGE_SIZE else "",
    )


@never_cache
@staff_page(action=StaffAction.COUPONS_CHANGE, purpose="make a coupon")
def new_coupon(request: StaffRequest) -> HttpResponse:
    """A form; what it says can't be changed afterwards, and a code is there once."""
    form = CouponForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            (code,) = create_coupons(
                document=[form.document()], now=clock.now(), actor=f"user:{request.user.pk}"
            )
        except PlanFaults as refusal:
            for fault in refusal.faults:
                field = fault.path.partition("].")[2].partition("[")[0]
                text = fault.message.removeprefix(f"{fault.path} ")
                form.add_error(field if field in form.fields else None, text)
        else:
            messages.success(request, gettext("The coupon %(code)s is made.") % {"code": code})
            return redirect("console:coupons")
    return page(
        request,
        "console/coupon.html",
        place="coupons",
        status=422 if form.errors else 200,
        form=form,
    )


@require_POST
@staff_page(action=StaffAction.COUPONS_CHANGE, purpose="retire a coupon")
def retire(request: StaffRequest, code: str) -> HttpResponse:
    """Nobody redeems it from now on; what was redeemed stays. Raises NotFound `coupon_not_found`."""
    row = coupon_by_code(code)
    retire_coupon(code=row.terms.coupon, now=clock.now(), actor=f"user:{request.user.pk}")
    messages.success(
        request, gettext("The coupon %(code)s is retired.") % {"code": row.terms.coupon}
    )
    return redirect("console:coupons")


@staff_page(action=StaffAction.COUPONS_VIEW, purpose="discounts of a tenant")
def tenant_discounts(request: StaffRequest, tenant_key: str) -> HttpResponse:
    """What its subscriptions hold, and what each took. Raises NotFound `tenant_not_found`."""
    profile = tenant_profile(key=tenant_key)
    today = local_day(clock.now(), zone_named(profile.timezone))
    language = get_language() or "en"
    return page(
        request,
        "console/discounts.html",
        place="tenants",
        profile=profile,
        discounts=[
            (each, gives_text(each.held.terms, language=language))
            for each in discounts_taken(tenant_id=profile.id, today=today)
        ],
    )


def _after(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
