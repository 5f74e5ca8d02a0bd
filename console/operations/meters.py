"""Meters: which there are, and what a definition would count of stored events before it is loaded."""

from datetime import timedelta
from typing import Final

from django import forms
from django.http import HttpResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from console.access import StaffRequest, staff_page
from console.frame import page
from kernel import clock
from kernel.documents import parse_json
from kernel.errors import DomainError
from metering import queries as metering
from metering.meters.domain.definition import read_definition
from metering.meters.domain.meter import Meter
from tenants.permissions import StaffAction
from ui import words
from ui.errors import message_of
from ui.tables import Column, Table

_SHOWN_DAYS: Final = 14
_EXAMPLE: Final = """{
  "key": "eu_active",
  "event_types": ["message.sent", "user.login"],
  "filter": {"region": ["eu"]},
  "aggregation": "distinct",
  "identity": "user",
  "effective_from": "2027-01-01"
}"""

METER_COLUMNS: Final[tuple[Column[Meter], ...]] = (
    Column(key="key", label=_("Meter"), value=lambda row: words.word("meter", row.key)),
    Column(key="name", label=pgettext_lazy("name", "Key"), value=lambda row: row.key),
    Column(
        key="aggregation",
        label=_("Counts by"),
        value=lambda row: words.word("counts_by", row.aggregation),
    ),
    Column(
        key="types",
        label=_("Event types"),
        value=lambda row: ", ".join(sorted(row.event_types)),
        minor=True,
    ),
    Column(
        key="versions",
        label=_("Versions"),
        value=lambda row: len(row.versions),
        numeric=True,
        minor=True,
    ),
)
DAY_COLUMNS: Final[tuple[Column[metering.UsageRow], ...]] = (
    Column(key="day", label=_("Day"), value=lambda row: row.day),
    Column(key="dimensions", label=_("Properties"), value=lambda row: row.kind or "—"),
    Column(key="value", label=_("Value"), value=lambda row: row.value, numeric=True),
)


class PreviewForm(forms.Form):
    """A definition, and the app and days that it is tried on."""

    definition = forms.CharField(
        label=_("Definition (JSON)"),
        help_text=_("As in the guide to meters; nothing is stored."),
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false"}),
        max_length=20_000,
    )
    app = forms.CharField(label=_("App key"), max_length=100)
    from_day = forms.DateField(
        label=_("First day"), widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    to_day = forms.DateField(
        label=_("Day after the last one"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )


@staff_page(action=StaffAction.USAGE_VIEW, purpose="meters and their preview")
def meters(request: StaffRequest) -> HttpResponse:
    """All meters, and below them a definition's value for each day of an app."""
    today = clock.now().date()
    days = None
    if request.method == "POST":
        form = PreviewForm(request.POST)
        if form.is_valid():
            try:
                days = _previewed(form)
            except DomainError as error:
                known = {"app": "app", "from": "from_day", "to": "to_day"}
                form.add_error(known.get(error.field or "", "definition"), message_of(error))
    else:
        form = PreviewForm(
            initial={
                "definition": _EXAMPLE,
                "from_day": today - timedelta(days=_SHOWN_DAYS),
                "to_day": today + timedelta(days=1),
            }
        )
    known_meters = tuple(metering.known_meters().values())
    return page(
        request,
        "console/meters.html",
        place="meters",
        status=422 if form.errors else 200,
        form=form,
        meters=Table(
            columns=METER_COLUMNS,
            rows=known_meters,
            caption=_("Meters"),
            empty_title=_("No meters"),
            empty_text="",
        ),
        days=days,
    )


def _previewed(form: PreviewForm) -> Table[metering.UsageRow]:
    meter = read_definition(parse_json(form.cleaned_data["definition"])).meter
    app = metering.shown_app(key=form.cleaned_data["app"].strip())
    rows = metering.previewed_usage(
        meter=meter,
        tenant_id=app.tenant_id,
        app_id=app.id,
        from_day=form.cleaned_data["from_day"],
        to_day=form.cleaned_data["to_day"],
    )
    return Table(
        columns=DAY_COLUMNS,
        rows=rows,
        caption=_("What it would have counted"),
        empty_title=_("Nothing counted"),
        empty_text=_("No stored event of these days is of the types and properties that it names."),
    )
