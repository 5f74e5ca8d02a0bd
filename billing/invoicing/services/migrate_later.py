"""Move subscriptions to another plan version from their next period on, or with what is drafted already."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from billing.invoicing.change_facts import Facts
from billing.invoicing.changes import decide
from billing.invoicing.contracts import load_contracts
from billing.invoicing.domain import InvoiceKind, InvoiceStatus
from billing.invoicing.drafting import Contract, HeldVersion
from billing.invoicing.models import Invoice
from billing.invoicing.rebilling import with_drafts_billed_by
from billing.invoicing.services.decide_change import refuse_priced_twice
from billing.subscriptions.domain import AskedChange, ChangeKind, EffectiveWhen, MigrationWhen
from billing.subscriptions.models import Subscription, SubscriptionPhase
from billing.subscriptions.queries import others_of
from kernel import ids
from kernel.array_literals import plain_array
from kernel.errors import DomainError
from kernel.period import local_day
from tenants import audit
from work.connections import cursor


def move_later(
    rows: Sequence[Subscription],
    *,
    new: HeldVersion,
    replaced: UUID,
    with_drafts: bool,
    now: datetime,
    actor: str,
) -> list[str]:
    """Per subscription "" or the code of why it stays; in the caller's cross-tenant scope, which has locked
    them. A few statements whatever their number.

    No draft is written: what a draft says follows from what is held, and it is rated by that
    when it is looked at and before it is issued. `with_drafts`: what they bill is billed by `new` instead of the version
    `replaced`.
    """
    contracts = load_contracts(rows, with_taxes=None)
    others = others_of(rows)
    drafts = _oldest_drafts(rows) if with_drafts else {}
    asked = AskedChange(
        kind=ChangeKind.PLAN, when=EffectiveWhen.PERIOD_END, plan=new.terms.key, version=new.number
    )
    codes: list[str] = []
    phases: list[SubscriptionPhase] = []
    held_now: list[Subscription] = []
    entries: list[audit.Entry] = []
    for row in rows:
        contract = contracts[row.id]
        today = local_day(now, contract.cadence.zone)
        draft_at = drafts.get(row.id)
        try:
            if draft_at is not None:
                after = with_drafts_billed_by(
                    contract, new=new, replaced=replaced, draft_at=draft_at, today=today
                )
            else:
                after = decide(facts=_facts(row, contract, new), asked=asked, now=now).after
            refuse_priced_twice(
                after, starts_at=row.starts_at, ends_at=row.ends_at, others=others[row.id]
            )
        except DomainError as error:
            codes.append(error.code)
            continue
        codes.append("")
        if after.phases == contract.phases:
            continue  # planned already
        phases.extend(
            SubscriptionPhase(
                id=ids.new_id(),
                tenant_id=row.tenant_id,
                subscription=row,
                starts_on=each.starts_on,
                plan_version_id=each.plan_version_id,
                cuts=each.cuts,
                changed_at=now,
            )
            for each in after.phases
        )
        held = after.version_on(today)
        if held.plan_version_id != row.plan_version_id:
            row.plan_version_id = held.plan_version_id
            held_now.append(row)
        before = contract.version_on(today)
        when = MigrationWhen.PERIOD_END if draft_at is None else MigrationWhen.DRAFTS
        entries.append(
            audit.Entry(
                tenant_id=row.tenant_id,
                actor=actor,
                action="subscription.plan_changed",
                target=f"subscription:{row.id}",
                before={"plan": before.terms.key, "version": before.number},
                after={"plan": new.terms.key, "version": new.number, "when": when.value},
            )
        )
    _store_phases(phases)
    _store_held(held_now)
    audit.record_many(entries, now=now)
    return codes


def _facts(row: Subscription, contract: Contract, new: HeldVersion) -> Facts:
    return Facts(
        contract=contract,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        next_boundary_at=row.next_boundary_at,
        new=new,
    )


def _oldest_drafts(rows: Sequence[Subscription]) -> dict[UUID, datetime]:
    """The boundary of each subscription's oldest draft, which nobody issues until the transaction ends: one
    that came after the drafts were locked is locked here."""
    found: dict[UUID, datetime] = {}
    for subscription_id, boundary_at in (
        Invoice.objects.select_for_update()
        .filter(
            tenant_id__in={row.tenant_id for row in rows},
            subscription__in=rows,
            kind=InvoiceKind.SUBSCRIPTION,
            status=InvoiceStatus.DRAFT,
        )
        .order_by("tenant_id", "finalize_at", "id")
        .values_list("subscription_id", "boundary_at")
    ):
        if subscription_id is not None:
            found[subscription_id] = min(boundary_at, found.get(subscription_id, boundary_at))
    return found


def _store_phases(phases: Sequence[SubscriptionPhase]) -> None:
    changed = {phase.subscription_id for phase in phases}
    SubscriptionPhase.objects.filter(
        tenant_id__in={phase.tenant_id for phase in phases}, subscription_id__in=changed
    ).delete()
    with cursor() as db:
        db.execute(
            """
            INSERT INTO billing_subscriptionphase
                   (id, tenant_id, subscription_id, starts_on, plan_version_id, cuts, changed_at)
            SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::date[], %s::uuid[],
                                 %s::boolean[], %s::timestamptz[])
            """,
            [
                plain_array(phase.id for phase in phases),
                plain_array(phase.tenant_id for phase in phases),
                plain_array(phase.subscription_id for phase in phases),
                plain_array(phase.starts_on for phase in phases),
                plain_array(phase.plan_version_id for phase in phases),
                plain_array(phase.cuts for phase in phases),
                plain_array(phase.changed_at.isoformat() for phase in phases),
            ],
        )


def _store_held(rows: Sequence[Subscription]) -> None:
    with cursor() as db:
        db.execute(
            """
            UPDATE billing_subscription AS s SET plan_version_id = n.version
              FROM unnest(%s::uuid[], %s::uuid[], %s::uuid[]) AS n (tenant_id, id, version)
             WHERE s.tenant_id = n.tenant_id AND s.id = n.id
            """,
            [
                plain_array(row.tenant_id for row in rows),
                plain_array(row.id for row in rows),
                plain_array(row.plan_version_id for row in rows),
            ],
        )
