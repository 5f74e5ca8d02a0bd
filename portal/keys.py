"""API keys: made and shown once, looked over, revoked."""

from typing import Final
from uuid import UUID

from allauth.account.decorators import reauthentication_required
from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from kernel import clock
from portal.access import Here, member_page
from portal.frame import page
from tenants.domain import KeyScope
from tenants.permissions import MemberAction
from tenants.queries import keys_of, tenant_profile_by_id
from tenants.services.api_keys import CreatedKey, create_api_key, revoke_api_key
from ui import words

_SCOPES: Final = [(scope.value, words.word("scope", scope)) for scope in KeyScope]


class KeyForm(forms.Form):
    """What a new key is for."""

    label = forms.CharField(
        label=_("Name"), help_text=_("Where the key will be used."), max_length=100
    )
    scope = forms.ChoiceField(label=_("What it may do"), choices=_SCOPES)


# A key speaks for the tenant for a year: whoever makes one gives the password again, unless that was
# done within the last five minutes. The form that was held back is then carried out.
@never_cache
@reauthentication_required(allow_get=True)  # type: ignore[untyped-decorator]  # allauth ships no types
@member_page(action=MemberAction.KEYS_VIEW)
def key_list(request: HttpRequest, here: Here) -> HttpResponse:
    """The keys; a POST makes one and shows it, this once, in the answer itself."""
    if request.method != "POST":
        return _key_page(request, here, form=KeyForm())
    if not here.may(MemberAction.KEYS_CHANGE):
        return _key_page(request, here, form=KeyForm(), status=403)
    form = KeyForm(request.POST)
    if not form.is_valid():
        return _key_page(request, here, form=form, status=422)
    created = create_api_key(
        tenant_id=here.tenant_id,
        scope=form.cleaned_data["scope"],
        label=form.cleaned_data["label"],
        now=clock.now(),
        actor=here.actor,
        created_by=here.user,
    )
    return _key_page(request, here, form=KeyForm(), created=created)


@require_POST
@member_page(action=MemberAction.KEYS_CHANGE)
def revoke(request: HttpRequest, here: Here, key_id: UUID) -> HttpResponse:
    """Revoke a key at once."""
    revoke_api_key(tenant_id=here.tenant_id, key_id=key_id, now=clock.now(), actor=here.actor)
    messages.success(request, gettext("The key is revoked and refused from now on."))
    return redirect("portal:keys", tenant_key=here.tenant_key)


def _key_page(
    request: HttpRequest,
    here: Here,
    *,
    form: KeyForm,
    created: CreatedKey | None = None,
    status: int = 200,
) -> HttpResponse:
    now = clock.now()
    return page(
        request,
        here,
        "portal/keys.html",
        place="keys",
        status=status,
        zone=tenant_profile_by_id(tenant_id=here.tenant_id).timezone,
        keys=[(key, key.state(now=now)) for key in keys_of(tenant_id=here.tenant_id)],
        form=form,
        created=created,
    )
