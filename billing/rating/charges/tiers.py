"""What models with tiers share: the rules for bounds, and which tier a quantity falls into.

Upper bounds are inclusive; the last tier is open (`up_to` None). Tier n begins where tier n-1
ends, so tiers can neither leave a gap nor overlap unless a bound doesn't rise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from kernel.decimals import exact
from kernel.errors import Invalid

Bounds = Sequence[Decimal | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundFault:
    """What is wrong with the bound of the tier at `index` (from 0)."""

    index: int
    code: str
    message: str


def bound_faults(bounds: Bounds) -> Iterator[BoundFault]:
    """Every fault of the bounds: `not_positive`, `up_to_not_increasing`, `tiers_overlap`,
    `missing_open_tier`."""
    last = len(bounds) - 1
    previous = Decimal(0)
    for index, bound in enumerate(bounds):
        if bound is None:
            if index != last:
                yield BoundFault(
                    index=index,
                    code="tiers_overlap",
                    message="is open, so the tiers after it overlap it; give it an upper bound "
                    "or make it the last.",
                )
            continue
        if index == 0 and bound <= 0:
            yield BoundFault(
                index=index, code="not_positive", message="is not above zero; raise it."
            )
        elif bound <= previous:
            yield BoundFault(
                index=index,
                code="up_to_not_increasing",
                message=f"is {bound:f}, not above the {previous:f} of the tier before, so the "
                "tiers overlap; raise it or put the tiers in order.",
            )
        if index == last:
            yield BoundFault(
                index=index,
                code="missing_open_tier",
                message="is the last bound, so no tier prices what lies above it; end with a "
                "tier whose up_to is null.",
            )
        previous = max(previous, bound)


def check_bounds(bounds: Bounds) -> None:
    """Raises Invalid with the first of `bound_faults`, or `missing` for no tiers."""
    if not bounds:
        raise Invalid("missing", "tiers is empty; give at least one tier.", field="tiers")
    for fault in bound_faults(bounds):
        field = f"tiers[{fault.index}].up_to"
        raise Invalid(fault.code, f"{field} {fault.message}", field=field)


def tier_holding(bounds: Bounds, quantity: Fraction) -> int:
    """The index of the one tier that the quantity falls into."""
    return sum(1 for bound in bounds if bound is not None and quantity > exact(bound))


def slices(bounds: Bounds, quantity: Fraction) -> Iterator[tuple[int, Fraction]]:
    """Index and share of each tier that the quantity reaches; the first one also at zero."""
    index, lower = 0, Fraction(0)
    while (bound := bounds[index]) is not None and quantity > (upper := exact(bound)):
        yield index, upper - lower
        index, lower = index + 1, upper
    yield index, quantity - lower
