"""A change as a form asks for it."""

from decimal import Decimal

import pytest

from billing.subscriptions.asking import asked_change
from billing.subscriptions.domain import AskedChange, ChangeKind, EffectiveWhen
from kernel.errors import Invalid

ALL = tuple(ChangeKind)


@pytest.mark.parametrize(
    ("texts", "asked"),
    [
        (
            {"kind": "change_plan", "plan": "pro:3", "when": "now", "price": "x", "quantity": "?"},
            AskedChange(kind=ChangeKind.PLAN, plan="pro", version=3),
        ),
        (
            {"kind": "change_plan", "plan": " pro ", "when": "period_end"},
            AskedChange(kind=ChangeKind.PLAN, plan="pro", when=EffectiveWhen.PERIOD_END),
        ),
        (
            {"kind": "add_addon", "price": "history", "when": "now"},
            AskedChange(kind=ChangeKind.ADD, price="history"),
        ),
        (
            {"kind": "change_quantity", "price": "seats", "quantity": "2.5", "when": "now"},
            AskedChange(kind=ChangeKind.QUANTITY, price="seats", quantity=Decimal("2.5")),
        ),
        # Taking something back has no time of its own.
        (
            {"kind": "undo_cancel", "when": "period_end"},
            AskedChange(kind=ChangeKind.UNDO_CANCEL),
        ),
    ],
)
def test_texts_become_what_is_asked(texts: dict[str, str], asked: AskedChange) -> None:
    assert asked_change(texts, allowed=ALL) == asked


@pytest.mark.parametrize(
    ("texts", "code", "field"),
    [
        ({}, "unknown_choice", "kind"),
        ({"kind": "pause", "when": "now"}, "unknown_choice", "kind"),
        ({"kind": "cancel", "when": "later"}, "unknown_choice", "when"),
        ({"kind": "change_plan", "when": "now"}, "missing", "plan"),
        ({"kind": "change_plan", "when": "now", "plan": ":3"}, "missing", "plan"),
        ({"kind": "change_plan", "when": "now", "plan": "pro:x"}, "unknown_choice", "plan"),
        ({"kind": "change_plan", "when": "now", "plan": "pro:0"}, "unknown_choice", "plan"),
        (
            {"kind": "change_plan", "when": "now", "plan": "pro:9999999999"},
            "unknown_choice",
            "plan",
        ),
        ({"kind": "add_addon", "when": "now"}, "missing", "price"),
        ({"kind": "change_quantity", "when": "now", "price": "a"}, "missing", "quantity"),
        (
            {"kind": "change_quantity", "when": "now", "price": "a", "quantity": "1,5"},
            "not_a_decimal",
            "quantity",
        ),
    ],
)
def test_what_cannot_be_asked_names_its_field(texts: dict[str, str], code: str, field: str) -> None:
    allowed = [kind for kind in ALL if kind is not ChangeKind.PAUSE]
    with pytest.raises(Invalid) as refused:
        asked_change(texts, allowed=allowed)
    assert (refused.value.code, refused.value.field) == (code, field)
