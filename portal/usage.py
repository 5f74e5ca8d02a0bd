"""Usage: a chart and the days behind it, per app and meter, for a month of the tenant's zone."""

from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from kernel import clock
from kernel.period import local_day
from kernel.zones import zone_named
from metering import queries as metering
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.queries import apps_of, tenant_profile_by_id
from ui import exports, formats, words
from ui.charts import Shape, daily_figure
from ui.tables import wants_csv

_MONTHS_OFFERED = 24


@member_page(action=MemberAction.USAGE_VIEW)
def usage(request: HttpRequest, here: Here) -> HttpResponse:
    """The chosen month; without a choice the newest month that has usage."""
    profile = tenant_profile_by_id(tenant_id=here.tenant_id)
    apps = apps_of(tenant_id=here.tenant_id)
    today = local_day(clock.now(), zone_named(profile.timezone))
    meter = request.GET.get("meter", "dau")
    meters = metering.known_meters()
    meter = meter if meter in meters else "dau"
    app_key = request.GET.get("app", "")
    chosen_apps = [app for app in apps if app.key == app_key] or list(apps)
    names = {app.id: app.key for app in chosen_apps}
    this_month = today.replace(day=1)
    known = [_month_before(this_month, back) for back in range(_MONTHS_OFFERED)]
    month = _given_month(request.GET.get("month", ""), known=known)
    if month is None:
        month = _newest_month(here.tenant_id, meter=meter, months=known)
    until = min(_month_after(month), today + timedelta(days=1))
    values: dict[str, dict[date, Decimal]] = {app.key: {} for app in chosen_apps}
    for row in metering.usage(
        tenant_ids=[here.tenant_id], meters=[meter], from_day=month, to_day=until
    ):
        if row.app_id in names:
            by_day = values[names[row.app_id]]
            by_day[row.day] = by_day.get(row.day, Decimal(0)) + row.value
    days = [month + timedelta(days=offset) for offset in range((until - month).days)]
    if wants_csv(request):
        return exports.csv_response(
            name=f"usage-{meter}-{month:%Y-%m}",
            header=["day", *values],
            rows=([day, *(values[key].get(day, Decimal(0)) for key in values)] for day in days),
        )
    language = get_language() or "en"
    closed = metering.closed_until(tenant_ids=[here.tenant_id]).get(here.tenant_id)
    return page(
        request,
        here,
        "portal/usage.html",
        place="usage",
        zone=profile.timezone,
        meter=meter,
        adds_up=meters[meter].adds_up,
        meters=[(key, words.word("meter", key), key == meter) for key in meters],
        apps=[(app.key, app.key == app_key) for app in apps],
        months=[
            (
                f"{each:%Y-%m}",
                formats.month_text(each, language=language),
                each == month,
            )
            for each in known
        ],
        month_name=formats.month_text(month, language=language),
        figure=daily_figure(
            key="usage",
            title=words.word("meter", meter),
            days=days,
            values=values,
            language=language,
            shape=Shape.STACKED if meters[meter].adds_up else Shape.LINE,
        )
        if any(values.values())
        else None,
        summaries=[
            (
                key,
                max(by_day.values(), default=Decimal(0)),
                max(by_day, key=lambda day: (by_day[day], -day.toordinal()), default=None),
                sum(by_day.values(), Decimal(0)),
            )
            for key, by_day in values.items()
        ],
        heads=list(values),
        lines=[
            (
                day,
                [by_day.get(day, Decimal(0)) for by_day in values.values()],
                "closed" if closed and day < closed else "open",
            )
            for day in reversed(days)
        ],
        export=f"?meter={meter}&app={app_key if len(chosen_apps) == 1 else ''}"
        f"&month={month:%Y-%m}&format=csv",
        all_apps=_("All apps"),
    )


def _newest_month(tenant_id: UUID, *, meter: str, months: list[date]) -> date:
    """The running month if it has usage, else the newest offered one that has, else the running one."""
    running, oldest = months[0], months[-1]
    for since in (running, oldest):
        rows = metering.usage(
            tenant_ids=[tenant_id], meters=[meter], from_day=since, to_day=_month_after(running)
        )
        if rows:
            return max(row.day for row in rows).replace(day=1)
    return running


def _given_month(text: str, *, known: list[date]) -> date | None:
    return next((month for month in known if f"{month:%Y-%m}" == text), None)


def _month_before(month: date, count: int) -> date:
    index = month.year * 12 + month.month - 1 - count
    return date(index // 12, index % 12 + 1, 1)


def _month_after(month: date) -> date:
    return _month_before(month, -1)
