"""The portal's one door: which tenant, as what member, and what a refusal looks like.

Every view names its action::

    @member_page(action=MemberAction.USAGE_VIEW)
    def usage(request: HttpRequest, here: Here) -> HttpResponse: ...

The address holds the tenant's key. A tenant that the person doesn't belong to and one that doesn't
exist give the same 404. The view runs inside `tenant_scope`, so that the database itself shows no
other tenant's rows; code that calls an outside service takes `own_scope=True` and opens its scopes
itself.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, Protocol, cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse

from kernel.errors import DomainError
from tenants.domain import Role
from tenants.models import User
from tenants.permissions import MemberAction, member_may
from tenants.queries import Membership, memberships_of
from tenants.scope import tenant_scope
from ui.errors import error_page, refusal_page
from ui.sign_in import sign_in_first

Arguments = ParamSpec("Arguments")


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Who asks, in which tenant, and which others they could switch to."""

    user: User
    membership: Membership
    memberships: Sequence[Membership]

    @property
    def tenant_id(self) -> UUID:
        return self.membership.tenant_id

    @property
    def tenant_key(self) -> str:
        return self.membership.tenant_key

    @property
    def role(self) -> Role:
        return self.membership.role

    @property
    def actor(self) -> str:
        """The person as the audit trail names them."""
        return f"user:{self.user.pk}"

    def may(self, action: MemberAction) -> bool:
        return member_may(role=self.role, action=action)


class MemberPage(Protocol):
    """A view that was made by `member_page`."""

    action: MemberAction

    def __call__(
        self, request: HttpRequest, *args: Any, tenant_key: str, **kwargs: Any
    ) -> HttpResponse: ...


def member_page(
    *, action: MemberAction, own_scope: bool = False
) -> Callable[[Callable[Concatenate[HttpRequest, Here, Arguments], HttpResponse]], MemberPage]:
    """Let only members of the addressed tenant whose role may do `action` reach the view."""

    def decorate(
        view: Callable[Concatenate[HttpRequest, Here, Arguments], HttpResponse],
    ) -> MemberPage:
        @functools.wraps(view)
        def checked(
            request: HttpRequest, *args: Any, tenant_key: str, **kwargs: Any
        ) -> HttpResponse:
            if not isinstance(request.user, User):
                return sign_in_first(request)
            memberships = memberships_of(user_id=request.user.pk)
            membership = next((one for one in memberships if one.tenant_key == tenant_key), None)
            if membership is None:
                return error_page(request, status=404, code="not_found")
            here = Here(user=request.user, membership=membership, memberships=memberships)
            if not here.may(action):
                return error_page(request, status=403, code="forbidden")
            try:
                if own_scope:
                    return view(request, here, *args, **kwargs)
                with tenant_scope(here.tenant_id):
                    return view(request, here, *args, **kwargs)
            except DomainError as error:
                return refusal_page(request, error)

        page = cast(MemberPage, checked)
        page.action = action
        return page

    return decorate
