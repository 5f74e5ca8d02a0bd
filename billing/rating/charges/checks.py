"""What the figures of terms must keep to; each model checks its terms when they are made."""

from decimal import Decimal

from kernel.errors import Invalid


def at_least_zero(figure: Decimal, *, field: str) -> None:
    """Raises Invalid `negative`."""
    if figure < 0:
        raise Invalid("negative", f"{field} is negative; write zero or more.", field=field)


def above_zero(figure: Decimal, *, field: str) -> None:
    """Raises Invalid `negative` or `not_positive`."""
    at_least_zero(figure, field=field)
    if figure == 0:
        raise Invalid("not_positive", f"{field} is zero; write more than zero.", field=field)
