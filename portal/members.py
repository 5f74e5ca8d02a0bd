"""Members: who belongs to the tenant, and what each role may do."""

from django.http import HttpRequest, HttpResponse

from portal.access import Here, member_page
from portal.frame import page
from tenants.domain import Role
from tenants.permissions import MEMBER_MAY, MemberAction
from tenants.queries import members_of, tenant_profile_by_id


@member_page(action=MemberAction.MEMBERS_VIEW)
def member_list(request: HttpRequest, here: Here) -> HttpResponse:
    """The people, and the table of roles."""
    return page(
        request,
        here,
        "portal/members.html",
        place="members",
        zone=tenant_profile_by_id(tenant_id=here.tenant_id).timezone,
        members=members_of(tenant_id=here.tenant_id),
        roles=list(Role),
        actions=[
            (action.value, [role in MEMBER_MAY[action] for role in Role])
            for action in MemberAction
            if action is not MemberAction.HOME_VIEW
        ],
    )
