"""The form for what invoices say of a tenant, for both fronts."""

from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.utils.translation import gettext_lazy as _

from ui import words

BUYER_FAULTS: Final = "party_fault"
"""The table of `ui.words` that tells the faults of a party."""


class BillingDetailsForm(forms.Form):
    """What a tenant says of itself."""

    legal_name = forms.CharField(
        label=_("Legal name"),
        help_text=_("As the trade register has it; empty: the name shown above."),
        max_length=200,
        required=False,
    )
    street = forms.CharField(label=_("Street and number"), max_length=200, required=False)
    postal_code = forms.CharField(label=_("Postal code"), max_length=20, required=False)
    city = forms.CharField(label=_("City"), max_length=100, required=False)
    subdivision = forms.CharField(label=_("State or province"), max_length=100, required=False)
    registration_id = forms.CharField(
        label=_("Register number"), help_text=_("Of the company."), max_length=64, required=False
    )
    contact_email = forms.EmailField(label=_("E-mail for invoices"), max_length=254, required=False)
    reference = forms.CharField(
        label=_("Your reference"),
        help_text=_("What your invoices must name so that they reach the right desk."),
        max_length=100,
        required=False,
    )
    order_number = forms.CharField(label=_("Order number"), max_length=100, required=False)
    endpoint_scheme = forms.CharField(
        label=_("Kind of electronic address"),
        help_text=_("A code of the list EAS, such as 0088 (GLN) or 9930 (German VAT number)."),
        max_length=4,
        required=False,
    )
    endpoint_id = forms.CharField(
        label=_("Electronic address"),
        help_text=_("Where electronic invoices are sent to."),
        max_length=100,
        required=False,
    )


class StaffBillingDetailsForm(BillingDetailsForm):
    """The same with what only staff say."""

    exemption_reason = forms.CharField(
        label=_("Reason of the exemption"),
        help_text=_("The provision by which an exempt tenant is charged no tax."),
        max_length=300,
        required=False,
    )
    exemption_code = forms.CharField(
        label=_("Code of the exemption"),
        help_text=_("Of the list VATEX, such as VATEX-EU-132."),
        max_length=30,
        required=False,
    )


def add_faults(form: forms.Form, faults: Iterable[Any]) -> None:
    """Say each fault (`path`, `code`) at its field, in the reader's language."""
    for each in faults:
        form.add_error(
            each.path if each.path in form.fields else None,
            str(words.word(BUYER_FAULTS, each.code)),
        )
