"""Moving the subscriptions of a plan version to another: a look at it, the start, and its progress."""

from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from billing.catalog.queries import StoredVersion, version_numbered, version_numbers
from billing.invoicing.services.begin_migration import begin_migration
from billing.invoicing.services.migrate_plan import KIND, NewMigration
from billing.subscriptions.domain import MigrationWhen
from billing.subscriptions.migrations import (
    Cohort,
    cohort_of,
    migration_detail,
    migration_under_way,
)
from console.access import StaffRequest, staff_page
from console.frame import page
from console.sales.plan_figures import Payers, real_payers
from kernel import clock
from kernel.errors import DomainError
from tenants.permissions import StaffAction
from ui import words
from ui.errors import message_of
from ui.plan_terms import plan_name
from work.queries import progress_of

_MOST_VERSIONS: Final = 500


class MigrationForm(forms.Form):
    """To which version, and when."""

    to = forms.ChoiceField(label=_("To"))
    when = forms.ChoiceField(
        label=_("When"),
        help_text=_(
            "When each period ends, the next invoice bills the new version. With drafts, invoices that are "
            "drafted and not issued bill it already, as to mend a wrong price before they go out. Now, each tenant gets a "
            "document at once: unused days of the old version back, the rest of the period by the new one."
        ),
    )
    tenants = forms.CharField(
        label=_("Only these tenants"),
        help_text=_("Tenant keys with commas between; left empty, all that hold this version."),
        required=False,
        max_length=10_000,
    )

    def __init__(self, *args: Any, targets: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["to"].choices = targets  # type: ignore[attr-defined]  # of ChoiceField
        self.fields["when"].choices = [  # type: ignore[attr-defined]  # of ChoiceField
            (when.value, words.word("migration_when", when.value)) for when in MigrationWhen
        ]

    def migration(self, held: StoredVersion) -> NewMigration:
        """What is asked for."""
        plan, _colon, number = self.cleaned_data["to"].rpartition(":")
        return NewMigration(
            from_plan=held.plan_key,
            from_number=held.number,
            to_plan=plan,
            to_number=int(number),
            when=MigrationWhen(self.cleaned_data["when"]),
            tenant_keys=sorted(
                {key for each in self.cleaned_data["tenants"].split(",") if (key := each.strip())}
            ),
        )


@never_cache
@staff_page(action=StaffAction.PLANS_MIGRATE, purpose="migrate a plan version")
def migrate(request: StaffRequest, plan_key: str, version: int) -> HttpResponse:
    """A form; then whom it moves and what they would have paid; then the start.

    Raises NotFound `plan_not_found`.
    """
    held = version_numbered(plan_key=plan_key, number=version)
    running = migration_under_way(plan_key=plan_key, number=version)
    if running is not None:
        return redirect("console:migration", migration_id=running)
    sent = request.POST if request.method == "POST" else None
    form = MigrationForm(sent, targets=_targets(held))
    cohort: Cohort | None = None
    payers: Payers | None = None
    wanted: StoredVersion | None = None
    if form.is_bound and form.is_valid():
        try:
            asked = form.migration(held)
            wanted = version_numbered(plan_key=asked.to_plan, number=asked.to_number)
            cohort = cohort_of(plan_key=plan_key, number=version, tenant_keys=asked.tenant_keys)
            if not cohort.subscriptions:
                form.add_error("tenants", gettext("None of these tenants holds this version."))
            elif "start" in request.POST:
                migration_id, is_new = begin_migration(
                    migration=asked,
                    seen=_number(request.POST.get("seen", "")),
                    now=clock.now(),
                    actor=f"user:{request.user.pk}",
                )
                if is_new:
                    messages.success(request, gettext("The migration is started."))
                return redirect("console:migration", migration_id=migration_id)
        except DomainError as error:
            form.add_error(error.field if error.field in form.fields else None, message_of(error))
        if wanted is not None and cohort is not None and cohort.subscriptions:
            payers = real_payers(
                old=held.terms,
                new=wanted.terms,
                tenant_ids=cohort.sample,
                now=clock.now(),
                address=reverse("console:tenant", args=["KEY"]),
            )
    return page(
        request,
        "console/migrate.html",
        place="plans",
        status=422 if form.errors else 200,
        held=held,
        name=plan_name(held.document, language=get_language() or "en"),
        form=form,
        wanted=wanted,
        cohort=cohort if cohort is not None and cohort.subscriptions else None,
        all_holders=cohort_of(plan_key=plan_key, number=version).subscriptions,
        payers=payers,
        has_old=True,
    )


@staff_page(action=StaffAction.PLANS_VIEW, purpose="a plan migration")
def migration(request: StaffRequest, migration_id: UUID) -> HttpResponse:
    """One migration; the part with its progress fetches itself until it is over."""
    return page(request, "console/migration.html", place="plans", **_progress(migration_id))


@staff_page(action=StaffAction.PLANS_VIEW, purpose="progress of a plan migration")
def migration_progress(request: StaffRequest, migration_id: UUID) -> HttpResponse:
    """Only the part with the progress."""
    return render(request, "console/_migration_progress.html", _progress(migration_id))


def _progress(migration_id: UUID) -> dict[str, Any]:
    return {
        "migration": migration_detail(migration_id=migration_id),
        "job": progress_of(kind=KIND, key=str(migration_id)),
    }


def _targets(held: StoredVersion) -> list[tuple[str, str]]:
    """Other versions, those of the same plan first; what a currency forbids is refused with words."""
    numbers = version_numbers(limit=_MOST_VERSIONS)
    numbers.sort(key=lambda each: each[0] != held.plan_key)
    return [
        (f"{key}:{number}", f"{key} · {number}")
        for key, number in numbers
        if (key, number) != (held.plan_key, held.number)
    ]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
