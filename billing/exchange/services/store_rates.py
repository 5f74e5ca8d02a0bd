"""Store exchange rates as a bank published them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from billing.catalog.domain.faults import Fault, PlanFaults
from billing.exchange.models import ExchangeRate
from kernel.currencies import exponent
from kernel.decimals import parse_decimal, plain_text
from kernel.errors import Invalid
from tenants import audit

_LONGEST_SOURCE = 100
_HIGHEST = Decimal(10) ** 12


class RateFaults(PlanFaults):
    """The rates are refused as a whole, with every fault; code `invalid_exchange_rate`."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults, code="invalid_exchange_rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRates:
    """How many were new, put right, and there already."""

    created: int
    changed: int
    unchanged: int


def store_rates(*, rows: Sequence[Mapping[str, str]], now: datetime, actor: str) -> StoredRates:
    """Store rates (`on`, `base`, `quote`, `rate`, `source`), in the caller's cross-tenant scope.

    One of a stored day and pair puts that right, which the audit trail tells; documents keep the rate by
    which they were issued. Raises RateFaults with every fault; then nothing is stored.
    """
    faults: list[Fault] = []
    wanted: dict[tuple[str, str, date], tuple[Decimal, str]] = {}
    for place, row in enumerate(rows):
        read = _read(row, place, faults)
        if read is not None:
            wanted[read[0]] = read[1]
    if faults:
        raise RateFaults(faults)
    stored = {
        (each.base, each.quote, each.on): each
        for each in ExchangeRate.objects.select_for_update().filter(
            on__in={on for _, _, on in wanted}
        )
    }
    created, changed = [], []
    for key, (rate, source) in wanted.items():
        base, quote, on = key
        row_of_key = stored.get(key)
        if row_of_key is None:
            created.append(
                ExchangeRate(
                    base=base, quote=quote, on=on, rate=rate, source=source, entered_at=now
                )
            )
        elif (row_of_key.rate, row_of_key.source) != (rate, source):
            changed.append((_told(row_of_key), row_of_key))
            row_of_key.rate, row_of_key.source, row_of_key.entered_at = rate, source, now
    ExchangeRate.objects.bulk_create(created, batch_size=1000)
    ExchangeRate.objects.bulk_update(
        [row for _, row in changed], ["rate", "source", "entered_at"], batch_size=1000
    )
    if created or changed:
        audit.record(
            audit.Entry(
                tenant_id=None,
                actor=actor,
                action="exchange_rates.stored",
                target="exchange_rates",
                before={"changed": [told for told, _ in changed]},
                after={
                    "created": len(created),
                    "changed": [_told(row) for _, row in changed],
                    "days": sorted({key[2].isoformat() for key in wanted}),
                },
            ),
            now=now,
        )
    return StoredRates(
        created=len(created),
        changed=len(changed),
        unchanged=len(wanted) - len(created) - len(changed),
    )


def _read(
    row: Mapping[str, str], place: int, faults: list[Fault]
) -> tuple[tuple[str, str, date], tuple[Decimal, str]] | None:
    """(key, value) of one rate; None where something is wrong, which is added to the faults."""
    found = len(faults)
    given = {name: row.get(name, "").strip() for name in ("on", "base", "quote", "rate", "source")}
    on, rate = date.min, Decimal(0)

    def fault(name: str, code: str, message: str) -> None:
        path = f"rates[{place}].{name}"
        faults.append(Fault(path=path, code=code, message=f"{path} {message}"))

    try:
        on = date.fromisoformat(given["on"])
    except ValueError:
        fault("on", "not_a_date", "is not a date such as 2026-03-31.")
    for name in ("base", "quote"):
        try:
            exponent(given[name])
        except Invalid:
            fault(name, "unknown_currency", "is not an ISO 4217 code such as EUR.")
    if given["base"] == given["quote"]:
        fault("quote", "same_currency", "is the base itself; name the other currency.")
    try:
        rate = parse_decimal(given["rate"], field=f"rates[{place}].rate")
    except Invalid as error:
        faults.append(Fault(path=f"rates[{place}].rate", code=error.code, message=error.message))
    else:
        if not 0 < rate < _HIGHEST:
            fault("rate", "not_positive", "is not above zero.")
    if not given["source"] or len(given["source"]) > _LONGEST_SOURCE:
        fault("source", "missing", "is missing or too long; say who published it, such as ECB.")
    if len(faults) > found:
        return None
    return (given["base"], given["quote"], on), (rate, given["source"])


def _told(row: ExchangeRate) -> str:
    return f"{row.on} 1 {row.base} = {plain_text(row.rate)} {row.quote} ({row.source})"
