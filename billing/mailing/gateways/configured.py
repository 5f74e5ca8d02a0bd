"""The carrier that the settings describe."""

from email.utils import formataddr, parseaddr
from typing import Final

from django.conf import settings

from billing.mailing.gateways.port import Carrier
from kernel.errors import Unavailable

_NAME_CHARACTERS: Final = 100


def mail_is_sent() -> bool:
    """Whether documents are mailed here: EMAIL_URL says how."""
    return bool(settings.MAIL_DOCUMENTS)


def refuse_unless_sent() -> None:
    """Raises Unavailable `mail_off` where no mail leaves."""
    if not mail_is_sent():
        raise Unavailable("mail_off", "Documents can't be mailed here yet: EMAIL_URL is not set.")


def carrier() -> Carrier:
    """A carrier for one process's use. Raises Unavailable `mail_off`."""
    refuse_unless_sent()
    # Either is needed by jobs alone; most processes send nothing.
    if settings.MAIL_PROVIDER:
        from billing.mailing.gateways.provider import ProviderCarrier

        return ProviderCarrier()
    from billing.mailing.gateways.backend import BackendCarrier

    return BackendCarrier()


def sender_named(name: str) -> str:
    """The installation's address under the name of who issues the document."""
    kept = " ".join(name.split())[:_NAME_CHARACTERS]
    return formataddr((kept, parseaddr(settings.DEFAULT_FROM_EMAIL)[1]))


def sender_domain() -> str:
    """The domain of the installation's address."""
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
