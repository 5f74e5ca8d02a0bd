"""Django's registration of the widgets and templates."""

from django.apps import AppConfig


class UiConfig(AppConfig):
    """Layouts, widgets and formats of console and portal."""

    name = "ui"
    label = "ui"
    default_auto_field = "django.db.models.BigAutoField"
