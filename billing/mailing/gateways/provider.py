"""Mail through a provider's API, by django-anymail."""

import requests
from anymail.exceptions import AnymailAPIError, AnymailError, AnymailRecipientsRefused
from django.core.mail import EmailMultiAlternatives

from billing.mailing.gateways.backend import BackendCarrier
from billing.mailing.gateways.port import Answer, OutgoingMail, Verdict


class ProviderCarrier(BackendCarrier):
    """Each message is one call of the provider, over one session."""

    def _message(self, mail: OutgoingMail) -> EmailMultiAlternatives:
        message = super()._message(mail)
        message.metadata = mail.metadata  # type: ignore[attr-defined]  # anymail's own
        return message

    def _answer_to(self, error: Exception) -> Answer | None:
        match error:
            case AnymailRecipientsRefused():
                return Answer(verdict=Verdict.REFUSED, code="recipient_refused")
            case AnymailAPIError(status_code=int(status)):
                return Answer(verdict=_verdict_of(status), code=f"provider_{status}")
            case AnymailAPIError() if isinstance(error, requests.ConnectTimeout):
                return Answer(verdict=Verdict.LATER, code="no_connection")
            case AnymailAPIError():
                return Answer(
                    verdict=Verdict.UNKNOWN, code="no_answer", detail=type(error).__name__
                )
            case AnymailError():
                return Answer(verdict=Verdict.REFUSED, code="unusable", detail=type(error).__name__)
        return super()._answer_to(error)

    def _name_given(self, message: EmailMultiAlternatives) -> str:
        return str(message.anymail_status.message_id or "")[:200]  # type: ignore[attr-defined]  # anymail's own


def _verdict_of(status: int) -> Verdict:
    """Too many calls, a wrong key or a closed door are no fault of the mail; behind another fault of the
    provider it may have gone out."""
    if status in {401, 403, 429, 503}:
        return Verdict.LATER
    return Verdict.UNKNOWN if status >= 500 or status < 400 else Verdict.REFUSED
