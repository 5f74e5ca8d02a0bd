"""What a discount gives, in words."""

from collections.abc import Collection
from decimal import Decimal
from typing import Protocol

from django.utils.translation import gettext as _

from kernel.money import Money
from ui import formats


class Given(Protocol):
    """How much is taken off, and of which prices (None: of all)."""

    @property
    def type(self) -> str: ...
    @property
    def value(self) -> Decimal: ...
    @property
    def keys(self) -> Collection[str] | None: ...


class Terms(Protocol):
    """What a coupon gives, or a contract agrees."""

    @property
    def discount(self) -> Given: ...
    @property
    def currency(self) -> str: ...
    @property
    def plans(self) -> Collection[str]: ...


def gives_text(terms: Terms, *, language: str) -> str:
    """ "20 % off base, dau", "CN¥50.00 off", "1,000 free of messages"; with the plans that limit it."""
    value = formats.quantity_text(terms.discount.value, language=language)
    keys = ", ".join(sorted(terms.discount.keys or ()))
    match terms.discount.type:
        case "percentage":
            text = _("%(value)s %% off") % {"value": value}
        case "fixed":
            amount = Money.of(terms.discount.value, terms.currency)
            text = _("%(value)s off") % {"value": formats.money_text(amount, language=language)}
        case _:
            text = _("%(value)s free") % {"value": value}
    if keys:
        text = f"{text} · {keys}"
    if terms.plans:
        text = f"{text} · {_('plans')}: {', '.join(sorted(terms.plans))}"
    return text


def lasts_text(periods: int | None) -> str:
    """For how many billing periods."""
    if periods is None:
        return _("until it is ended")
    return _("once") if periods == 1 else _("%(periods)s billing periods") % {"periods": periods}
