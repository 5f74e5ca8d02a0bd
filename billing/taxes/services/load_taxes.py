"""Load rates of tax as immutable dated rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from billing.catalog.domain.faults import Fault
from billing.taxes.domain.rate_file import TaxFaults, parse_rates
from billing.taxes.domain.rules import Rate, Supply
from billing.taxes.models import TaxRate
from billing.taxes.queries import rates_of
from kernel import ids
from tenants import audit
from work.connections import cursor


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRates:
    """How many rates of the file are new, how many stored ones it ended, how many it repeats."""

    created: int
    ended: int
    unchanged: int


def load_taxes(*, document: object, now: datetime, actor: str) -> LoadedRates:
    """Store the rates of a file, all or none, in the caller's cross-tenant scope.

    A rate that is stored already stays as it is. An open one gets its end where the file gives it;
    any other change of a stored rate is refused: past documents were made by it. Documents that are
    issued stay; drafts are rated anew. Raises TaxFaults with every fault.
    """
    rates = parse_rates(document)
    with cursor() as db:
        # Two loads at once would each miss the other's rows.
        db.execute("SELECT pg_advisory_xact_lock(hashtextextended('billing taxes', 0))")
    stored = {
        (*rate.identity, rate.valid_from): rate
        for rate in rates_of(jurisdictions={rate.jurisdiction for rate in rates})
    }
    ending = [rate for rate in rates if _ends(stored.get((*rate.identity, rate.valid_from)), rate)]
    new = [rate for rate in rates if (*rate.identity, rate.valid_from) not in stored]
    after = {**stored, **{(*rate.identity, rate.valid_from): rate for rate in ending}}
    _refuse(rates, stored=stored, after=list(after.values()), ending=ending)
    for rate in ending:
        TaxRate.objects.filter(
            jurisdiction=rate.jurisdiction,
            category=rate.category,
            supply=rate.supply,
            valid_from=rate.valid_from,
        ).update(valid_to=rate.valid_to)
    TaxRate.objects.bulk_create([_row(rate, now=now) for rate in new])
    if new or ending:
        audit.record(
            audit.Entry(
                tenant_id=None,
                actor=actor,
                action="tax_rates.loaded",
                target="tax_rates",
                after={"created": list(map(_told, new)), "ended": list(map(_told, ending))},
            ),
            now=now,
        )
    return LoadedRates(
        created=len(new), ended=len(ending), unchanged=len(rates) - len(new) - len(ending)
    )


def _ends(stored: Rate | None, rate: Rate) -> bool:
    """Whether the rate is a stored open one with an end."""
    return (
        stored is not None
        and stored.valid_to is None
        and rate.valid_to is not None
        and _content(stored) == _content(rate)
    )


def _content(rate: Rate) -> tuple[object, ...]:
    return (*rate.identity, rate.valid_from, rate.code, rate.percent, dict(rate.text))


def _refuse(
    rates: Sequence[Rate],
    *,
    stored: dict[tuple[str, str, Supply, date], Rate],
    after: Sequence[Rate],
    ending: Sequence[Rate],
) -> None:
    faults = []
    for rate in rates:
        named = f"{rate.jurisdiction} {rate.category} {rate.supply} from {rate.valid_from}"
        known = stored.get((*rate.identity, rate.valid_from))
        if known is not None and known != rate and rate not in ending:
            faults.append(
                Fault(
                    path="rates",
                    code="rate_differs",
                    message=f"{named} is stored with another content and a rate is never changed; "
                    "end the stored one and give a new one from a later day.",
                )
            )
        elif known is None and any(rate.overlaps(other) for other in after):
            faults.append(
                Fault(
                    path="rates",
                    code="rates_overlap",
                    message=f"{named} overlaps a stored rate; give that one its valid_to as well.",
                )
            )
    if faults:
        raise TaxFaults(faults)


def _row(rate: Rate, *, now: datetime) -> TaxRate:
    return TaxRate(
        id=ids.new_id(),
        jurisdiction=rate.jurisdiction,
        category=rate.category,
        supply=rate.supply,
        code=rate.code,
        percent=rate.percent,
        valid_from=rate.valid_from,
        valid_to=rate.valid_to,
        text=dict(rate.text),
        created_at=now,
    )


def _told(rate: Rate) -> str:
    ends = f" to {rate.valid_to}" if rate.valid_to is not None else ""
    return f"{rate.jurisdiction} {rate.category} {rate.supply} {rate.code} {rate.percent:f} % from {rate.valid_from}{ends}"
