"""Quantities: how much was used. Never negative, up to 12 decimals, up to 10^18."""

from decimal import Decimal

from kernel.decimals import MAX_PLACES, parse_decimal
from kernel.errors import Invalid


def parse_quantity(value: object, *, field: str = "quantity") -> Decimal:
    """The quantity that a text or an integer states.

    Raises Invalid `negative`, and the codes of `kernel.decimals.parse_decimal`.
    """
    quantity = parse_decimal(value, field=field, places=MAX_PLACES)
    if quantity < 0:
        raise Invalid("negative", f"{field} is negative; write zero or more.", field=field)
    return quantity
