"""Reading what a plan allows: bounds of features, and features that are there or not."""

from decimal import Decimal

from billing.catalog.domain.fields import Fields, is_plain_text
from billing.rating.terms import Entitlement, QuotaKind
from kernel.decimals import plain_text


def read_entitlements(fields: Fields) -> tuple[Entitlement, ...]:
    """By feature: a number or {"limit", "kind"}, true or false, or a text; in their keys' order.

    A text stays a text, so a limit is a JSON number, or stands under `limit`. A bare number is a
    hard limit.
    """
    if not fields.has("entitlements"):
        return ()
    features = fields.nested("entitlements")
    found = [_read_entitlement(features, feature) for feature in sorted(features.names())]
    features.refuse_unknown()
    return tuple(found)


def entitlements_document(entitlements: tuple[Entitlement, ...]) -> dict[str, object]:
    """The entitlements in the words of a plan document."""
    return {each.feature: _entitlement_document(each) for each in entitlements}


def _read_entitlement(features: Fields, feature: str) -> Entitlement:
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
            entitlement = Entitlement(
                feature=feature,
                value=quota.figure("limit"),
                kind=quota.choice("kind", QuotaKind, default=QuotaKind.HARD),
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
            return {"limit": plain_text(limit), "kind": kind.value}
