"""Every charge model at its bounds: 0, at a bound, one past it, fractions, 10^12, tiny prices."""

from decimal import Decimal
from fractions import Fraction

import pytest

from billing.rating.charges import ChargeTerms, charge
from billing.rating.charges.flat import FlatTerms
from billing.rating.charges.graduated import GraduatedTerms, Tier
from billing.rating.charges.graduated_percentage import GraduatedPercentageTerms, RateTier
from billing.rating.charges.package import PackageRounding, PackageTerms
from billing.rating.charges.per_unit import PerUnitTerms
from billing.rating.charges.percentage import PercentageTerms
from billing.rating.charges.stairstep import StairstepTerms, Step
from billing.rating.charges.tiers import bound_faults
from billing.rating.charges.volume import VolumeTerms
from kernel.errors import Invalid

D = Decimal

FLAT = FlatTerms(amount=D("1299"))
TINY = PerUnitTerms(unit_price=D("0.000001"))
TIERS = (
    Tier(up_to=D(10), unit_price=D(5), flat_fee=D(2)),
    Tier(up_to=D(20), unit_price=D(3)),
    Tier(up_to=None, unit_price=D("0.5"), flat_fee=D(7)),
)
GRADUATED = GraduatedTerms(tiers=TIERS)
VOLUME = VolumeTerms(tiers=TIERS)
STAIRS = StairstepTerms(
    tiers=(
        Step(up_to=D(10), flat_fee=D(0)),
        Step(up_to=D(100), flat_fee=D(50)),
        Step(up_to=None, flat_fee=D(400)),
    )
)
UP = PackageTerms(package_size=D(10000), package_price=D(850))
DOWN = PackageTerms(
    package_size=D(10000), package_price=D(850), package_rounding=PackageRounding.DOWN
)
PERCENT = PercentageTerms(rate_percent=D("2.9"), fixed_fee=D("0.30"))
BANDS = GraduatedPercentageTerms(
    tiers=(
        RateTier(up_to=D(1000), rate_percent=D(3), flat_fee=D(1)),
        RateTier(up_to=None, rate_percent=D("1.5"), flat_fee=D(2)),
    )
)

CASES: list[tuple[str, ChargeTerms, str, str]] = [
    ("flat: nothing used", FLAT, "0", "1299"),
    ("flat: much used", FLAT, "1000000000000", "1299"),
    ("per unit: nothing", TINY, "0", "0"),
    ("per unit: one", TINY, "1", "0.000001"),
    ("per unit: 10^12", TINY, "1000000000000", "1000000"),
    ("per unit: the smallest of both", TINY, "0.000000000001", "0.000000000000000001"),
    ("graduated: at zero the first tier's fee is due", GRADUATED, "0", "2"),
    ("graduated: a fraction", GRADUATED, "0.5", "4.5"),
    ("graduated: at the first bound", GRADUATED, "10", "52"),
    ("graduated: a trace past it", GRADUATED, "10.000001", "52.000003"),
    ("graduated: one past it", GRADUATED, "11", "55"),
    ("graduated: at the second bound", GRADUATED, "20", "82"),
    ("graduated: one past it brings the third fee", GRADUATED, "21", "89.5"),
    ("graduated: 10^12", GRADUATED, "1000000000000", "500000000079"),
    ("volume: at zero the first tier's fee is due", VOLUME, "0", "2"),
    ("volume: at the first bound", VOLUME, "10", "52"),
    ("volume: one past it, all units are cheaper", VOLUME, "11", "33"),
    ("volume: at the second bound", VOLUME, "20", "60"),
    ("volume: one past it", VOLUME, "21", "17.5"),
    ("volume: a fraction", VOLUME, "20.5", "17.25"),
    ("stairs: nothing used", STAIRS, "0", "0"),
    ("stairs: at the first bound", STAIRS, "10", "0"),
    ("stairs: a trace past it", STAIRS, "10.1", "50"),
    ("stairs: at the second bound", STAIRS, "100", "50"),
    ("stairs: far past it", STAIRS, "1000000000000", "400"),
    ("packages up: none for nothing", UP, "0", "0"),
    ("packages up: the first is started by one", UP, "1", "850"),
    ("packages up: full", UP, "10000", "850"),
    ("packages up: one past", UP, "10001", "1700"),
    ("packages up: a trace past", UP, "10000.000001", "1700"),
    ("packages down: not full", DOWN, "9999.999999", "0"),
    ("packages down: full", DOWN, "10000", "850"),
    ("packages down: nearly two", DOWN, "19999", "850"),
    ("percentage: the fee is due at zero", PERCENT, "0", "0.3"),
    ("percentage: of money", PERCENT, "1000", "29.3"),
    ("graduated percentage: nothing", BANDS, "0", "1"),
    ("graduated percentage: at the bound", BANDS, "1000", "31"),
    ("graduated percentage: past it", BANDS, "1001", "33.015"),
]


@pytest.mark.parametrize(("reason", "terms", "quantity", "amount"), CASES, ids=lambda each: None)
def test_a_charge(reason: str, terms: ChargeTerms, quantity: str, amount: str) -> None:
    charged = charge(terms, D(quantity))
    assert charged.amount == D(amount), reason
    assert sum(line.amount for line in charged.lines) == charged.amount
    for line in charged.lines:
        assert line.quantity * line.unit_price + line.flat_fee == line.amount


def test_lines_tell_tiers_from_1() -> None:
    lines = charge(GRADUATED, 25).lines
    assert [(line.tier, line.quantity, line.amount) for line in lines] == [
        (1, Fraction(10), Fraction(52)),
        (2, Fraction(10), Fraction(30)),
        (3, Fraction(5), Fraction(19, 2)),
    ]
    assert [line.tier for line in charge(VOLUME, 25).lines] == [3]
    assert [line.tier for line in charge(STAIRS, 11).lines] == [2]


def test_the_quantity_of_packages_is_their_number() -> None:
    (line,) = charge(UP, 25000).lines
    assert (line.quantity, line.unit_price) == (Fraction(3), Fraction(850))


def test_the_unit_price_of_a_percentage_is_its_rate() -> None:
    (line,) = charge(PERCENT, 100).lines
    assert line.unit_price == Fraction(29, 1000)


@pytest.mark.parametrize("terms", [FLAT, TINY, GRADUATED, VOLUME, STAIRS, UP, PERCENT, BANDS])
def test_negative_quantities_are_refused(terms: ChargeTerms) -> None:
    with pytest.raises(Invalid) as refused:
        charge(terms, D("-0.000001"))
    assert refused.value.code == "negative"


@pytest.mark.parametrize(
    ("bounds", "faults", "reason"),
    [
        ([None], [], "one open tier"),
        (["10", None], [], "two"),
        (["10"], [(0, "missing_open_tier")], "nothing prices above 10"),
        (["10", "10", None], [(1, "up_to_not_increasing")], "an empty tier"),
        (["10", "5", None], [(1, "up_to_not_increasing")], "falls back into the first"),
        (
            ["10", "5", "8", None],
            [(1, "up_to_not_increasing"), (2, "up_to_not_increasing")],
            "both",
        ),
        ([None, None], [(0, "tiers_overlap")], "two open ones"),
        ([None, "10"], [(0, "tiers_overlap"), (1, "missing_open_tier")], "open one first"),
        (["0", None], [(0, "not_positive")], "an empty first tier"),
        (["-1", None], [(0, "not_positive")], "below zero"),
    ],
)
def test_bounds(bounds: list[str | None], faults: list[tuple[int, str]], reason: str) -> None:
    given = [None if bound is None else D(bound) for bound in bounds]
    found = [(fault.index, fault.code) for fault in bound_faults(given)]
    assert found == faults, reason
    tiers = tuple(Tier(up_to=bound) for bound in given)
    if not faults:
        GraduatedTerms(tiers=tiers)
        return
    with pytest.raises(Invalid) as refused:
        GraduatedTerms(tiers=tiers)
    assert refused.value.code == faults[0][1]
    assert refused.value.field == f"tiers[{faults[0][0]}].up_to"


@pytest.mark.parametrize(
    "model", [GraduatedTerms, VolumeTerms, StairstepTerms, GraduatedPercentageTerms]
)
def test_no_tiers_are_refused(model: type[GraduatedTerms]) -> None:
    with pytest.raises(Invalid) as refused:
        model(tiers=())
    assert refused.value.code == "missing"


@pytest.mark.parametrize(
    ("make", "field", "code"),
    [
        (lambda: FlatTerms(amount=D(-1)), "amount", "negative"),
        (lambda: PerUnitTerms(unit_price=D(-1)), "unit_price", "negative"),
        (lambda: Tier(up_to=None, unit_price=D(-1)), "unit_price", "negative"),
        (lambda: Tier(up_to=None, flat_fee=D(-1)), "flat_fee", "negative"),
        (lambda: Step(up_to=None, flat_fee=D(-1)), "flat_fee", "negative"),
        (lambda: RateTier(up_to=None, rate_percent=D(-1)), "rate_percent", "negative"),
        (lambda: RateTier(up_to=None, flat_fee=D(-1)), "flat_fee", "negative"),
        (lambda: PercentageTerms(rate_percent=D(-1)), "rate_percent", "negative"),
        (lambda: PercentageTerms(rate_percent=D(1), fixed_fee=D(-1)), "fixed_fee", "negative"),
        (
            lambda: PackageTerms(package_size=D(0), package_price=D(1)),
            "package_size",
            "not_positive",
        ),
        (lambda: PackageTerms(package_size=D(-1), package_price=D(1)), "package_size", "negative"),
        (lambda: PackageTerms(package_size=D(1), package_price=D(-1)), "package_price", "negative"),
    ],
)
def test_terms_check_themselves(make: object, field: str, code: str) -> None:
    assert callable(make)
    with pytest.raises(Invalid) as refused:
        make()
    assert (refused.value.field, refused.value.code) == (field, code)
