"""The drafts of stored charges: their taxes and commitments as they stand, a few statements for many."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from billing.invoicing.charges.commitments import (
    Committed,
    counted_documents,
    not_billed_yet,
)
from billing.invoicing.charges.domain import ChargeLine, Counted, draft_charge, read_lines
from billing.invoicing.contracts import SELLER, load_taxing
from billing.invoicing.domain import InvoiceKind
from billing.invoicing.drafting import Draft
from billing.invoicing.models import Charge
from kernel.errors import DomainError
from kernel.period import Period
from kernel.zones import zone_named


def drafts_of(charges: Sequence[Charge], *, at: datetime) -> dict[UUID, Draft | DomainError]:
    """What each charge would be as an invoice issued at `at`, by its id, or why it can't be one; in the
    caller's scope. The charges' tenants must be loaded."""
    if not charges:
        return {}
    taxing = load_taxing(
        list({each.tenant_id: each.tenant for each in charges}.values()), seller=SELLER
    )
    lines: dict[UUID, Sequence[ChargeLine]] = {}
    drafts: dict[UUID, Draft | DomainError] = {}
    for each in charges:
        try:
            lines[each.id] = lines_of(each)
        except DomainError as error:
            drafts[each.id] = error
    counted = _counted(charges, lines)
    for each in charges:
        if each.id not in lines:
            continue
        try:
            drafts[each.id] = draft_charge(
                kind=InvoiceKind(each.kind),
                currency=each.currency,
                lines=lines[each.id],
                counted=[
                    counted.get((each.id, place), ()) for place, _ in enumerate(lines[each.id])
                ],
                taxing=taxing[each.tenant_id],
                zone=zone_named(each.tenant.timezone),
                language=each.tenant.language,
                at=at,
            )
        except DomainError as error:
            drafts[each.id] = error
    return drafts


def lines_of(charge: Charge) -> tuple[ChargeLine, ...]:
    """The stored lines, read. Raises Invalid as `read_lines`."""
    return read_lines(charge.lines, kind=InvoiceKind(charge.kind), currency=charge.currency)


def waiting_for_usage(charges: Sequence[Charge], *, at: datetime) -> set[UUID]:
    """Those with a commitment of whose days something is still to be issued; billed now, it would be asked
    for twice. In the caller's scope."""
    lines: dict[UUID, Sequence[ChargeLine]] = {}
    for each in charges:
        with suppress(DomainError):
            lines[each.id] = lines_of(each)
    asked = _committed(charges, lines)
    places = not_billed_yet([committed for _, committed in asked], at=at)
    return {asked[place][0][0] for place in places}


def _counted(
    charges: Sequence[Charge], lines: dict[UUID, Sequence[ChargeLine]]
) -> dict[tuple[UUID, int], tuple[Counted, ...]]:
    """What counts for each line with a commitment, by charge and place."""
    asked = _committed(charges, lines)
    found = counted_documents([committed for _, committed in asked])
    return {key: documents for (key, _), documents in zip(asked, found, strict=True)}


def _committed(
    charges: Sequence[Charge], lines: dict[UUID, Sequence[ChargeLine]]
) -> list[tuple[tuple[UUID, int], Committed]]:
    """The commitments, by charge and place of the line."""
    return [
        (
            (each.id, place),
            Committed(
                tenant_id=each.tenant_id,
                currency=each.currency,
                period=Period.of_days(
                    line.starts_on, line.ends_on, zone_named(each.tenant.timezone)
                ),
            ),
        )
        for each in charges
        for place, line in enumerate(lines.get(each.id, ()))
        if line.commitment is not None and line.starts_on is not None and line.ends_on is not None
    ]
