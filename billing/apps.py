from importlib import import_module

from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = "Billing"

    def ready(self) -> None:
        # Jobs, schedules and subscribers register themselves when their modules load.
        import_module("billing.invoicing.tasks")
        import_module("billing.payments.tasks")
        import_module("billing.fapiao.tasks")
        import_module("billing.mailing.tasks")
        import_module("billing.statements.tasks")
        import_module("billing.retention.tasks")
