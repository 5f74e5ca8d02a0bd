"""Plans: the catalogue, and one plan with its versions."""

from django.http import HttpResponse
from django.utils.translation import get_language

from billing.catalog.queries import latest_versions, versions_of
from billing.subscriptions.queries import subscribers
from console.access import StaffRequest, staff_page
from console.frame import page
from kernel.errors import NotFound
from tenants.permissions import StaffAction
from ui.plan_terms import plan_name, plan_sheet

_MOST = 200


@staff_page(action=StaffAction.PLANS_VIEW, purpose="plans list")
def plan_list(request: StaffRequest) -> HttpResponse:
    """Each plan with its newest wording and how many tenants hold it."""
    counts: dict[str, int] = {}
    for (key, _number), count in subscribers().items():
        counts[key] = counts.get(key, 0) + count
    language = get_language() or "en"
    return page(
        request,
        "console/plans.html",
        place="plans",
        plans=[
            (
                version,
                plan_name(version.document, language=language),
                counts.get(version.plan_key, 0),
            )
            for version in latest_versions(limit=_MOST)
        ],
    )


@staff_page(action=StaffAction.PLANS_VIEW, purpose="plan page")
def plan(request: StaffRequest, plan_key: str) -> HttpResponse:
    """The newest wording as a sheet; older ones below. Raises NotFound `plan_not_found`."""
    versions = versions_of(plan_key=plan_key)
    if not versions:
        raise NotFound("plan_not_found", "There is no such plan.", field="plan")
    held = subscribers()
    shown = [
        (version, plan_sheet(version.document), held.get((plan_key, version.number), 0))
        for version in reversed(versions)
    ]
    return page(
        request,
        "console/plan.html",
        place="plans",
        plan_key=plan_key,
        newest=shown[0],
        older=shown[1:],
    )
