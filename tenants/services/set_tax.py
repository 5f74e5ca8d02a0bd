"""Say what a tenant's own standing means for its taxes."""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from kernel.decimals import plain_text
from kernel.errors import Invalid, NotFound
from tenants import audit
from tenants.domain import TaxTreatment
from tenants.models import Tenant

_COUNTRY = re.compile(r"[A-Z]{2}")
_HIGHEST = Decimal(100)
_LONGEST_TAX_ID = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TaxStanding:
    """What a tenant's record says of its taxes; `percent` None: it says none of its own."""

    country: str = ""
    tax_id: str = ""
    treatment: TaxTreatment = TaxTreatment.UNSAID
    percent: Decimal | None = None


def check_standing(standing: TaxStanding) -> None:
    """Raises Invalid `not_a_country`, `tax_id_too_long`, `out_of_range`, `negative`,
    `percent_and_treatment`."""
    if standing.country and not _COUNTRY.fullmatch(standing.country):
        raise Invalid(
            "not_a_country", "country is not a code of two letters, such as CN.", field="country"
        )
    if len(standing.tax_id) > _LONGEST_TAX_ID:
        raise Invalid(
            "tax_id_too_long",
            f"tax_id is longer than {_LONGEST_TAX_ID} characters; shorten it.",
            field="tax_id",
        )
    if standing.percent is None:
        return
    if standing.percent < 0:
        raise Invalid(
            "negative", "tax_percent is negative; write zero or more.", field="tax_percent"
        )
    if standing.percent > _HIGHEST:
        raise Invalid(
            "out_of_range",
            "tax_percent is above 100; write a rate from 0 to 100.",
            field="tax_percent",
        )
    if standing.treatment in {TaxTreatment.EXEMPT, TaxTreatment.REVERSE_CHARGE}:
        raise Invalid(
            "percent_and_treatment",
            f"tax_percent contradicts {standing.treatment}, which charges nothing; give one of both.",
            field="tax_percent",
        )


def set_tax(
    *,
    tenant_key: str,
    standing: TaxStanding,
    now: datetime,
    actor: str,
    evidence: str = "",
    needs_evidence: bool = False,
) -> UUID:
    """Put the tenant's standing in the place of what it was, in the caller's cross-tenant scope.

    Drafts are rated anew by it; issued invoices stay. `evidence` is what shows it, for the audit trail;
    with `needs_evidence` a treatment by which nothing is charged must have some.

    Raises NotFound `tenant_not_found`, Invalid `evidence_missing` and as `check_standing`.
    """
    check_standing(standing)
    is_free = standing.treatment in {TaxTreatment.EXEMPT, TaxTreatment.REVERSE_CHARGE}
    if needs_evidence and is_free and not evidence.strip():
        raise Invalid(
            "evidence_missing",
            f"{standing.treatment} charges no tax and needs evidence; say what shows it.",
            field="evidence",
        )
    row = Tenant.objects.select_for_update().filter(key=tenant_key).first()
    if row is None:
        raise NotFound("tenant_not_found", f"There is no tenant {tenant_key!r}.", field="tenant")
    before = standing_of(row)
    if before == standing:
        return row.id
    row.country, row.tax_id = standing.country, standing.tax_id
    row.tax_treatment, row.tax_percent = standing.treatment, standing.percent
    row.save(update_fields=["country", "tax_id", "tax_treatment", "tax_percent"])
    audit.record(
        audit.Entry(
            tenant_id=row.id,
            actor=actor,
            action="tenant.tax_set",
            target=f"tenant:{row.key}",
            before=_told(before),
            after=_told(standing),
            reason=evidence.strip()[:500],
        ),
        now=now,
    )
    return row.id


def tax_standing(*, tenant_key: str) -> TaxStanding:
    """What the record of that tenant says. Raises NotFound `tenant_not_found`."""
    row = Tenant.objects.filter(key=tenant_key).first()
    if row is None:
        raise NotFound("tenant_not_found", f"There is no tenant {tenant_key!r}.", field="tenant")
    return standing_of(row)


def standing_of(tenant: Tenant) -> TaxStanding:
    """What the tenant's record says."""
    return TaxStanding(
        country=tenant.country,
        tax_id=tenant.tax_id,
        treatment=TaxTreatment(tenant.tax_treatment),
        percent=tenant.tax_percent,
    )


def _told(standing: TaxStanding) -> dict[str, str | None]:
    return {
        "country": standing.country,
        "tax_id": standing.tax_id,
        "treatment": standing.treatment.value,
        "percent": None if standing.percent is None else plain_text(standing.percent),
    }
