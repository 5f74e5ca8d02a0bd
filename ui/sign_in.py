"""How people sign in: by e-mail address and password, with a second factor when they set one up."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse


class SignInAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """No open sign-up: the operator or a tenant's owner brings people in."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False


def shown_name(user: Any) -> str:
    """How messages and mails about signing in address a person."""
    return str(user.name or user.email)


def no_such_page(request: HttpRequest) -> HttpResponse:
    """An address of allauth that isn't offered here."""
    raise Http404


def sign_in_first(request: HttpRequest) -> HttpResponse:
    """Send to the sign-in page; a part of a page that is fetched sends its whole page there."""
    if request.headers.get("HX-Request"):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = reverse("account_login")
        return response
    return redirect_to_login(request.get_full_path(), login_url=reverse("account_login"))
