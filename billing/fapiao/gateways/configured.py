"""The tax platform that the settings describe."""

from django.conf import settings

from billing.fapiao.gateways.http import HttpTaxPlatform
from billing.fapiao.gateways.port import TaxPlatform
from kernel.errors import Unavailable


def fapiao_are_issued() -> bool:
    """Whether fapiao can be asked for here."""
    return bool(settings.FAPIAO_API_BASE)


def refuse_unless_issued() -> None:
    """Raises Unavailable `fapiao_off` where no platform is set up."""
    if not fapiao_are_issued():
        raise Unavailable(
            "fapiao_off", "Fapiao can't be issued here yet: FAPIAO_API_BASE is not set."
        )


def tax_platform() -> TaxPlatform:
    """The configured platform. Raises Unavailable `fapiao_off` without an address."""
    refuse_unless_issued()
    return HttpTaxPlatform(api_base=settings.FAPIAO_API_BASE, api_key=settings.FAPIAO_API_KEY)
