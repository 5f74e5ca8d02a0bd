"""How people sign in: by e-mail address and password, with a second factor when they set one up."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class SignInAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth ships no types
    """No open sign-up: the operator or a tenant's owner brings people in."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
