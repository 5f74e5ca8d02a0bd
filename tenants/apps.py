from django.apps import AppConfig

from work.registry import import_tasks


class TenantsConfig(AppConfig):
    name = "tenants"
    verbose_name = "Tenants"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_tasks(self.name)
