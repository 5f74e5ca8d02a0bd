"""What documents take along of their parties as they are issued: loaded for many at once."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from billing.exchange.domain import ExchangeRate, NationalTax, newest
from billing.exchange.queries import rates_for
from billing.invoicing.issuer import issuer_as_it_stands
from billing.invoicing.models import Seller
from billing.invoicing.required_fields import ToBeIssued, missing_fields, refusal
from billing.parties.domain.profile import BillingProfile
from billing.parties.queries import profiles_of, recipient_of
from billing.taxes.domain.rules import LineTax
from kernel.errors import Conflict
from kernel.money import Money
from kernel.period import local_day
from tenants.models import Tenant
from work.connections import in_sandbox

_NOTHING = BillingProfile()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unissued:
    """What must be known of a document. `taxes` are those of lines that may bear one, `rate` is that of the invoice which it corrects, if it has one."""

    tenant: Tenant
    seller: str
    timezone: str
    taxes: Sequence[LineTax]
    tax: Money
    rate: ExchangeRate | None = None


def to_be_issued(documents: Sequence[Unissued], *, at: datetime) -> list[ToBeIssued]:
    """The documents as they would be issued at that instant, in their order, in the caller's scope. Three
    queries at most, however many they are."""
    sellers = {row.code: issuer_as_it_stands(row) for row in Seller.objects.all()}
    profiles = profiles_of(tenant_ids=[each.tenant.id for each in documents])
    found = [
        ToBeIssued(
            issuer=sellers[each.seller],
            recipient=recipient_of(each.tenant, profiles.get(each.tenant.id, _NOTHING)),
            issued_on=local_day(at, ZoneInfo(each.timezone)),
            taxes=each.taxes,
            tax=each.tax,
        )
        for each in documents
    ]
    abroad = [each for each in found if each.needs_national_tax]
    rates = rates_for(
        currencies={each.tax.currency for each in abroad},
        into={each.national_currency for each in abroad},
        days={each.issued_on for each in abroad},
    )
    return [
        replace(says, national_tax=_national_tax(says, each.rate, rates))
        if says.needs_national_tax
        else says
        for says, each in zip(found, documents, strict=True)
    ]


def held_back(documents: Sequence[ToBeIssued]) -> list[Conflict | None]:
    """For each document why it can't be issued, None where it can. A sandbox's documents are amounts
    alone, which nobody gets: they are never held back."""
    if in_sandbox():
        return [None for _ in documents]
    return [refusal(missing) if (missing := missing_fields(each)) else None for each in documents]


def _national_tax(
    says: ToBeIssued, corrected: ExchangeRate | None, rates: Sequence[ExchangeRate]
) -> NationalTax | None:
    into = says.national_currency
    rate = corrected
    if rate is None or into not in {rate.base, rate.quote}:
        rate = newest(rates, currency=says.tax.currency, into=into, on=says.issued_on)
    if rate is None:
        return None
    return NationalTax(tax=rate.converted(says.tax), rate=rate)
