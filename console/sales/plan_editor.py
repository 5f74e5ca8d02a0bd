"""The plan editor: a form or a text for one plan document, with what it would cost beside it.

Nothing is stored until the person says so, and then as a new immutable version by the service that also
loads price lists. Everything else (rows added, another view, a fault) gives back what was typed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _

from billing.catalog.domain import Fault
from billing.catalog.queries import (
    StoredVersion,
    latest_version,
    version_numbered,
    version_numbers,
)
from billing.catalog.services import load_plans
from billing.rating.terms import PlanTerms
from billing.subscriptions.queries import subscribers
from console.access import StaffRequest, staff_page
from console.frame import page
from console.sales.plan_fields import drawn_plan
from console.sales.plan_figures import (
    Labelled,
    Payers,
    plan_figure,
    price_figures,
    real_payers,
    typical_payers,
)
from console.sales.plan_form import (
    PlanForm,
    PriceRow,
    Read,
    change_rows,
    form_from_document,
    form_from_post,
    new_price,
    read_document,
)
from kernel import clock
from kernel.documents import parse_json
from kernel.errors import Conflict, DomainError, Invalid
from metering.queries import known_meters
from tenants.permissions import StaffAction
from ui.errors import message_of
from ui.plan_comparison import plan_differences
from ui.plan_faults import fault_text

FORM: Final = "form"
TEXT: Final = "text"
LONGEST_TEXT: Final = 200_000
MOST_VERSIONS: Final = 500
_MOST_TENANTS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What the person sees: the form or the text, and what the parser says of it.

    `form` is None while the plan is written as text; `text_fault` is why that is not JSON.
    """

    form: PlanForm | None
    text: str
    read: Read
    text_fault: str = ""


@staff_page(action=StaffAction.PLANS_CHANGE, purpose="plan editor: a new plan")
def new_plan(request: StaffRequest) -> HttpResponse:
    """A plan that isn't there yet; `?from=key:version` begins with another one's terms."""
    if request.method == "POST":
        return _posted(request, plan_key="", latest=0)
    source = version_named(request.GET.get("from", ""))
    document = {**source.terms.document, "key": ""} if source is not None else None
    return _shown(request, _opened(document), plan_key="", based_on=0, latest=0)


@staff_page(action=StaffAction.PLANS_CHANGE, purpose="plan editor")
def edit_plan(request: StaffRequest, plan_key: str) -> HttpResponse:
    """A new version of a plan; `?version=` begins with the terms of an older one."""
    latest = latest_version(plan_key=plan_key)
    if request.method == "POST":
        return _posted(request, plan_key=plan_key, latest=latest.number)
    chosen = request.GET.get("version", "")
    start = (
        version_numbered(plan_key=plan_key, number=int(chosen)) if _is_number(chosen) else latest
    )
    return _shown(
        request,
        _opened(start.document),
        plan_key=plan_key,
        based_on=latest.number,
        latest=latest.number,
    )


@staff_page(action=StaffAction.PLANS_CHANGE, purpose="plan preview")
def preview(request: StaffRequest) -> HttpResponse:
    """Only the part beside the form, for what stands in it now; stores nothing."""
    edited = _edited(request.POST)
    return render(
        request,
        "console/_plan_preview.html",
        {
            "is_live": True,
            "plan": drawn_plan(edited.form, edited.read.faults, is_new=True)
            if edited.form is not None
            else None,
            **_preview(request, edited, plan_key=request.POST.get("plan", "")),
        },
    )


def _posted(request: StaffRequest, *, plan_key: str, latest: int) -> HttpResponse:
    action = request.POST.get("do", "")
    given = request.POST.get("based_on", "")
    based_on = int(given) if _is_number(given) else latest
    verb, _colon, seen = action.partition(":")
    if verb == "go_on" and _is_number(seen):
        # The person has seen what was stored meanwhile, and goes on from there.
        based_on = min(int(seen), latest)
    edited = _edited(request.POST)
    match action:
        case "store":
            return _store(request, edited, plan_key=plan_key, based_on=based_on, latest=latest)
        case "as_text":
            text = _text_of(edited.read.document)
            edited = Edited(form=None, text=text, read=edited.read)
        case "as_form":
            edited = _as_form(request, edited)
    next_field = ""
    if edited.form is not None:
        next_field = change_rows(edited.form, action)
        if action.startswith(("add_", "remove_", "price_up")):
            # Rows that are only just there are not judged; the rest is again with the next look.
            edited = Edited(form=edited.form, text="", read=_read(edited.form))
    return _shown(
        request,
        edited,
        plan_key=plan_key,
        based_on=based_on,
        latest=latest,
        next_field=next_field,
        is_judged=verb in {"check", "as_form", "as_text", "go_on"},
    )


def _store(
    request: StaffRequest, edited: Edited, *, plan_key: str, based_on: int, latest: int
) -> HttpResponse:
    refusal = ""
    status = 422
    terms = edited.read.terms
    if terms is not None and plan_key and terms.key != plan_key:
        refusal = _("A plan keeps its key, %(key)s; make a new plan for another one.") % {
            "key": plan_key
        }
    elif terms is not None:
        try:
            [stored] = load_plans(
                documents=[edited.read.document],
                known_meters=known_meters(),
                now=clock.now(),
                actor=f"user:{request.user.pk}",
                based_on={terms.key: based_on},
            )
        except DomainError as error:
            refusal = message_of(error)
            status = 409 if isinstance(error, Conflict) else 422
        else:
            if stored.created:
                messages.success(
                    request,
                    _("Version %(version)s of %(key)s is stored.")
                    % {"version": stored.version, "key": stored.key},
                )
            else:
                messages.info(
                    request,
                    _("Nothing was stored: version %(version)s of %(key)s says the same.")
                    % {"version": stored.version, "key": stored.key},
                )
            return redirect("console:plan", plan_key=stored.key)
    return _shown(
        request,
        edited,
        plan_key=plan_key,
        based_on=based_on,
        latest=latest,
        refusal=refusal,
        status=status,
    )


def _shown(
    request: StaffRequest,
    edited: Edited,
    *,
    plan_key: str,
    based_on: int,
    latest: int,
    next_field: str = "",
    refusal: str = "",
    is_judged: bool = True,
    status: int = 200,
) -> HttpResponse:
    is_fresh = request.method != "POST"
    faults = [] if is_fresh or not is_judged else edited.read.faults
    return page(
        request,
        "console/plan_editor.html",
        place="plans",
        status=status,
        plan_key=plan_key,
        based_on=based_on,
        latest=latest,
        is_outdated=based_on < latest,
        plan=drawn_plan(edited.form, faults, is_new=not plan_key, next_field=next_field)
        if edited.form is not None
        else None,
        mode=TEXT if edited.form is None else FORM,
        text=edited.text,
        refusal=refusal,
        is_live=False,
        **_preview(request, edited, plan_key=plan_key, is_quiet=is_fresh and not plan_key),
    )


def _preview(
    request: StaffRequest, edited: Edited, *, plan_key: str, is_quiet: bool = False
) -> dict[str, Any]:
    """What the preview part needs: faults, or what the terms change and what they come to."""
    chosen = request.POST.get("against", "")
    against = version_named(chosen)
    if against is None and plan_key and not chosen:
        against = latest_version(plan_key=plan_key)
    shown: dict[str, Any] = {
        "versions": _versions(against),
        "against": against,
        "text_fault": edited.text_fault,
        "faults": [] if is_quiet else _listed(edited),
        "is_real": request.POST.get("sample") == "real",
        "payers": None,
    }
    terms = edited.read.terms
    if terms is None:
        return shown
    labels = [Labelled(label=_("As written here"), terms=terms)]
    if against is not None:
        shown["differences"] = plan_differences(against.terms.document, terms.document)
        labels.insert(0, labelled(against))
        shown["held"] = subscribers().get((against.plan_key, against.number), 0)
    shown["terms"] = terms
    shown["plan_figure"] = plan_figure(labels)
    shown["price_figures"] = price_figures(labels)
    shown["payers"] = payers_of(
        old=against.terms if against is not None else None,
        new=terms,
        is_real=shown["is_real"],
        tenant_ids=_tenant_ids(request.POST.get("tenants", "")),
    )
    return shown


def labelled(version: StoredVersion) -> Labelled:
    """A stored version under its name."""
    return Labelled(
        label=_("%(key)s, version %(version)s")
        % {"key": version.plan_key, "version": version.number},
        terms=version.terms,
    )


def payers_of(
    *, old: PlanTerms | None, new: PlanTerms, is_real: bool, tenant_ids: list[UUID]
) -> Payers:
    """Ten typical or real tenants under both terms."""
    if not is_real:
        return typical_payers(old=old, new=new)
    return real_payers(
        old=old,
        new=new,
        tenant_ids=tenant_ids,
        now=clock.now(),
        address=reverse("console:tenant", args=["KEY"]),
    )


def _edited(sent: Mapping[str, str]) -> Edited:
    """What was typed, as form or as text, read by the plan parser."""
    if sent.get("mode") != TEXT:
        form = form_from_post(sent)
        return Edited(form=form, text="", read=_read(form))
    text = sent.get("text", "")
    try:
        document = _parsed(text)
    except Invalid as refusal:
        return Edited(
            form=None,
            text=text,
            read=Read(document={}, terms=None, faults=()),
            text_fault=refusal.message,
        )
    return Edited(form=None, text=text, read=read_document(document))


def _parsed(text: str) -> Any:
    """The document in the text. Raises Invalid `not_json`, `duplicate_key`, `too_long`."""
    if len(text) > LONGEST_TEXT:
        raise Invalid("too_long", "The text is too long; a plan has at most 200,000 characters.")
    parse_json(text)
    # A number with decimals becomes a float here, which the plan's own check refuses by its place.
    return json.loads(text)


def _opened(document: Mapping[str, Any] | None) -> Edited:
    """The editor with a stored document, as a form where every term has a field."""
    if document is None:
        form = PlanForm(prices=[new_price()])
        return Edited(form=form, text="", read=_read(form))
    found = form_from_document(document)
    if found is None:
        return Edited(form=None, text=_text_of(document), read=read_document(document))
    if not found.prices:
        found.prices.append(PriceRow())
    return Edited(form=found, text="", read=_read(found))


def _as_form(request: StaffRequest, edited: Edited) -> Edited:
    if edited.form is not None or edited.text_fault:
        return edited
    form = form_from_document(edited.read.document)
    if form is None:
        messages.warning(
            request,
            _("This text says something that the form has no field for; go on with the text."),
        )
        return edited
    return Edited(form=form, text="", read=_read(form))


def _read(form: PlanForm) -> Read:
    return read_document(form.document(), before=form.faults())


def _text_of(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, indent=2)


def _listed(edited: Edited) -> list[dict[str, str]]:
    """The faults with the place of each, and the field to jump to."""
    return [_fault(edited.form, fault) for fault in edited.read.faults]


def _fault(form: PlanForm | None, fault: Fault) -> dict[str, str]:
    return {
        "path": fault.path,
        "field": form.field_of(fault.path) if form is not None else "",
        "text": fault_text(path=fault.path, code=fault.code, message=fault.message),
    }


def _versions(chosen: StoredVersion | None) -> list[tuple[str, str, bool]]:
    """Versions to compare with: value, words, whether it is the one."""
    current = (chosen.plan_key, chosen.number) if chosen is not None else None
    return [
        (
            f"{key}:{number}",
            _("%(key)s, version %(version)s") % {"key": key, "version": number},
            (key, number) == current,
        )
        for key, number in version_numbers(limit=MOST_VERSIONS)
    ]


def version_named(text: str) -> StoredVersion | None:
    """The version named `key:number`; None for an empty or damaged name. Raises NotFound."""
    key, _colon, number = text.rpartition(":")
    if not key or not _is_number(number):
        return None
    return version_numbered(plan_key=key, number=int(number))


def _tenant_ids(text: str) -> list[UUID]:
    try:
        return [UUID(each) for each in text.split(",")[:_MOST_TENANTS] if each]
    except ValueError:
        return []


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9
