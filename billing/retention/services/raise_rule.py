"""Keep records of a country longer."""

from datetime import datetime

from django.db import transaction

from billing.retention.domain import RecordKind, check_raised
from billing.retention.models import RetentionRule
from kernel.errors import Invalid
from tenants import audit
from work.connections import current_alias


def raise_retention(
    *,
    country: str,
    kind: RecordKind,
    years: int | None,
    basis: str,
    now: datetime,
    actor: str,
) -> None:
    """Set the rule of a country ("": every other), None for ever, in a cross-tenant scope. A country without a rule of
    its own has that of every other, below which it can't go either.

    Raises Invalid `retention_lowered`, `retention_too_long`, `retention_without_basis`.
    """
    if not basis.strip():
        raise Invalid(
            "retention_without_basis", "Write the law or the reason for it.", field="basis"
        )
    with transaction.atomic(using=current_alias()):
        rules = {
            rule.country: rule
            for rule in RetentionRule.objects.select_for_update().filter(
                country__in={"", country}, kind=kind
            )
        }
        rule = rules.get(country)
        before = (rule or rules[""]).years
        check_raised(before=before, after=years)
        RetentionRule.objects.update_or_create(
            country=country, kind=kind, defaults={"years": years, "basis": basis.strip()[:300]}
        )
    audit.record(
        audit.Entry(
            tenant_id=None,
            actor=actor,
            action="retention.raised",
            target=f"retention:{country or '*'}:{kind}",
            before={"years": before},
            after={"years": years, "basis": basis},
        ),
        now=now,
    )
