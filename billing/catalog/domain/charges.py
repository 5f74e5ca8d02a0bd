"""Reading the terms of each charge model, and writing them back in canonical form."""

from collections.abc import Callable
from decimal import Decimal
from typing import assert_never

from billing.catalog.domain.fields import Fields
from billing.rating.charges import ChargeTerms, Model
from billing.rating.charges.flat import FlatTerms
from billing.rating.charges.graduated import GraduatedTerms, Tier
from billing.rating.charges.graduated_percentage import GraduatedPercentageTerms, RateTier
from billing.rating.charges.package import PackageRounding, PackageTerms
from billing.rating.charges.per_unit import PerUnitTerms
from billing.rating.charges.percentage import PercentageTerms
from billing.rating.charges.stairstep import StairstepTerms, Step
from billing.rating.charges.tiers import bound_faults
from billing.rating.charges.volume import VolumeTerms
from kernel.decimals import plain_text

_ZERO = Decimal(0)
_OPEN = (Step(up_to=None, flat_fee=_ZERO),)
_MODELS_FIELDS = (
    "amount",
    "unit_price",
    "tiers",
    "package_size",
    "package_price",
    "package_rounding",
    "rate_percent",
    "fixed_fee",
)
_FREE = FlatTerms(amount=_ZERO)


def read_charge(fields: Fields) -> ChargeTerms:
    """The terms of the price's model; faults `unknown_model`, and those of its figures and tiers.

    Fields of other models are left unread, so that they are refused as unknown.
    """
    model = fields.choice("model", Model, default=None, code="unknown_model")
    if fields.raw("model") != model:
        # Which fields belong to it nobody can tell, so none is missing and none is unknown.
        for name in _MODELS_FIELDS:
            fields.raw(name)
        return _FREE
    return _READ[model](fields)


def charge_document(terms: ChargeTerms) -> dict[str, object]:
    """The terms in the words of a plan document, figures as plain texts, defaults left out."""
    match terms:
        case FlatTerms():
            told: dict[str, object] = {"amount": plain_text(terms.amount)}
        case PerUnitTerms():
            told = {"unit_price": plain_text(terms.unit_price)}
        case GraduatedTerms() | VolumeTerms():
            told = {
                "tiers": [
                    _tier_document(tier.up_to, "unit_price", tier.unit_price, tier.flat_fee)
                    for tier in terms.tiers
                ]
            }
        case StairstepTerms():
            told = {
                "tiers": [
                    {"up_to": _bound_text(step.up_to), "flat_fee": plain_text(step.flat_fee)}
                    for step in terms.tiers
                ]
            }
        case PackageTerms():
            told = {
                "package_size": plain_text(terms.package_size),
                "package_price": plain_text(terms.package_price),
            }
            if terms.package_rounding is not PackageRounding.UP:
                told["package_rounding"] = terms.package_rounding.value
        case PercentageTerms():
            told = {"rate_percent": plain_text(terms.rate_percent)}
            if terms.fixed_fee:
                told["fixed_fee"] = plain_text(terms.fixed_fee)
        case GraduatedPercentageTerms():
            told = {
                "tiers": [
                    _tier_document(tier.up_to, "rate_percent", tier.rate_percent, tier.flat_fee)
                    for tier in terms.tiers
                ]
            }
        case _:
            assert_never(terms)
    return {"model": terms.model.value, **told}


def _tier_document(
    up_to: Decimal | None, rate: str, figure: Decimal, flat_fee: Decimal
) -> dict[str, object]:
    told: dict[str, object] = {"up_to": _bound_text(up_to), rate: plain_text(figure)}
    if flat_fee:
        told["flat_fee"] = plain_text(flat_fee)
    return told


def _bound_text(up_to: Decimal | None) -> str | None:
    return None if up_to is None else plain_text(up_to)


def _read_flat(fields: Fields) -> ChargeTerms:
    return FlatTerms(amount=fields.figure("amount"))


def _read_per_unit(fields: Fields) -> ChargeTerms:
    return PerUnitTerms(unit_price=fields.figure("unit_price"))


def _read_graduated(fields: Fields) -> ChargeTerms:
    tiers = _read_tiers(fields, "unit_price")
    if not tiers:
        return _FREE
    return GraduatedTerms(
        tiers=tuple(
            Tier(up_to=up_to, unit_price=unit_price, flat_fee=flat_fee)
            for up_to, unit_price, flat_fee in tiers
        )
    )


def _read_volume(fields: Fields) -> ChargeTerms:
    tiers = _read_tiers(fields, "unit_price")
    if not tiers:
        return _FREE
    return VolumeTerms(
        tiers=tuple(
            Tier(up_to=up_to, unit_price=unit_price, flat_fee=flat_fee)
            for up_to, unit_price, flat_fee in tiers
        )
    )


def _read_graduated_percentage(fields: Fields) -> ChargeTerms:
    tiers = _read_tiers(fields, "rate_percent")
    if not tiers:
        return _FREE
    return GraduatedPercentageTerms(
        tiers=tuple(
            RateTier(up_to=up_to, rate_percent=rate_percent, flat_fee=flat_fee)
            for up_to, rate_percent, flat_fee in tiers
        )
    )


def _read_stairstep(fields: Fields) -> ChargeTerms:
    bounds: list[Decimal | None] = []
    fees: list[Decimal] = []
    for tier in fields.items("tiers"):
        bounds.append(_read_bound(tier))
        fees.append(tier.figure("flat_fee"))
        tier.refuse_unknown()
    if not _are_bounds_right(fields, bounds):
        return StairstepTerms(tiers=_OPEN)
    return StairstepTerms(
        tiers=tuple(
            Step(up_to=up_to, flat_fee=fee) for up_to, fee in zip(bounds, fees, strict=True)
        )
    )


def _read_package(fields: Fields) -> ChargeTerms:
    return PackageTerms(
        package_size=fields.figure("package_size", above_zero=True),
        package_price=fields.figure("package_price"),
        package_rounding=fields.choice(
            "package_rounding", PackageRounding, default=PackageRounding.UP
        ),
    )


def _read_percentage(fields: Fields) -> ChargeTerms:
    return PercentageTerms(
        rate_percent=fields.figure("rate_percent"),
        fixed_fee=fields.figure("fixed_fee", default=_ZERO),
    )


def _read_tiers(fields: Fields, rate: str) -> list[tuple[Decimal | None, Decimal, Decimal]]:
    """Bound, `rate` figure and flat fee of each tier; none where the bounds are at fault."""
    tiers: list[tuple[Decimal | None, Decimal, Decimal]] = []
    for tier in fields.items("tiers"):
        if tier.is_object and not tier.has(rate) and not tier.has("flat_fee"):
            tier.fault(rate, "missing", "is missing, and so is flat_fee; give one of them.")
        tiers.append(
            (
                _read_bound(tier),
                tier.figure(rate, default=_ZERO),
                tier.figure("flat_fee", default=_ZERO),
            )
        )
        tier.refuse_unknown()
    return tiers if _are_bounds_right(fields, [up_to for up_to, _, _ in tiers]) else []


def _read_bound(tier: Fields) -> Decimal | None:
    return tier.figure("up_to") if tier.has("up_to") else None


def _are_bounds_right(fields: Fields, bounds: list[Decimal | None]) -> bool:
    is_right = bool(bounds)
    if any(fields.is_at_fault(f"tiers[{index}].up_to") for index in range(len(bounds))):
        # Where a bound can't be read, what stands in for it says nothing of the others.
        return False
    for fault in bound_faults(bounds):
        fields.fault(f"tiers[{fault.index}].up_to", fault.code, fault.message)
        is_right = False
    return is_right


_READ: dict[Model, Callable[[Fields], ChargeTerms]] = {
    Model.FLAT: _read_flat,
    Model.PER_UNIT: _read_per_unit,
    Model.GRADUATED: _read_graduated,
    Model.VOLUME: _read_volume,
    Model.STAIRSTEP: _read_stairstep,
    Model.PACKAGE: _read_package,
    Model.PERCENTAGE: _read_percentage,
    Model.GRADUATED_PERCENTAGE: _read_graduated_percentage,
}
