from django.apps import AppConfig

from work.registry import import_tasks


class MeteringConfig(AppConfig):
    name = "metering"
    verbose_name = "Metering"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_tasks(self.name)
