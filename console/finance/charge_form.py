"""The form of a charge: its own fields and a row for each line, there and back to the line's document."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final, TypeAlias

from django import forms
from django.forms.formsets import BaseFormSet
from django.utils.translation import gettext_lazy as _

from billing.invoicing.charges.domain import (
    LONGEST_DESCRIPTION,
    MOST_DAYS_TO_PAY,
    MOST_LINES,
    Recognised,
)
from billing.invoicing.domain import DAYS_TO_PAY, InvoiceKind
from billing.invoicing.services.write_charge import LONGEST_REFERENCE, AskedCharge
from kernel.errors import DomainError
from ui import words
from ui.errors import message_of

_ONE_DAY: Final = timedelta(days=1)
_FIGURE: Final = r"\A[0-9]+(\.[0-9]+)?\Z"
_WRITE_A_NUMBER: Final = _("Write a number such as 1234.50, without thousands separators.")


def _day(*, label: Any, help_text: Any = "", required: bool = False) -> forms.DateField:
    return forms.DateField(
        label=label,
        help_text=help_text,
        required=required,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
    )


class ChargeForm(forms.Form):
    """What holds for the whole charge."""

    reference = forms.CharField(
        label=_("Reference"),
        help_text=_(
            "Yours, such as an order's number: under one reference a tenant is billed once."
        ),
        max_length=LONGEST_REFERENCE,
    )
    currency = forms.CharField(label=_("Currency"), min_length=3, max_length=3)
    issue_on = _day(
        label=_("Issue on"),
        help_text=_("The tenant's day on which a billing run issues it; left empty, you issue it."),
    )
    days_to_pay = forms.IntegerField(
        label=_("Days to pay"), initial=DAYS_TO_PAY, min_value=0, max_value=MOST_DAYS_TO_PAY
    )


class LineForm(forms.Form):
    """One line of a charge of quantities and prices."""

    text_en = forms.CharField(
        label=_("Description, English"), required=False, max_length=LONGEST_DESCRIPTION
    )
    text_zh = forms.CharField(
        label=_("Description, Chinese"), required=False, max_length=LONGEST_DESCRIPTION
    )
    quantity = forms.RegexField(
        _FIGURE, label=_("Quantity"), initial="1", error_messages={"invalid": _WRITE_A_NUMBER}
    )
    unit_price = forms.RegexField(
        _FIGURE,
        label=_("Unit price"),
        help_text=_("Before tax, up to 12 decimals."),
        error_messages={"invalid": _WRITE_A_NUMBER},
    )
    starts_on = _day(label=_("Service from"), help_text=_("Left empty: the day of issue."))
    last_on = _day(label=_("to, with this day"))
    recognised = forms.ChoiceField(label=_("Revenue"), required=False)
    tax_category = forms.CharField(
        label=_("Tax category"),
        help_text=_("Left empty, the tenant's own standing decides."),
        required=False,
        max_length=100,
    )

    def __init__(self, *args: Any, kind: InvoiceKind, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if kind is InvoiceKind.TRUE_UP:
            del self.fields["quantity"], self.fields["unit_price"]
            self.fields["commitment"] = forms.RegexField(
                _FIGURE,
                label=_("Committed amount"),
                help_text=_("Before tax; what is billed of these days is taken off it."),
                error_messages={"invalid": _WRITE_A_NUMBER},
            )
        if kind in {InvoiceKind.TRUE_UP, InvoiceKind.LICENCE}:
            del self.fields["recognised"]
            self.fields["starts_on"].required = self.fields["last_on"].required = True
            self.fields["starts_on"].help_text = ""
        else:
            self.fields["recognised"].choices = [  # type: ignore[attr-defined]  # of ChoiceField
                (each.value, words.word("recognised", each.value)) for each in Recognised
            ]

    def document(self) -> dict[str, Any]:
        """The line as `billing.invoicing.charges.domain` reads it."""
        given = self.cleaned_data
        texts = {"en": given.get("text_en"), "zh-hans": given.get("text_zh")}
        last = given.get("last_on")
        told = {
            "description": {language: text for language, text in texts.items() if text},
            "starts_on": _iso(given.get("starts_on")),
            "ends_on": _iso(last + _ONE_DAY if last else None),
            **{
                name: given.get(name) or None
                for name in ("quantity", "unit_price", "commitment", "recognised", "tax_category")
            },
        }
        return {name: value for name, value in told.items() if value is not None}


LineForms: TypeAlias = "BaseFormSet[LineForm]"
"""The rows of a charge, one a line."""


def line_forms(
    data: Mapping[str, Any] | None, *, kind: InvoiceKind, lines: Sequence[Mapping[str, Any]] = ()
) -> LineForms:
    """The rows: those that were sent, or the stored lines, at least one."""
    made = forms.formset_factory(
        LineForm, extra=0 if lines else 1, min_num=0, max_num=MOST_LINES, validate_max=True
    )
    return made(
        data,
        prefix="lines",
        initial=[_initial(line) for line in lines] or None,
        form_kwargs={"kind": kind, "use_required_attribute": False},
    )


def asked_charge(form: ChargeForm, rows: LineForms, *, kind: InvoiceKind) -> AskedCharge:
    """What valid forms ask for."""
    given = form.cleaned_data
    return AskedCharge(
        kind=kind,
        reference=given["reference"],
        currency=given["currency"].upper(),
        lines=[row.document() for row in rows],
        issue_on=given["issue_on"],
        days_to_pay=given["days_to_pay"],
    )


def at_its_field(form: ChargeForm, rows: LineForms, error: DomainError) -> None:
    """Tell a refusal where it belongs: at the field of the row, at the charge's own, or above all."""
    path = error.field or ""
    place, _dot, name = path.removeprefix("lines[").partition("]")
    if path.startswith("lines[") and place.isdigit() and int(place) < len(rows.forms):
        row = rows.forms[int(place)]
        shown = {".description": "text_en", ".ends_on": "last_on"}.get(name, name.lstrip("."))
        row.add_error(shown if shown in row.fields else None, message_of(error))
    form.add_error(path if path in form.fields else None, message_of(error))


def more_rows(data: Mapping[str, Any], *, change: int) -> dict[str, Any]:
    """What was sent with a row more, or without the last one."""
    told = dict(data.items())
    try:
        count = int(str(told.get("lines-TOTAL_FORMS", "1")))
    except ValueError:
        count = 1
    told["lines-TOTAL_FORMS"] = str(min(max(count + change, 1), MOST_LINES))
    return told


def _initial(line: Mapping[str, Any]) -> dict[str, Any]:
    texts = line.get("description") or {}
    ends_on = line.get("ends_on")
    return {
        "text_en": texts.get("en", ""),
        "text_zh": texts.get("zh-hans", ""),
        "quantity": line.get("quantity", "1"),
        "unit_price": line.get("unit_price", line.get("amount", "")),
        "commitment": line.get("commitment", ""),
        "starts_on": line.get("starts_on"),
        "last_on": (date.fromisoformat(ends_on) - _ONE_DAY).isoformat() if ends_on else None,
        "recognised": line.get("recognised", Recognised.AT_ONCE.value),
        "tax_category": line.get("tax_category", ""),
    }


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
