"""Move subscriptions to another plan version now, each with its document."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from billing.invoicing.billed_ahead import PeriodBilled, billed_ahead
from billing.invoicing.changes import decide
from billing.invoicing.contracts import load_contracts
from billing.invoicing.drafting import HeldVersion
from billing.invoicing.services.change_subscription import change_entry, write_decisions
from billing.invoicing.services.decide_change import Decided, facts_of, refuse_priced_twice
from billing.invoicing.services.settle_change import Settling, incomplete, settle_changes
from billing.subscriptions.domain import AskedChange, ChangeKind, EffectiveWhen
from billing.subscriptions.models import Subscription
from billing.subscriptions.queries import others_of
from kernel.errors import DomainError
from kernel.period import local_day
from tenants import audit


def move_now(
    rows: Sequence[Subscription], *, new: HeldVersion, now: datetime, actor: str
) -> list[str]:
    """Per subscription "" or the code of why it stays; in the caller's cross-tenant scope. A few statements
    whatever their number, and for each that comes out at other than zero a document."""
    asked = AskedChange(
        kind=ChangeKind.PLAN, when=EffectiveWhen.NOW, plan=new.terms.key, version=new.number
    )
    contracts = load_contracts(rows, with_taxes=True)
    others = others_of(rows)
    served = [
        (row, contract.cadence.period_of(day).served)
        for row in rows
        for contract in [contracts[row.id]]
        for day in [local_day(now, contract.cadence.zone)]
        if day >= contract.cadence.starts_on
    ]
    billed = billed_ahead(
        served,
        currencies={key: each.versions[0].terms.currency for key, each in contracts.items()},
    )
    codes: dict[UUID, str] = {}
    found: list[Decided] = []
    for row in rows:
        contract = contracts[row.id]
        facts = facts_of(
            row,
            contract,
            billed.get(row.id, PeriodBilled()),
            next_boundary_at=row.next_boundary_at,
            is_running=row.id in billed,
            new=replace(new, starts_on=local_day(now, contract.cadence.zone)),
        )
        try:
            decision = decide(facts=facts, asked=asked, now=now)
            refuse_priced_twice(
                decision.after,
                starts_at=row.starts_at,
                ends_at=decision.ends_at,
                others=others[row.id],
            )
            for document in decision.documents:
                _ = document.draft.total  # refused here, where it stops no other
        except DomainError as error:
            codes[row.id] = error.code
        else:
            found.append(Decided(row=row, facts=facts, decision=decision, usage={}))
    settlings = [
        Settling(row=each.row, contract=each.before, document=document)
        for each in found
        for document in each.decision.documents
    ]
    codes.update({key: refused.code for key, refused in incomplete(settlings, now=now).items()})
    decided = [each for each in found if each.row.id not in codes]
    settle_changes([each for each in settlings if each.row.id not in codes], now=now, actor=actor)
    write_decisions(decided, asked=asked, now=now)
    audit.record_many(
        [change_entry(each, asked, now=now, actor=actor) for each in decided], now=now
    )
    return [codes.get(row.id, "") for row in rows]
