from django.apps import AppConfig

from work.registry import import_tasks


class WorkConfig(AppConfig):
    """Jobs, schedules and outbox.

    Every app that has work to do imports its task modules when Django starts, so that web, worker,
    scheduler and commands all know the same kinds::

        class BillingConfig(AppConfig):
            name = "billing"

            def ready(self) -> None:
                import_tasks(self.name)
    """

    name = "work"
    verbose_name = "Work"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_tasks(self.name)
