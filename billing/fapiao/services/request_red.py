"""Take an issued fapiao back, or a part of it, with a red one."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

from django.db.models import Sum

from billing.fapiao.amounts import note_amounts
from billing.fapiao.domain.composing import CNY, fapiao_lines
from billing.fapiao.domain.content import FapiaoContent, FapiaoLine, FapiaoProduct
from billing.fapiao.domain.states import FapiaoColor, FapiaoState, RedReason
from billing.fapiao.domain.validation import refuse_faults
from billing.fapiao.models import Fapiao
from billing.fapiao.services.request_fapiao import store_request
from billing.invoicing.models import CreditNote
from kernel.errors import Conflict, NotFound


def request_red_fapiao(
    *,
    fapiao_id: UUID,
    reason: RedReason,
    now: datetime,
    actor: str,
    credit_note_id: UUID | None = None,
) -> UUID:
    """Ask for a red fapiao of a blue one, in the caller's cross-tenant scope; gives its id.

    With a credit note of its invoice it takes back exactly what that gives back. Without one it takes
    back the whole, for what was issued in error. Raises NotFound `fapiao_not_found`,
    `credit_note_not_found`, Conflict `fapiao_not_issued`, `fapiao_partly_taken_back`, `red_needs_note`,
    `fapiao_exists` and FapiaoFaults.
    """
    blue = Fapiao.objects.select_for_update().filter(id=fapiao_id, color=FapiaoColor.BLUE).first()
    if blue is None:
        raise NotFound("fapiao_not_found", "There is no such blue fapiao.", field="fapiao")
    if blue.state != FapiaoState.ISSUED or blue.number is None:
        raise Conflict(
            "fapiao_not_issued",
            "Only an issued fapiao can be taken back; this one is not issued.",
            field="fapiao",
        )
    said = FapiaoContent.read(blue.content)
    if credit_note_id is None:
        lines = _all_of(blue, said, reason=reason)
    else:
        note = CreditNote.objects.filter(
            tenant_id=blue.tenant_id, id=credit_note_id, invoice_id=blue.invoice_id
        ).first()
        if note is None:
            raise NotFound(
                "credit_note_not_found",
                "The fapiao's invoice has no such credit note.",
                field="credit_note",
            )
        lines = _of_note(note, said)
    content = replace(said, lines=lines, of_number=blue.number)
    refuse_faults(content)
    return store_request(
        Fapiao(
            tenant_id=blue.tenant_id,
            invoice_id=blue.invoice_id,
            color=FapiaoColor.RED,
            of=blue,
            credit_note_id=credit_note_id,
            reason=reason,
            content=content.document,
            net_minor=content.net,
            tax_minor=content.tax,
            total_minor=content.total,
            currency=CNY,
            requested_by=actor,
            requested_at=now,
        ),
        now=now,
    )


def _all_of(blue: Fapiao, said: FapiaoContent, *, reason: RedReason) -> list[FapiaoLine]:
    if reason is not RedReason.ISSUED_IN_ERROR:
        raise Conflict(
            "red_needs_note",
            "Money is given back by a credit note; issue one first and name it.",
            field="credit_note",
        )
    taken = Fapiao.objects.filter(of=blue).exclude(state=FapiaoState.FAILED)
    if taken.aggregate(total=Sum("total_minor"))["total"]:
        raise Conflict(
            "fapiao_partly_taken_back",
            "A part of this fapiao was taken back already, so the whole can't be.",
            field="fapiao",
        )
    return list(said.lines)


def _of_note(note: CreditNote, said: FapiaoContent) -> list[FapiaoLine]:
    """The lines of a note, under the products of the fapiao's lines of the same rate."""
    by_rate: dict[object, FapiaoProduct] = {}
    for line in said.lines:
        by_rate.setdefault(line.rate_percent, line.product)
    amounts = note_amounts(note)
    lines = fapiao_lines(
        amounts,
        products={"": said.lines[0].product},
    )
    return [replace(line, product=by_rate.get(line.rate_percent, line.product)) for line in lines]
