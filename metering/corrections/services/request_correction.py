"""Ask for a correction of a closed day."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from kernel import ids
from kernel.dimensions import dimensions_of
from kernel.errors import Conflict, Invalid
from metering.corrections.models import CorrectionRequest
from metering.corrections.queries import day_value
from metering.meters.domain import refuse_unknown_dimensions
from metering.meters.queries import find_meter
from metering.queries import shown_app
from metering.rollup.queries import closed_until
from tenants import audit


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedCorrection:
    """What a day's usage should be. `kind` is the canonical text of its dimensions, if any."""

    app: str
    meter: str
    day: date
    value: Decimal
    kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCorrection:
    """The same with what it is about, and the value as it stands."""

    tenant_id: UUID
    app_id: UUID
    meter: str
    day: date
    kind: str
    value_before: Decimal
    value: Decimal


def check_correction(asked: AskedCorrection) -> CheckedCorrection:
    """What the correction would change; in the caller's cross-tenant scope.

    Raises NotFound `unknown_app`, Invalid `unknown_meter`, `counted_by_another`, `unknown_dimension`,
    `negative_usage`, `nothing_to_correct`, Conflict `day_not_closed`.
    """
    app = shown_app(key=asked.app)
    meter = find_meter(asked.meter)
    if meter.marks != meter.key:
        # It has no values of its own that could be more or less.
        raise Invalid(
            "counted_by_another",
            f"{meter.key} counts those who are counted as {meter.marks}; correct {meter.marks}, and both "
            "change.",
            field="meter",
            params={"meter": meter.key, "counted_as": meter.marks},
        )
    refuse_unknown_dimensions(meter, dimensions_of(asked.kind), field="kind")
    if not asked.value.is_finite() or asked.value < 0:
        raise Invalid("negative_usage", "A day's value is a number from 0 up.", field="value")
    until = closed_until(tenant_ids=[app.tenant_id]).get(app.tenant_id)
    if until is None or asked.day >= until:
        raise Conflict(
            "day_not_closed",
            f"{asked.day} is not closed yet: what arrives is still counted in. Correct a closed day.",
            field="day",
            params={"day": asked.day},
        )
    before = day_value(
        tenant_id=app.tenant_id,
        app_id=app.id,
        meter=meter.key,
        day=asked.day,
        kind=asked.kind,
    )
    if before == asked.value:
        raise Invalid(
            "nothing_to_correct",
            "The day's usage is that already; give another value.",
            field="value",
        )
    return CheckedCorrection(
        tenant_id=app.tenant_id,
        app_id=app.id,
        meter=meter.key,
        day=asked.day,
        kind=asked.kind,
        value_before=before,
        value=asked.value,
    )


def request_correction(*, asked: AskedCorrection, reason: str, now: datetime, actor: str) -> UUID:
    """Ask for it; somebody else approves. Gives the request's id. Raises as `check_correction`, and
    Invalid `reason_missing`."""
    if not reason.strip():
        raise Invalid("reason_missing", "Say why the day's usage was wrong.", field="reason")
    checked = check_correction(asked)
    row = CorrectionRequest.objects.create(
        tenant_id=checked.tenant_id,
        id=ids.new_id(),
        app_id=checked.app_id,
        meter=checked.meter,
        day=checked.day,
        kind=checked.kind,
        value_before=checked.value_before,
        value=checked.value,
        reason=reason.strip()[:200],
        requested_by=actor,
        requested_at=now,
    )
    audit.record(
        audit.Entry(
            tenant_id=row.tenant_id,
            actor=actor,
            action="usage.correction_requested",
            target=f"correction:{row.id}",
            before={"value": format(row.value_before, "f")},
            after={
                "app": asked.app,
                "meter": row.meter,
                "day": row.day.isoformat(),
                "kind": row.kind,
                "value": format(row.value, "f"),
            },
            reason=row.reason,
        ),
        now=now,
    )
    return row.id
