"""A change as a form asks for it: texts in, an `AskedChange` out. Pure."""

from collections.abc import Collection, Mapping
from decimal import Decimal

from billing.subscriptions.domain import AskedChange, ChangeKind, EffectiveWhen
from kernel.decimals import parse_decimal
from kernel.errors import Invalid

_OF_A_PRICE = frozenset({ChangeKind.QUANTITY, ChangeKind.ADD, ChangeKind.REMOVE})
_ALWAYS_NOW = frozenset({ChangeKind.UNDO_CANCEL, ChangeKind.UNDO_CHANGE, ChangeKind.END_TRIAL})
_HIGHEST_VERSION = 2_147_483_647


def asked_change(texts: Mapping[str, str], *, allowed: Collection[ChangeKind]) -> AskedChange:
    """What the fields `kind`, `when`, `plan` (`key:version` or a key), `price`, `quantity` and
    `coupon` ask for.

    Fields that don't belong to the kind are passed over. Raises Invalid `unknown_choice` for another
    word or a kind that isn't `allowed`, `missing`, and as `parse_decimal`.
    """
    kind = ChangeKind(_word(texts, "kind", [each.value for each in allowed]))
    when = EffectiveWhen.NOW
    if kind not in _ALWAYS_NOW:
        when = EffectiveWhen(_word(texts, "when", [each.value for each in EffectiveWhen]))
    plan, version = "", None
    if kind is ChangeKind.PLAN:
        plan, version = _plan(_text(texts, "plan"))
    price, quantity = "", None
    if kind in _OF_A_PRICE:
        price = _text(texts, "price")
        if not price:
            raise Invalid("missing", "price is missing; choose one.", field="price")
        quantity = _quantity(texts, is_required=kind is ChangeKind.QUANTITY)
    coupon = ""
    if kind is ChangeKind.COUPON:
        coupon = _text(texts, "coupon")
        if not coupon:
            raise Invalid("missing", "coupon is missing; write its code.", field="coupon")
    return AskedChange(
        kind=kind,
        when=when,
        plan=plan,
        version=version,
        price=price,
        quantity=quantity,
        coupon=coupon,
    )


def _quantity(texts: Mapping[str, str], *, is_required: bool) -> Decimal | None:
    text = _text(texts, "quantity")
    if not text and is_required:
        raise Invalid("missing", "quantity is missing; give it.", field="quantity")
    return parse_decimal(text, field="quantity") if text else None


def _plan(text: str) -> tuple[str, int | None]:
    key, colon, number = text.rpartition(":")
    if not colon:
        key, number = text, ""
    if not key:
        raise Invalid("missing", "plan is missing; choose one.", field="plan")
    if number and not (number.isascii() and number.isdigit() and len(number) <= 10):
        raise Invalid("unknown_choice", "plan is none of those offered.", field="plan")
    version = int(number) if number else None
    if version is not None and not 1 <= version <= _HIGHEST_VERSION:
        raise Invalid("unknown_choice", "plan is none of those offered.", field="plan")
    return key, version


def _word(texts: Mapping[str, str], name: str, words: Collection[str]) -> str:
    text = _text(texts, name)
    if text not in words:
        raise Invalid(
            "unknown_choice", f"{name} is none of {', '.join(words)}; write one.", field=name
        )
    return text


def _text(texts: Mapping[str, str], name: str) -> str:
    return texts.get(name, "").strip()
