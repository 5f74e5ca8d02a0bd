"""Load plans into the catalogue as immutable versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from billing.catalog.domain import KnownMeters, parse_plan
from billing.catalog.models import Plan, PlanVersion
from kernel import ids
from kernel.errors import Conflict, Invalid
from tenants import audit
from work.connections import cursor

_UNKNOWN: Final[Mapping[str, int]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPlan:
    """What came of one plan: its version, and whether that version is new."""

    key: str
    version: int
    created: bool


def load_plans(
    *,
    documents: Sequence[Mapping[str, Any]],
    known_meters: KnownMeters,
    now: datetime,
    actor: str,
    based_on: Mapping[str, int] = _UNKNOWN,
) -> list[LoadedPlan]:
    """Store each plan as a new version where it differs from the plan's latest one.

    All or none, in the caller's cross-tenant scope. `based_on` tells, by plan key, of which version
    (0: none yet) a document is the edited wording: what somebody else stored meanwhile is then not
    replaced unseen. Raises PlanFaults with every fault of the first wrong plan, Invalid
    `duplicate_key` when two plans of the list share a key, Conflict `plan_exists` or `plan_changed`
    when `based_on` is not the latest version.
    """
    parsed = [(parse_plan(each, known_meters=known_meters), each) for each in documents]
    keys = [terms.key for terms, _ in parsed]
    for key in keys:
        if keys.count(key) > 1:
            raise Invalid(
                "duplicate_key", f"Plan {key!r} stands twice in the file; keep one.", field="key"
            )
    with cursor() as db:
        # Two loads at once would give the same number to two wordings.
        db.execute("SELECT pg_advisory_xact_lock(hashtextextended('billing plans', 0))")
    loaded = []
    for terms, document in parsed:
        plan, _ = Plan.objects.get_or_create(
            key=terms.key,
            defaults={"id": ids.new_id(), "created_at": now, "is_private": terms.is_private},
        )
        if plan.is_private != terms.is_private:
            plan.is_private = terms.is_private
            plan.save(update_fields=["is_private"])
        latest = PlanVersion.objects.filter(plan=plan).order_by("-number").first()
        digest = bytes.fromhex(terms.content_hash)
        if latest is not None and bytes(latest.content_hash) == digest:
            loaded.append(LoadedPlan(key=terms.key, version=latest.number, created=False))
            continue
        latest_number = latest.number if latest is not None else 0
        _refuse_overwriting(terms.key, latest_number, based_on.get(terms.key, latest_number))
        number = latest_number + 1
        PlanVersion.objects.create(
            id=ids.new_id(),
            plan=plan,
            number=number,
            document=dict(document),
            content_hash=digest,
            effective_from=terms.effective_from,
            created_at=now,
        )
        loaded.append(LoadedPlan(key=terms.key, version=number, created=True))
    audit.record_many(
        [
            audit.Entry(
                tenant_id=None,
                actor=actor,
                action="plan_version.created",
                target=f"plan:{plan.key}",
                after={"version": plan.version},
            )
            for plan in loaded
            if plan.created
        ],
        now=now,
    )
    return loaded


def _refuse_overwriting(key: str, latest: int, based_on: int) -> None:
    if based_on == latest:
        return
    if based_on == 0:
        raise Conflict(
            "plan_exists",
            f"There is a plan {key} already; open it to make a new version, or take another key.",
            field="key",
            params={"key": key},
        )
    raise Conflict(
        "plan_changed",
        f"Version {latest} of {key} was stored meanwhile; compare with it before you store another.",
        field="key",
        params={"key": key, "version": latest},
    )
