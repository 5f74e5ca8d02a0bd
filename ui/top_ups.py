"""The form of a top-up, for both fronts."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _


class TopUpForm(forms.Form):
    """How much is to be paid ahead, in a currency in which the tenant is billed."""

    amount = forms.RegexField(
        r"\A[0-9]+(\.[0-9]+)?\Z",
        label=_("Amount"),
        help_text=_("An invoice asks for it; once that is paid, it is on the balance."),
        max_length=40,
        strip=True,
        error_messages={
            "invalid": _("Write a number such as 1234.50, without thousands separators.")
        },
    )
    currency = forms.ChoiceField(label=_("Currency"))

    def __init__(self, *args: Any, currencies: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["currency"].choices = [(each, each) for each in currencies]  # type: ignore[attr-defined]  # of ChoiceField
