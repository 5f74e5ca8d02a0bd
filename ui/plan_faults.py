"""The faults of a plan document in the reader's language, as they stand beside a field."""

from collections.abc import Mapping
from typing import Final

from django.utils.translation import gettext_lazy as _

from ui.cells import Text

_TEXTS: Final[Mapping[str, Text]] = {
    "duplicate_key": _("This key stands twice; give each its own."),
    "metered_in_advance": _("Usage is known only afterwards; bill it in arrears."),
    "minimum_above_maximum": _("The minimum is above the maximum; lower it or raise the maximum."),
    "missing": _("Give this."),
    "missing_open_tier": _("The last tier must have no upper bound; empty this or add a tier."),
    "needs_addon": _("This says how add-ons go together; tick the add-on or remove it."),
    "needs_kth_max_day": _("This belongs to the k-th highest day only; remove it."),
    "needs_meter": _("This says how usage is counted; choose a meter or remove it."),
    "negative": _("Write zero or more."),
    "not_a_date": _("Write a date such as 2026-03-20."),
    "not_a_decimal": _("Write a number such as 1234.50, without thousands separators."),
    "not_a_duration": _("Write a duration such as PT24H (24 hours) or P7D (7 days)."),
    "not_a_flag": _("Write true or false."),
    "not_a_key": _(
        "Write letters, digits, _, - and dots, starting with a letter or digit, at most 100."
    ),
    "not_a_list": _("Write a list: [ … ]."),
    "not_a_text": _("Write a text of 1 to 200 characters."),
    "not_an_entitlement": _('Write a number, true, false, a text or {"limit", "kind"}.'),
    "not_an_object": _("Write an object: { … }."),
    "not_finite": _("Write a number such as 1234.50, without thousands separators."),
    "not_positive": _("Write more than zero."),
    "out_of_range": _("The number is too large."),
    "tiers_overlap": _("This tier has no upper bound, so those after it overlap it; give it one."),
    "too_few": _("Choose at least two prices, or none."),
    "too_many_decimals": _("Write at most 12 decimals."),
    "unknown_aggregation": _("Choose how the days of a period become one quantity."),
    "unknown_choice": _("Choose one of those offered."),
    "unknown_currency": _("Write the code of a currency in use, such as CNY."),
    "unknown_field": _("No such field is known here; remove it or correct its name."),
    "unknown_interval": _("Choose one of those offered."),
    "unknown_meter": _("Choose one of the meters."),
    "unknown_model": _("Choose one of the models."),
    "unknown_price": _("This is not the key of a price of this plan."),
    "unsupported_aggregation": _("This meter counts no users; choose another."),
    "unsupported_filter": _("This meter is kept by no property; empty this."),
    "up_to_not_increasing": _("Write a bound above that of the tier before."),
}


def fault_text(*, path: str, code: str, message: str) -> str:
    """What to do about a fault, without its place; the parser's own English for a code without a text."""
    text = _TEXTS.get(code)
    if text is not None:
        return str(text)
    rest = message.removeprefix(path).strip()
    return rest[:1].upper() + rest[1:]
