"""The terms of a plan: what it charges for, how, and when. Frozen values without identity.

The vocabulary is that of the plan document; `billing.catalog.domain` reads one into these. Every
figure stays as it was written (Decimal); arithmetic on it is exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum

from billing.rating.aggregations import AnyPeriodAggregation
from billing.rating.charges import ChargeTerms, Model
from billing.rating.conversion import Conversion
from billing.rating.proration import DayCount
from kernel.period import Interval


class Scope(StrEnum):
    """For whom a metered price is worked out."""

    APP = "app"
    """Each app by itself: one line an app."""
    TENANT = "tenant"
    """All apps together: the days' values are summed over the apps, then aggregated (peak of the
    sum)."""
    TENANT_SUM_OF_PEAKS = "tenant_sum_of_peaks"
    """Each app's days are aggregated, the results summed and priced once (sum of peaks)."""


class Timing(StrEnum):
    """When a price is billed: at the start of the period or at its end."""

    IN_ADVANCE = "in_advance"
    IN_ARREARS = "in_arrears"


class ZeroUsage(StrEnum):
    """What is due where nothing is left to price."""

    CHARGE = "charge"
    """What the model says for a quantity of 0: the first tier's flat fee, the fixed fee."""
    FREE = "free"


class Stacking(StrEnum):
    """What adding an add-on again means."""

    ADD = "add"
    """One more of it: two are due twice."""
    REPLACE = "replace"
    """What is added takes the place of what was held."""


class QuotaKind(StrEnum):
    """What happens at the limit of an entitlement."""

    HARD = "hard"
    SOFT = "soft"
    GRACE = "grace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """Where a price's quantity comes from.

    `filter` lets usage through that has, for each of its properties, one of the values; empty
    means all usage. Properties and values are sorted. `k` counts only for `kth_max_day` and is 1
    otherwise. `holds_level` is told by the meter: its value is in force until the next one.
    """

    meter: str
    period_aggregation: AnyPeriodAggregation
    scope: Scope = Scope.APP
    k: int = 1
    filter: tuple[tuple[str, tuple[str, ...]], ...] = ()
    holds_level: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxTerms:
    """What a price or a plan says of tax: a percentage of its own, or a category of products whose
    dated rate is looked up. At most one of both; neither: it says nothing."""

    percent: Decimal | None = None
    category: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """What a plan, or what is held of a price, allows of one feature: a bound (`limit`), or a value
    such as true or a text.

    With `adds`, which only a price's has, the bound is not one of its own: it widens what is allowed
    without it, once for each unit that is held.
    """

    feature: str
    value: bool | str | Decimal
    kind: QuotaKind | None = None
    adds: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceTerms:
    """One price of a plan.

    Without `metering` its quantity is what the subscription holds of it, 1 unless said otherwise.
    Of add-ons with the same `group` only the one that was added last is held. `entitlements` are what
    holding it allows, beside what the plan does.
    `document` is the price in the words of the plan document, in canonical form.
    """

    key: str
    charge: ChargeTerms
    timing: Timing
    metering: Metering | None = None
    conversion: Conversion | None = None
    included: Decimal = Decimal(0)
    zero_usage: ZeroUsage = ZeroUsage.CHARGE
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    prorate: bool = False
    addon: bool = False
    stacking: Stacking = Stacking.ADD
    group: str = ""
    tax: TaxTerms = TaxTerms()
    entitlements: tuple[Entitlement, ...] = ()
    document: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def model(self) -> Model:
        return self.charge.model


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTerms:
    """A whole plan. Made by `billing.catalog.domain.parse_plan`, which checks it.

    `names` maps languages to the plan's name. `is_private`: only tenants to which it was offered, or
    which hold it, may know of it. `grace` is None where the plan doesn't say.
    `document` is the canonical form of the whole, `content_hash` the SHA-256 of it in hexadecimal:
    plans that mean the same have the same.
    """

    key: str
    currency: str
    prices: tuple[PriceTerms, ...]
    names: Mapping[str, str] = field(default_factory=dict, hash=False)
    interval: Interval = Interval.MONTH
    interval_count: int = 1
    trial_days: int = 0
    effective_from: date | None = None
    grace: timedelta | None = None
    day_count: DayCount = DayCount.ACTUAL
    minimum: Decimal | None = None
    maximum: Decimal | None = None
    max_of: tuple[str, ...] = ()
    entitlements: tuple[Entitlement, ...] = ()
    is_private: bool = False
    tax: TaxTerms = TaxTerms()
    document: Mapping[str, object] = field(default_factory=dict, compare=False, repr=False)
    content_hash: str = field(default="", compare=False)

    def bills_at(self, timing: Timing) -> bool:
        """Whether `billing.rating.pipeline.rate_plan` may have lines at the timing; a plan's own
        minimum and maximum are settled in arrears."""
        if any(price.timing is timing for price in self.prices):
            return True
        is_bounded = self.minimum is not None or self.maximum is not None
        return is_bounded and timing is Timing.IN_ARREARS

    @property
    def says_tax(self) -> bool:
        """Whether the plan or any of its prices says that there is tax."""
        return any(terms != TaxTerms() for terms in (self.tax, *(p.tax for p in self.prices)))

    def tax_of(self, price_key: str) -> TaxTerms:
        """What the price of that key says of tax; nothing for a line of the plan itself."""
        return next((price.tax for price in self.prices if price.key == price_key), TaxTerms())

    def name(self, language: str) -> str:
        """The plan's name in the language, else in English, else any, else its key."""
        for candidate in (language, "en"):
            if candidate in self.names:
                return self.names[candidate]
        return next(iter(self.names.values()), self.key)
