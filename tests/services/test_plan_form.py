"""The plan form and the plan document are two faces of the same terms; nothing typed is lost."""

import json
from pathlib import Path
from typing import Any

import pytest

from billing.catalog.domain import content_hash
from billing.rating.charges import Model
from console.sales.plan_fields import DrawnPlan, drawn_plan
from console.sales.plan_form import (
    MOST_FIELDS,
    OF_MODEL,
    TIERS_OF_MODEL,
    PlanForm,
    change_rows,
    form_from_document,
    form_from_post,
    read_document,
)
from tests.factories import EVERYTHING, STANDARD

# The form offers the meters that there are, operators' own among them.
pytestmark = pytest.mark.usefixtures("db")

EXAMPLES = sorted(
    (Path(__file__).resolve().parents[2] / "billing" / "catalog" / "examples").glob("*.json")
)
DOCUMENTS = [
    EVERYTHING,
    STANDARD,
    *(
        plan
        for path in EXAMPLES
        for plan in json.loads(path.read_text(encoding="utf-8")).get("plans", [])
    ),
]


def sent(form: PlanForm) -> dict[str, str]:
    """What a browser sends of the form as it is drawn."""
    plan = drawn_plan(form, (), is_new=True)
    return {
        field.name: field.value for field in plan.slots if field.kind != "checkbox" or field.value
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: str(each["key"]))
def test_a_document_through_form_and_browser_means_the_same(document: dict[str, Any]) -> None:
    form = form_from_document(document)
    assert form is not None
    again = form_from_post(sent(form))
    assert content_hash(again.document()) == content_hash(document)


def test_every_model_has_its_fields() -> None:
    assert set(OF_MODEL) == set(Model)
    assert all(OF_MODEL[model] or model in TIERS_OF_MODEL for model in Model)


@pytest.mark.parametrize(
    "odd",
    [
        {"surprise": 1},
        {"prices": [{"key": "a", "model": "flat", "amount": "1", "surprise": "1"}]},
        {"prices": [{"key": "a", "model": "flat", "amount": ["1"]}]},
        {"prices": "none"},
        {"name": {"en": {"deep": "er"}}},
        {"entitlements": {"x": {"limit": "1", "more": "2"}}},
        {"prices": [{"key": f"p{n}", "model": "flat", "amount": "1"} for n in range(60)]},
    ],
    ids=lambda each: str(each)[:40],
)
def test_what_no_field_holds_is_left_to_the_text(odd: dict[str, Any]) -> None:
    assert form_from_document({**STANDARD, **odd}) is None


def test_a_form_never_sends_more_than_is_taken() -> None:
    many = [{"key": f"p{n}", "model": "flat", "amount": "1"} for n in range(20)]
    form = form_from_document({**STANDARD, "prices": many})
    assert form is not None
    assert form.size <= MOST_FIELDS
    assert len(sent(form)) <= form.size + 5


def field_faults(plan: DrawnPlan) -> dict[str, list[str]]:
    return {field.name: list(field.faults) for field in plan.slots if field.faults}


def test_each_fault_stands_at_its_field_with_what_was_typed() -> None:
    typed = {
        "key": "no spaces please",
        "currency": "XYZ",
        "interval": "month",
        "trial_days": "many",
        "prices[0].key": "a",
        "prices[0].model": "graduated",
        "prices[0].tiers[0].up_to": "5",
        "prices[0].tiers[0].unit_price": "-1",
        "prices[0].tiers[1].up_to": "4",
        "prices[0].tiers[1].unit_price": "x",
        "prices[0].in_max_of": "on",
        "prices[1].key": "a",
        "prices[1].model": "per_unit",
        "prices[1].meter": "dau",
        "prices[1].convert.divide_by": "0",
        "prices[1].minimum": "9",
        "prices[1].maximum": "1",
        "entitlements[0].feature": "dau",
        "entitlements[0].allows": "limit",
        "entitlements[0].limit": "1,000",
        "entitlements[1].feature": "dau",
        "entitlements[1].allows": "yes",
    }
    form = form_from_post(typed)
    read = read_document(form.document(), before=form.faults())
    assert read.terms is None
    plan = drawn_plan(form, read.faults, is_new=True)
    assert set(field_faults(plan)) == {
        "key",
        "currency",
        "trial_days",
        "prices[0].tiers[0].unit_price",
        "prices[0].tiers[1].up_to",
        "prices[0].tiers[1].unit_price",
        "prices[1].key",
        "prices[1].unit_price",
        "prices[1].period_aggregation",
        "prices[1].convert.divide_by",
        "prices[1].minimum",
        "max_of",
        "entitlements[1].feature",
    }
    assert plan.loose_faults == ()
    values = {field.name: field.value for field in plan.slots}
    assert {name: values[name] for name in typed} == typed


def test_fields_of_another_model_are_kept_but_not_said() -> None:
    form = form_from_post(
        {
            "prices[0].model": "flat",
            "prices[0].amount": "5",
            "prices[0].package_size": "10",
            "prices[0].tiers[0].up_to": "7",
            "prices[0].k": "3",
        }
    )
    assert form.document()["prices"] == [{"model": "flat", "amount": "5"}]
    assert form.prices[0].values["package_size"] == "10"
    assert form.prices[0].tiers == [{"up_to": "7"}]


def test_a_feature_without_a_name_is_not_dropped_silently() -> None:
    form = form_from_post({"entitlements[0].allows": "limit", "entitlements[0].limit": "5"})
    assert [fault.path for fault in form.faults()] == ["entitlements[0].feature"]


@pytest.mark.parametrize(
    ("action", "keys", "goes_on"),
    [
        ("add_price", ["base", "dau", ""], "prices[2].key"),
        ("remove_price:0", ["dau"], ""),
        ("price_up:1", ["dau", "base"], "prices[0].key"),
        ("price_up:0", ["base", "dau"], ""),
        ("remove_price:7", ["base", "dau"], ""),
        ("remove_price:x", ["base", "dau"], ""),
        ("store", ["base", "dau"], ""),
    ],
)
def test_buttons_change_rows(action: str, keys: list[str], goes_on: str) -> None:
    form = form_from_document(STANDARD)
    assert form is not None
    assert change_rows(form, action) == goes_on
    assert [price.values.get("key", "") for price in form.prices] == keys


def test_tiers_and_features_come_and_go() -> None:
    form = form_from_document(STANDARD)
    assert form is not None
    assert change_rows(form, "add_tier:1") == "prices[1].tiers[0].up_to"
    assert change_rows(form, "add_tier:1") == "prices[1].tiers[1].up_to"
    form.prices[1].tiers[1]["up_to"] = "9"
    change_rows(form, "remove_tier:1:0")
    assert form.prices[1].tiers == [{"up_to": "9"}]
    assert change_rows(form, "add_entitlement") == "entitlements[0].feature"
    change_rows(form, "remove_entitlement:0")
    assert form.entitlements == []
