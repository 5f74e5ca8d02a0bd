"""Reading what a plan allows: bounds of features, and features that are there or not."""

from collections.abc import Iterable
from decimal import Decimal

from billing.catalog.domain.fields import Fields, is_plain_text
from billing.rating.terms import Entitlement, PriceTerms, QuotaKind
from kernel.decimals import plain_text


def read_entitlements(fields: Fields, *, of_price: bool = False) -> tuple[Entitlement, ...]:
    """By feature: a number or {"limit", "kind"}, true or false, or a text; in their keys' order.

    A text stays a text, so a limit is a JSON number, or stands under `limit`. A bare number is a
    hard limit. Those of a price may be {"adds", "kind"} too: so much more for each unit held.
    """
    if not fields.has("entitlements"):
        return ()
    features = fields.nested("entitlements")
    found = [
        _read_entitlement(features, feature, of_price=of_price)
        for feature in sorted(features.names())
    ]
    features.refuse_unknown()
    return tuple(found)


def refuse_mixed_entitlements(
    fields: Fields, plan: Iterable[Entitlement], prices: Iterable[PriceTerms]
) -> None:
    """Fault `mixed_entitlement` where a feature has a limit in one place and a text in another:
    neither would tell what is allowed when both hold."""
    texts: dict[str, bool] = {}
    named = [
        *(("entitlements", each) for each in plan),
        *(
            (f"prices[{index}].entitlements", each)
            for index, price in enumerate(prices)
            for each in price.entitlements
        ),
    ]
    for place, each in named:
        if isinstance(each.value, bool):
            continue
        is_text = isinstance(each.value, str)
        if texts.setdefault(each.feature, is_text) is not is_text:
            fields.fault(
                f"{place}.{each.feature}",
                "mixed_entitlement",
                "is a limit in one place and a text in another; write the same kind in both.",
            )


def entitlements_document(entitlements: tuple[Entitlement, ...]) -> dict[str, object]:
    """The entitlements in the words of a plan document."""
    return {each.feature: _entitlement_document(each) for each in entitlements}


def _read_entitlement(features: Fields, feature: str, *, of_price: bool) -> Entitlement:
    match features.raw(feature):
        case bool() as value:
            return Entitlement(feature=feature, value=value)
        case str() as text if is_plain_text(text):
            return Entitlement(feature=feature, value=text)
        case int() | Decimal():
            return Entitlement(
                feature=feature,
                value=features.figure(feature, default=Decimal(0)),
                kind=QuotaKind.HARD,
            )
        case dict():
            quota = features.nested(feature)
            adds = of_price and quota.has("adds")
            if adds:
                quota.refuse(
                    "limit",
                    "limit_and_adds",
                    "stands beside adds, which widens what is allowed without it; remove one.",
                )
            entitlement = Entitlement(
                feature=feature,
                value=quota.figure("adds" if adds else "limit"),
                kind=quota.choice("kind", QuotaKind, default=QuotaKind.HARD),
                adds=adds,
            )
            quota.refuse_unknown()
            return entitlement
        case _:
            features.fault(
                feature,
                "not_an_entitlement",
                'is no entitlement; write a number, true, false, a text or {"limit", "kind"}.',
            )
            return Entitlement(feature=feature, value=False)


def _entitlement_document(entitlement: Entitlement) -> object:
    match entitlement.value:
        case bool() | str() as value:
            return value
        case limit:
            kind = entitlement.kind or QuotaKind.HARD
            name = "adds" if entitlement.adds else "limit"
            return {name: plain_text(limit), "kind": kind.value}
