"""Proof: who was counted on a closed day, signed; a user looked up in it; files to check it with."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache

from kernel import clock
from kernel.errors import DomainError
from metering import queries as metering
from metering.ingest.domain.identity import user_hash
from metering.meters.domain import ACTIVE_USERS
from metering.proof import verify_usage
from metering.proof.queries import (
    MOST_HASHES,
    Proof,
    counted_hashes,
    inclusion,
    proof_document,
    proof_versions,
    tenant_user_key,
)
from metering.proof.services.prove_days import prove_day
from portal.access import Here, member_page
from portal.frame import page
from tenants.permissions import MemberAction
from tenants.queries import apps_of, tenant_profile_by_id
from tenants.scope import tenant_scope
from ui.errors import message_of

_LONGEST_USER: Final = 256


class UserForm(forms.Form):
    """Which user is looked for. Sent in the body: addresses are logged, and ids are not."""

    user = forms.CharField(
        label=_("User id"),
        help_text=_("As your events name the user. It is not stored."),
        max_length=_LONGEST_USER,
        strip=False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Day:
    """The app and day that are looked at."""

    app_id: UUID
    app: str
    day: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Whether a user was counted, and that the paths were checked."""

    counted: bool
    hash: str
    position: int | None
    steps: int
    checked: bool


@never_cache
@member_page(action=MemberAction.USAGE_VIEW, own_scope=True)
def proof(request: HttpRequest, here: Here) -> HttpResponse:
    """The chosen app and closed day; `file` asks for one of the files instead."""
    if request.GET.get("file") == "verifier":
        return _file("verify_usage.py", Path(verify_usage.__file__).read_bytes(), "text/x-python")
    form = UserForm(request.POST) if request.method == "POST" else UserForm()
    fault, shown, found = "", None, None
    with tenant_scope(here.tenant_id):
        profile = tenant_profile_by_id(tenant_id=here.tenant_id)
        apps = apps_of(tenant_id=here.tenant_id)
        until = metering.closed_until(tenant_ids=[here.tenant_id]).get(here.tenant_id)
        chosen = next((app for app in apps if app.key == request.GET.get("app")), None)
        chosen = chosen or next(iter(apps), None)
        day = _day_of(request.GET.get("day", "")) or (until and until - timedelta(days=1))
        if chosen is not None and day is not None:
            asked = _Day(app_id=chosen.id, app=chosen.key, day=day)
            try:
                made = prove_day(
                    tenant_id=here.tenant_id,
                    app_id=asked.app_id,
                    meter=ACTIVE_USERS,
                    day=day,
                    now=clock.now(),
                )
                shown = _document(here, asked, made)
                if form.is_bound and form.is_valid():
                    found = _found(here, made, user=form.cleaned_data["user"])
            except DomainError as error:
                fault = message_of(error)
        versions = (
            proof_versions(
                tenant_id=here.tenant_id, app_id=chosen.id, meter=ACTIVE_USERS, day=day, most=20
            )
            if shown and chosen is not None and day is not None
            else []
        )
    if shown is not None and request.GET.get("file") == "proof":
        content = json.dumps(shown, ensure_ascii=False, indent=2).encode()
        return _file(f"proof-{day}.json", content, "application/json")
    if shown is not None and request.GET.get("file") == "hashes":
        return _hashes_file(here, asked)
    return page(
        request,
        here,
        "portal/proof.html",
        place="usage",
        status=422 if form.is_bound and not form.is_valid() else 200,
        zone=profile.timezone,
        apps=[(app.key, chosen is not None and app.key == chosen.key) for app in apps],
        day=day,
        last_closed=until and until - timedelta(days=1),
        app=chosen.key if chosen else "",
        fault=fault,
        proof=shown,
        may_see_key=here.may(MemberAction.HASH_KEY_VIEW),
        count=Decimal(shown["count"]) if shown else None,
        value=Decimal(shown["value"]) if shown else None,
        versions=versions,
        form=form,
        found=found,
        here_query=f"?app={chosen.key}&day={day}" if chosen and day else "",
    )


def _document(here: Here, asked: _Day, made: Proof) -> dict[str, Any]:
    rows = metering.usage(
        tenant_ids=[here.tenant_id],
        meters=[ACTIVE_USERS],
        from_day=asked.day,
        to_day=asked.day + timedelta(days=1),
    )
    return proof_document(
        proof=made,
        app=asked.app,
        value=sum((row.value for row in rows if row.app_id == asked.app_id), Decimal(0)),
        key=tenant_user_key(tenant_id=here.tenant_id)
        if here.may(MemberAction.HASH_KEY_VIEW)
        else None,
    )


def _found(here: Here, made: Proof, *, user: str) -> Found:
    told = made.statement
    hashed = user_hash(key=tenant_user_key(tenant_id=here.tenant_id), user=user)
    found = inclusion(proof=made, identity=hashed)
    return Found(
        counted=found.counted,
        hash=hashed.hex(),
        position=found.leaves[0].position + 1 if found.counted else None,
        steps=max((len(leaf.path) for leaf in found.leaves), default=0),
        checked=all(
            verify_usage.is_included(
                entry=leaf.identity,
                position=leaf.position,
                count=told.count,
                path=leaf.path,
                root=told.root,
            )
            for leaf in found.leaves
        ),
    )


def _hashes_file(here: Here, asked: _Day) -> HttpResponse:
    """One hash in a line, read page by page: each in a transaction of its own, however slow the reader."""

    def lines() -> Iterator[str]:
        after = b""
        while True:
            with tenant_scope(here.tenant_id):
                hashes = counted_hashes(
                    tenant_id=here.tenant_id,
                    app_id=asked.app_id,
                    meter=ACTIVE_USERS,
                    day=asked.day,
                    after=after,
                    most=MOST_HASHES,
                )
            if not hashes:
                return
            yield "".join(f"{each.hex()}\n" for each in hashes)
            after = hashes[-1]

    streamed = StreamingHttpResponse(
        lines(),
        content_type="text/plain; charset=us-ascii",
        headers={"Content-Disposition": f'attachment; filename="hashes-{asked.day}.txt"'},
    )
    # A view may answer in a stream as well; the portal's door passes it on untouched.
    return cast("HttpResponse", streamed)


def _file(name: str, content: bytes, media_type: str) -> HttpResponse:
    return HttpResponse(
        content,
        content_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _day_of(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
