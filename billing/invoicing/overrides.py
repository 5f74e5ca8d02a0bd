"""Contract overrides of single prices in what a subscription holds. Pure.

A day on which an override starts or ends is a day on which other terms hold, like one on which the
version changes: drafting and changes of plan need not know why.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from billing.catalog.domain import PriceOverride, overridden, override_on
from billing.invoicing.drafting import HeldVersion


def with_overrides(
    versions: Sequence[HeldVersion], overrides: Sequence[PriceOverride]
) -> list[HeldVersion]:
    """The versions that are held, each with the overrides of its days, cut where those change."""
    if not overrides:
        return list(versions)
    held: list[HeldVersion] = []
    for index, version in enumerate(versions):
        ends_on = versions[index + 1].starts_on if index + 1 < len(versions) else date.max
        days = {
            day
            for each in overrides
            if each.plan_key == version.terms.key
            for day in (each.starts_on, each.ends_on)
            if day is not None and version.starts_on < day < ends_on
        }
        for day in sorted({version.starts_on, *days}):
            taken = replace(
                on_day(version, overrides, day=day),
                starts_on=day,
                cuts=version.cuts and day == version.starts_on,
            )
            if day == version.starts_on or _differ(held[-1], taken):
                held.append(taken)
    return held


def on_day(version: HeldVersion, overrides: Sequence[PriceOverride], *, day: date) -> HeldVersion:
    """The version with the overrides of a local day."""
    found = override_on(overrides, plan_key=version.terms.key, day=day)
    keys = {price.key for price in version.terms.prices}
    found = {key: each for key, each in found.items() if key in keys}
    if not found:
        return version
    return replace(
        version,
        terms=overridden(version.terms, found),
        own_terms=version.terms,
        clauses={key: each.told() for key, each in found.items()},
    )


def _differ(before: HeldVersion, after: HeldVersion) -> bool:
    return (before.terms, before.clauses) != (after.terms, after.clauses)
