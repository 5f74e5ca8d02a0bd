"""The address without a path: everybody is sent to where their work is."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from tenants.models import User


def start(request: HttpRequest) -> HttpResponse:
    """Staff to the console, members to the portal, everybody else to the sign-in page."""
    if not isinstance(request.user, User):
        return redirect("account_login")
    return redirect("console:overview" if request.user.staff_role else "portal:tenants")
