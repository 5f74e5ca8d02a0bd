"""Addresses of what belongs to no front: sign-in, theme and language."""

from django.urls import include, path
from django.views.i18n import set_language

from ui import preferences
from ui.sign_in import no_such_page

urlpatterns = [
    # Roles are given to addresses. Whoever could write another's into their own account would be
    # given that person's roles, so an address is changed by nobody but the operator.
    path("accounts/email/", no_such_page),
    path("accounts/", include("allauth.urls")),
    path("preferences/theme", preferences.set_theme, name="set_theme"),
    path("preferences/language", set_language, name="set_language"),
]
