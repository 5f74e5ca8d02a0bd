"""Single prices of a plan that a contract words differently for one subscription.

An override is dated and never changed. One that comes later stands before an earlier one on the
days that both cover; one without terms gives the plan's own price back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from billing.rating.terms import PlanTerms, PriceTerms, TaxTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceOverride:
    """What was agreed of one price of one plan, from `starts_on` to the day before `ends_on` (None:
    until further notice).

    `price` None: the plan's own price again. `number` counts a subscription's overrides from 1, in the
    order in which they were recorded. `clause` is the contract's text, `reference` names the contract.
    """

    number: int
    plan_key: str
    price_key: str
    starts_on: date
    ends_on: date | None
    price: PriceTerms | None
    clause: str
    reference: str

    def covers(self, day: date) -> bool:
        return self.starts_on <= day and (self.ends_on is None or day < self.ends_on)

    def told(self) -> dict[str, object]:
        """The override as the working of a line names it."""
        return {
            "number": self.number,
            "starts_on": self.starts_on.isoformat(),
            "ends_on": None if self.ends_on is None else self.ends_on.isoformat(),
            "clause": self.clause,
            "reference": self.reference,
        }


def override_on(
    overrides: Iterable[PriceOverride], *, plan_key: str, day: date
) -> dict[str, PriceOverride]:
    """By price key, what stands in the place of the plan's own prices on a local day."""
    last: dict[str, PriceOverride] = {}
    for each in sorted(overrides, key=lambda override: override.number):
        if each.plan_key == plan_key and each.covers(day):
            last[each.price_key] = each
    return {key: each for key, each in last.items() if each.price is not None}


def overridden(terms: PlanTerms, overrides: Mapping[str, PriceOverride]) -> PlanTerms:
    """The terms with these prices in the place of its own; keys that the plan lacks do nothing.

    Prices of `max_of` keep the time at which the plan bills them, so that they stay comparable.
    """
    prices = tuple(_price(price, overrides.get(price.key), terms.max_of) for price in terms.prices)
    return terms if prices == terms.prices else replace(terms, prices=prices)


def _price(own: PriceTerms, override: PriceOverride | None, max_of: Sequence[str]) -> PriceTerms:
    if override is None or override.price is None:
        return own
    agreed = override.price
    if agreed.tax == TaxTerms():
        # What is agreed of the amount is no word on tax.
        agreed = replace(agreed, tax=own.tax)
    return replace(agreed, timing=own.timing) if own.key in max_of else agreed
