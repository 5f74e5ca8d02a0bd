"""The address that the provider of mail calls, below /webhooks/; none where mail goes by SMTP."""

from django.conf import settings
from django.urls import URLPattern, URLResolver, path


def _of_provider() -> list[URLPattern | URLResolver]:
    if not settings.MAIL_PROVIDER:
        return []
    # Needed with a provider alone.
    from anymail import urls as provided

    import billing.mailing.webhooks  # noqa: F401  # listens to what the view tells

    name = f"{settings.MAIL_PROVIDER}_tracking_webhook"
    (view,) = [each.callback for each in provided.urlpatterns if each.name == name]
    return [path("mail/", view, name="mail-webhook"), path("mail", view)]


urlpatterns: list[URLPattern | URLResolver] = _of_provider()
