"""Mail through a backend of Django: SMTP, or files in a folder."""

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

from django.core.mail import EmailMultiAlternatives, get_connection

from billing.mailing.gateways.port import Answer, MailServerUnavailable, OutgoingMail, Verdict

_DETAIL_CHARACTERS: Final = 300
_BROKEN: Final = frozenset({421})
"""After it the server closes the connection (RFC 5321, 3.8)."""


class BackendCarrier:
    """One connection of the backend that the settings name, opened again where it broke."""

    def __init__(self) -> None:
        self._connection: Any = get_connection(fail_silently=False)

    @contextmanager
    def connected(self) -> Iterator[None]:
        self._open()
        try:
            yield
        finally:
            self._drop()

    def carry(self, mail: OutgoingMail) -> Answer:
        # By itself, so that a server that can't be reached is told from one that fell silent.
        self._open()
        try:
            message = self._message(mail)
            self._connection.send_messages([message])
        except Exception as error:
            answer = self._answer_to(error)
            if answer is None:
                raise
            if answer.verdict is Verdict.UNKNOWN or _smtp_code(error) in _BROKEN:
                self._drop()
            return answer
        return Answer(verdict=Verdict.TAKEN, provider_id=self._name_given(message))

    def _message(self, mail: OutgoingMail) -> EmailMultiAlternatives:
        message = EmailMultiAlternatives(
            subject=mail.subject,
            body=mail.text,
            from_email=mail.sender,
            to=[mail.to],
            # No answering machine should answer a machine (RFC 3834).
            headers={"Message-ID": mail.message_id, "Auto-Submitted": "auto-generated"},
        )
        message.attach_alternative(mail.html, "text/html")
        message.attach(mail.filename, mail.content, mail.media_type)
        return message

    def _answer_to(self, error: Exception) -> Answer | None:
        """What an error of sending means; None for a fault of our own."""
        match error:
            case smtplib.SMTPRecipientsRefused(recipients=recipients):
                code, text = next(iter(recipients.values()))
                return _refusal(code, text)
            case smtplib.SMTPSenderRefused():
                # Not this mail's fault: all would be refused until somebody mends the sender.
                return Answer(
                    verdict=Verdict.LATER, code="sender_refused", detail=_text(error.smtp_error)
                )
            case smtplib.SMTPResponseException():
                return _refusal(error.smtp_code, error.smtp_error)
            case smtplib.SMTPNotSupportedError():
                return Answer(
                    verdict=Verdict.REFUSED, code="not_supported", detail=_text(str(error))
                )
            case OSError():
                # SMTPServerDisconnected is one too. The server may have taken it before it fell silent.
                return Answer(
                    verdict=Verdict.UNKNOWN, code="no_answer", detail=type(error).__name__
                )
            case ValueError():
                return Answer(verdict=Verdict.REFUSED, code="unusable", detail=type(error).__name__)
        return None

    def _name_given(self, message: EmailMultiAlternatives) -> str:
        return ""

    def _open(self) -> None:
        try:
            self._connection.open()
        except OSError as error:
            self._drop()
            raise MailServerUnavailable(
                "mail_server_unavailable",
                f"The mail server could not be reached ({type(error).__name__}); it is tried again.",
                params={"detail": type(error).__name__},
            ) from error

    def _drop(self) -> None:
        with suppress(OSError):
            self._connection.close()


def _refusal(code: int, text: bytes | str) -> Answer:
    """4yz is for now, 5yz for good (RFC 5321, 4.2.1)."""
    verdict = Verdict.LATER if 400 <= code < 500 else Verdict.REFUSED
    return Answer(verdict=verdict, code=f"smtp_{code}", detail=_text(text))


def _smtp_code(error: Exception) -> int:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return int(next(iter(error.recipients.values()))[0])
    return int(getattr(error, "smtp_code", 0))


def _text(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return "".join(each if each.isprintable() else " " for each in text)[:_DETAIL_CHARACTERS]
