"""Where a member begins: which tenant, and what needs attention there."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language

from billing.invoicing.listings import OVERDUE, invoice_rows
from billing.invoicing.receivables import receivables
from billing.invoicing.services.preview_next_invoice import preview_next_invoices
from billing.subscriptions.queries import subscriptions_of
from kernel import clock
from kernel.period import Period, local_day
from kernel.zones import zone_named
from metering import queries as metering
from metering.meters.domain import METERS
from portal.access import Here, member_page
from portal.frame import page
from tenants.models import User
from tenants.permissions import MemberAction
from tenants.queries import apps_of, memberships_of, tenant_profile_by_id
from ui.plan_terms import plan_name
from ui.sign_in import sign_in_first
from ui.working import shown_line

_SPARK_DAYS = 30
_ALWAYS_SHOWN = ("dau", "messages")
"""Meters that are shown without usage too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterSoFar:
    """One app and meter in the running period: its highest day, its sum, and its newest days."""

    app_key: str
    meter: str
    adds_up: bool
    highest: Decimal
    total: Decimal
    newest: tuple[Decimal, ...]


def tenants(request: HttpRequest) -> HttpResponse:
    """The tenants that a person belongs to; straight on when there is one."""
    if not isinstance(request.user, User):
        return sign_in_first(request)
    memberships = memberships_of(user_id=request.user.pk)
    if len(memberships) == 1:
        return redirect("portal:home", tenant_key=memberships[0].tenant_key)
    return render(request, "portal/tenants.html", {"memberships": memberships})


@member_page(action=MemberAction.HOME_VIEW)
def home(request: HttpRequest, here: Here) -> HttpResponse:
    """What needs attention, what has been used so far, and what is to be paid."""
    now = clock.now()
    profile = tenant_profile_by_id(tenant_id=here.tenant_id)
    running = [
        (each, each.period_at(now))
        for each in subscriptions_of(tenant_id=here.tenant_id)
        if each.ends_at is None or each.ends_at > now
    ]
    sees_invoices = here.may(MemberAction.INVOICES_VIEW)
    unpaid = invoice_rows(
        now=now, tenant_id=here.tenant_id, state="open", issued_only=True, sort="due", limit=5
    )
    today = local_day(now, zone_named(profile.timezone))
    subscription, period = running[0] if running else (None, None)
    upcoming = preview_next_invoices(tenant_id=here.tenant_id, now=now) if sees_invoices else ()
    language = get_language() or "en"
    return page(
        request,
        here,
        "portal/home.html",
        place="home",
        zone=profile.timezone,
        now=now,
        status_code=profile.status.value,
        subscription=subscription,
        running=[
            (each, plan_name(each.document, language=language), runs) for each, runs in running
        ],
        period=period,
        used=_used(here.tenant_id, period=period, today=today, zone=profile.timezone),
        upcoming=[
            (
                each,
                plan_name(each.plan_document, language=language),
                [shown_line(line) for line in each.lines],
            )
            for each in upcoming
        ],
        unpaid=unpaid.rows if sees_invoices else (),
        overdue=[row for row in unpaid.rows if row.state == OVERDUE] if sees_invoices else [],
        receivables=receivables(now=now, tenant_id=here.tenant_id) if sees_invoices else (),
    )


def _used(
    tenant_id: UUID, *, period: Period | None, today: date, zone: str
) -> tuple[MeterSoFar, ...]:
    """Usage of the running period by app and meter; of the last 30 days where there is none."""
    since = local_day(period.starts_at, zone_named(zone)) if period else today - timedelta(days=29)
    oldest = min(since, today - timedelta(days=_SPARK_DAYS - 1))
    values: dict[tuple[UUID, str], dict[date, Decimal]] = {}
    for row in metering.usage(
        tenant_ids=[tenant_id],
        meters=[meter.key for meter in METERS.values() if meter.marks == meter.key],
        from_day=oldest,
        to_day=today + timedelta(days=1),
    ):
        by_day = values.setdefault((row.app_id, row.meter), {})
        by_day[row.day] = by_day.get(row.day, Decimal(0)) + row.value
    newest = [today - timedelta(days=back) for back in range(_SPARK_DAYS - 1, -1, -1)]
    return tuple(
        MeterSoFar(
            app_key=app.key,
            meter=meter,
            adds_up=METERS[meter].adds_up,
            highest=max(
                (value for day, value in by_day.items() if day >= since), default=Decimal(0)
            ),
            total=sum((value for day, value in by_day.items() if day >= since), Decimal(0)),
            newest=tuple(by_day.get(day, Decimal(0)) for day in newest),
        )
        for app in apps_of(tenant_id=tenant_id)
        for meter in METERS
        for by_day in [values.get((app.id, meter), {})]
        if by_day or meter in _ALWAYS_SHOWN
    )
