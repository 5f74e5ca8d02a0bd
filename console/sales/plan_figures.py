"""What terms come to, drawn: curves of the amount over the quantity, and what ten tenants would pay."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from billing.estimates.domain.costs import UTC, Cost, period_cost, sample_period
from billing.estimates.domain.curves import (
    Curve,
    has_curve,
    plan_curve,
    plan_users,
    price_curve,
    price_quantities,
)
from billing.estimates.domain.typical import (
    APP,
    TYPICAL_TENANTS,
    kinds_named,
    typical_usage,
)
from billing.estimates.queries import sample_tenants, used_months
from billing.rating.terms import PlanTerms, PriceTerms
from kernel.money import Money
from kernel.period import Interval
from ui import formats, words
from ui.charts import Figure, Series
from ui.plan_terms import price_title

MOST_CURVES = 12
"""Prices of which curves are drawn; with more, the page would be all charts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Terms, and the name under which they are drawn."""

    label: str
    terms: PlanTerms


@dataclass(frozen=True, slots=True, kw_only=True)
class Payer:
    """What one tenant pays under the terms before (None: nothing to compare with) and the new ones."""

    name: str
    note: str
    url: str
    users: Decimal | None
    old: Money | None
    new: Money | None
    refusal: str = ""
    is_comparable: bool = True
    """Whether both are for periods of the same length."""

    @property
    def difference(self) -> Money | None:
        if self.old is None or self.new is None or self.old.currency != self.new.currency:
            return None
        if not self.is_comparable:
            return None
        return self.new - self.old

    @property
    def percent(self) -> str:
        if self.difference is None or self.old is None or self.new is None or not self.old.minor:
            return ""
        return formats.change_text(
            self.old.amount, self.new.amount, language=get_language() or "en"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Payers:
    """Ten tenants; `reason` says in words why there are none. `tenant_ids` are those of real ones."""

    rows: Sequence[Payer] = ()
    reason: str = ""
    tenant_ids: Sequence[UUID] = ()


def plan_figure(plans: Sequence[Labelled]) -> Figure | None:
    """A whole period's amount over the size of a typical tenant; None where no plan can be drawn."""
    terms = [each.terms for each in plans]
    users = plan_users(terms)
    kinds = kinds_named(terms)
    curves = [(each, plan_curve(each.terms, users=users, kinds=kinds)) for each in plans]
    return _figure(
        key="plan",
        title=_("The whole plan, by daily active users"),
        axis=_("Daily active users"),
        curves=[(each, curve) for each, curve in curves if curve.points],
    )


def price_figures(plans: Sequence[Labelled]) -> list[Figure]:
    """One curve for each price whose amount depends on a quantity; the same price of both plans in
    one chart."""
    keys: dict[str, list[tuple[Labelled, PriceTerms]]] = {}
    for each in reversed(plans):
        for price in each.terms.prices:
            if has_curve(price):
                keys.setdefault(price.key, []).insert(0, (each, price))
    figures = []
    for number, found in enumerate(list(keys.values())[:MOST_CURVES]):
        quantities = price_quantities([price for _, price in found])
        newest = found[-1][1]
        title = str(price_title(newest.document))
        figure = _figure(
            key=f"price-{number}",
            title=_("%(title)s (%(key)s)") % {"title": title, "key": newest.key},
            axis=_quantity_name(newest),
            curves=[
                (
                    each,
                    price_curve(price, currency=each.terms.currency, quantities=quantities),
                )
                for each, price in found
            ],
        )
        if figure is not None:
            figures.append(figure)
    return figures


def typical_payers(*, old: PlanTerms | None, new: PlanTerms) -> Payers:
    """Ten typical tenants, each over one billing period."""
    reason = _not_comparable(old, new)
    if reason:
        return Payers(reason=reason)
    language = get_language() or "en"
    kinds = kinds_named([terms for terms in (old, new) if terms is not None])
    is_comparable = old is None or _rhythm(old) == _rhythm(new)
    rows = []
    for tenant in TYPICAL_TENANTS:
        before, after = (
            _typical_cost(terms, users=tenant.users, kinds=kinds) if terms is not None else None
            for terms in (old, new)
        )
        rows.append(
            _payer(
                name=_("larger than %(percent)s %%")
                % {"percent": formats.quantity_text(tenant.percent, language=language)},
                note=_("%(messages)s messages a day, %(users)s different users a month")
                % {
                    "messages": formats.quantity_text(tenant.messages, language=language),
                    "users": formats.quantity_text(tenant.month_users, language=language),
                },
                users=Decimal(tenant.users),
                old=before,
                new=after,
                is_comparable=is_comparable,
            )
        )
    return Payers(rows=tuple(rows))


def real_payers(
    *,
    old: PlanTerms | None,
    new: PlanTerms,
    tenant_ids: Sequence[UUID],
    now: datetime,
    address: str,
) -> Payers:
    """Ten real tenants over last month; `tenant_ids` are those that were chosen before, if any, and
    `address` is that of a tenant's page with KEY in its place."""
    chosen = list(tenant_ids) or sample_tenants(now=now)
    months = used_months(tenant_ids=chosen, now=now)
    if not months:
        return Payers(reason=_("No tenant used anything last month."))
    rows = []
    for month in months:
        after = month.cost(terms=new)
        before = month.cost(terms=old) if old is not None else None
        if after is None or (old is not None and before is None):
            return Payers(
                reason=_("Real tenants are shown for plans that are billed every month."),
                tenant_ids=chosen,
            )
        highest = max(
            (
                value
                for key, values in month.usage.items()
                if key.meter == "dau"
                for value in values.values()
            ),
            default=None,
        )
        rows.append(
            _payer(
                name=month.tenant_name,
                note=month.tenant_key,
                url=address.replace("KEY", month.tenant_key),
                users=highest,
                old=before,
                new=after,
            )
        )
    return Payers(rows=tuple(rows), tenant_ids=chosen)


def _payer(
    *,
    name: str,
    note: str,
    users: Decimal | None,
    old: Cost | None,
    new: Cost | None,
    url: str = "",
    is_comparable: bool = True,
) -> Payer:
    refusal = next((cost.refusal for cost in (new, old) if cost is not None and cost.refusal), "")
    return Payer(
        name=name,
        note=note,
        url=url,
        users=users,
        old=old.amount if old is not None else None,
        new=new.amount if new is not None else None,
        refusal=refusal,
        is_comparable=is_comparable,
    )


def _typical_cost(terms: PlanTerms, *, users: int, kinds: Sequence[str]) -> Cost | None:
    period = sample_period(terms)
    if period is None:
        return None
    return period_cost(
        terms=terms,
        period=period,
        zone=UTC,
        usage=typical_usage(users=users, days=period.days(UTC), kinds=kinds),
        apps=(APP,),
    )


def _not_comparable(old: PlanTerms | None, new: PlanTerms) -> str:
    if any(sample_period(terms) is None for terms in (old, new) if terms is not None):
        return _("Figures are shown for billing periods of up to a year.")
    return ""


def _rhythm(terms: PlanTerms) -> tuple[Interval, int]:
    return (terms.interval, terms.interval_count)


def _quantity_name(price: PriceTerms) -> str:
    if price.metering is None:
        return _("Quantity held")
    return str(words.word("meter", price.metering.meter))


def _figure(
    *, key: str, title: str, axis: str, curves: Sequence[tuple[Labelled, Curve]]
) -> Figure | None:
    """The curves in one chart with one axis of quantities; a point that one lacks is a gap."""
    language = get_language() or "en"
    quantities = sorted({point.quantity for _, curve in curves for point in curve.points})
    if not quantities:
        return None
    series = []
    for each, curve in curves:
        amounts = {point.quantity: point.amount for point in curve.points}
        found = [amounts.get(quantity) for quantity in quantities]
        series.append(
            Series(
                label=f"{each.label} ({each.terms.currency})",
                values=[None if amount is None else amount.amount for amount in found],
                texts=[
                    "—" if amount is None else formats.money_text(amount, language=language)
                    for amount in found
                ],
            )
        )
    return Figure(
        key=key,
        title=title,
        points=[formats.quantity_text(quantity, language=language) for quantity in quantities],
        points_label=axis,
        positions=quantities,
        series=series,
    )
