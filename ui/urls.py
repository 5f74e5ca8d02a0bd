"""Addresses of what belongs to no front: sign-in, theme and language."""

from django.urls import include, path
from django.views.i18n import set_language

from ui import preferences

urlpatterns = [
    path("accounts/", include("allauth.urls")),
    path("preferences/theme", preferences.set_theme, name="set_theme"),
    path("preferences/language", set_language, name="set_language"),
]
