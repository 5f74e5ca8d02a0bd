"""Whether the usage that documents bill is what it came to when it was counted a second time.

Every closed day is counted anew, by another path than roll-up, when it closes and when a correction
touches it (`metering.recount`). Before a document gets its number, the days that it bills are compared
with that: two values a day and meter, whatever the number of events. One unit of difference holds
the document back.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from billing.invoicing.drafting import Contract
from kernel.decimals import plain_text
from kernel.errors import Conflict
from kernel.period import Period
from metering import queries as metering
from metering.services import recount_spans
from tenants.models import App

DIFFERS: Final = "usage_differs_from_recount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What was found, by the place among what was asked: `faults` where usage differs, `behind` where a day
    is being corrected just now, so that the document waits for the next run."""

    faults: Mapping[int, Conflict]
    behind: frozenset[int]


def compare_usage(
    *, billed: Sequence[tuple[Contract, Iterable[Period]]], now: datetime
) -> Compared:
    """Compare the usage of a contract's closed days in the periods that a document bills with its recount,
    for many documents at once; in the caller's cross-tenant scope. A few statements whatever their
    number; days that nobody counted anew yet are counted first.
    """
    asked = [
        (place, contract, _span(contract, period))
        for place, (contract, periods) in enumerate(billed)
        if contract.meters
        for period in periods
    ]
    if not asked:
        return Compared(faults={}, behind=frozenset())
    spans = [span for _, _, span in asked]
    meters = {contract.meters for _, contract, _ in asked}
    recount_spans(spans=spans, now=now)
    compared = metering.compare_with_recounts(
        spans=spans, meters=sorted(frozenset().union(*meters))
    )
    found: dict[UUID, list[metering.UsageDifference]] = defaultdict(list)
    for each in compared.differences:
        found[each.tenant_id].append(each)
    counted = {keys: metering.counted_meters(keys) for keys in meters} if found else {}
    differing: dict[int, list[metering.UsageDifference]] = defaultdict(list)
    for place, contract, span in asked:
        differing[place] += [
            each
            for each in found.get(contract.tenant_id, ())
            if span.from_day <= each.day < span.to_day and each.meter in counted[contract.meters]
        ]
    return Compared(
        faults={place: _fault(each) for place, each in differing.items() if each},
        behind=frozenset(
            place for place, contract, _ in asked if contract.tenant_id in compared.behind
        ),
    )


def _span(contract: Contract, period: Period) -> metering.Span:
    zone = contract.cadence.zone
    return metering.Span(
        tenant_id=contract.tenant_id,
        from_day=period.first_day(zone),
        to_day=period.end_day(zone),
    )


def _fault(differences: Sequence[metering.UsageDifference]) -> Conflict:
    first, *others = differences
    known = App.objects.filter(tenant_id=first.tenant_id, id=first.app_id).first()
    app = str(first.app_id) if known is None else known.key
    kind = f" ({first.kind})" if first.kind else ""
    more = f", and {len(others)} more values differ" if others else ""
    return Conflict(
        "usage_differs_from_recount",
        f"{first.meter}{kind} of app {app} on {first.day} is {plain_text(first.stored)} in daily usage "
        f"and {plain_text(first.recounted)} when it is counted anew{more}. Rebuild the days from what "
        "arrived, or correct the usage; the next run goes on.",
        params={
            "app": app,
            "meter": first.meter,
            "day": first.day,
            "stored": plain_text(first.stored),
            "recounted": plain_text(first.recounted),
        },
    )
