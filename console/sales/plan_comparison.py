"""Two versions of a plan, or two plans, side by side: what differs, in words and in money."""

from typing import Any

from django.http import HttpResponse

from billing.catalog.queries import StoredVersion, version_numbered, version_numbers
from console.access import StaffRequest, staff_page
from console.frame import page
from console.sales.plan_editor import MOST_VERSIONS, labelled, payers_of, version_named
from console.sales.plan_figures import plan_figure, price_figures
from tenants.permissions import StaffAction
from ui.plan_comparison import plan_differences


@staff_page(action=StaffAction.PLANS_VIEW, purpose="plan comparison")
def compare(request: StaffRequest) -> HttpResponse:
    """`?old=key:version&new=key:version`; the newest two of the first plan without them."""
    offered = version_numbers(limit=MOST_VERSIONS)
    old, new = _chosen(request.GET.get("old", ""), request.GET.get("new", ""), offered)
    is_real = request.GET.get("sample") == "real"
    shown: dict[str, Any] = {}
    if old is not None and new is not None:
        plans = [labelled(old), labelled(new)]
        shown = {
            "differences": plan_differences(old.terms.document, new.terms.document),
            "plan_figure": plan_figure(plans),
            "price_figures": price_figures(plans),
            "payers": payers_of(old=old.terms, new=new.terms, is_real=is_real, tenant_ids=[]),
            "labels": [each.label for each in plans],
        }
    return page(
        request,
        "console/plan_comparison.html",
        place="plans",
        old=old,
        new=new,
        is_real=is_real,
        versions=[(f"{key}:{number}", key, number) for key, number in offered],
        **shown,
    )


def _chosen(
    old: str, new: str, offered: list[tuple[str, int]]
) -> tuple[StoredVersion | None, StoredVersion | None]:
    """Both versions; what isn't named is the newest of its plan, and the one before it.

    Raises NotFound `plan_not_found` for one that isn't there.
    """
    if not offered:
        return None, None
    before, after = version_named(old), version_named(new)
    if after is None:
        after = before or version_numbered(plan_key=offered[0][0], number=offered[0][1])
    if before is None:
        before = (
            version_numbered(plan_key=after.plan_key, number=after.number - 1)
            if after.number > 1
            else after
        )
    return before, after
