"""The console's one door: who may open a page, as whom it reads, and what a refusal looks like.

Every view names its action::

    @staff_page(action=StaffAction.TENANTS_VIEW, purpose="tenants list")
    def tenants(request: StaffRequest) -> HttpResponse: ...

The view runs inside `staff_scope`, which writes down who looked and for what. Code that calls an
outside service takes `own_scope=True` and opens its scopes itself. A view without an action isn't
reachable: `console.urls` takes only what this decorator made, and a test checks it.
"""

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, cast

from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from kernel.errors import DomainError
from tenants.models import User
from tenants.permissions import StaffAction, staff_may
from tenants.scope import staff_scope
from ui.errors import error_page, refusal_page
from ui.sign_in import sign_in_first

Arguments = ParamSpec("Arguments")


class StaffRequest(HttpRequest):
    """A request of one of the staff, checked."""

    user: User


class StaffPage(Protocol):
    """A view that was made by `staff_page`."""

    action: StaffAction

    def __call__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse: ...


def staff_page(
    *, action: StaffAction, purpose: str, own_scope: bool = False
) -> Callable[[Callable[Concatenate[StaffRequest, Arguments], HttpResponse]], StaffPage]:
    """Let only staff whose role may do `action` reach the view; `purpose` goes into the access log."""

    def decorate(
        view: Callable[Concatenate[StaffRequest, Arguments], HttpResponse],
    ) -> StaffPage:
        @functools.wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            refused = _refusal(request, action)
            if refused is not None:
                return refused
            staff = cast(StaffRequest, request)
            try:
                if own_scope:
                    return view(staff, *args, **kwargs)
                with staff_scope(user=staff.user, purpose=_purpose(purpose, kwargs)):
                    return view(staff, *args, **kwargs)
            except DomainError as error:
                return refusal_page(request, error)

        page = cast(StaffPage, checked)
        page.action = action
        return page

    return decorate


def _purpose(purpose: str, kwargs: dict[str, Any]) -> str:
    subject = " ".join(str(value) for value in kwargs.values())
    return f"{purpose} {subject}".strip()


def _refusal(request: HttpRequest, action: StaffAction) -> HttpResponse | None:
    if not isinstance(request.user, User):
        return sign_in_first(request)
    if not request.user.staff_role:
        # People of tenants don't learn that there is a console.
        return error_page(request, status=404, code="not_found")
    if settings.SUMMIT_REQUIRE_STAFF_MFA and not is_mfa_enabled(request.user):
        return redirect("mfa_index")
    if not staff_may(role=request.user.staff_role, action=action):
        return error_page(request, status=403, code="forbidden")
    return None
