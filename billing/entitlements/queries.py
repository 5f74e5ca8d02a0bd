"""What a tenant may use now, read with the usage of now."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from threading import Lock
from typing import Final, TypeAlias
from uuid import UUID
from zoneinfo import ZoneInfo

from billing.entitlements.domain import (
    Decision,
    Denial,
    Granted,
    UsageWindow,
    decide,
    generosity,
    granted_by,
    grants,
)
from billing.invoicing.contracts import load_contracts
from billing.invoicing.drafting import Contract
from billing.rating.aggregations import EventPeriodAggregation
from billing.rating.context import HeldPart
from billing.rating.terms import PlanTerms, Scope
from billing.subscriptions.models import Subscription
from kernel.decimals import exact_sum
from kernel.errors import Conflict, Invalid
from kernel.period import Period, local_day
from metering.meters.domain import METERS, Meter
from metering.queries import (
    ShownApp,
    UsageRow,
    known_meters,
    present_usage,
    present_users,
    shown_app,
)
from tenants.domain import TenantStatus
from work.connections import cursor

_ONE_DAY: Final = timedelta(days=1)
_LOOKS_BACK: Final = timedelta(days=62)
"""How long before its period a level may have been read that still holds when the period begins."""
_NOT_SERVED: Final = frozenset({TenantStatus.SUSPENDED.value, TenantStatus.CLOSED.value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How the usage of a limit is counted: the meter of the feature's name, for the app or for all
    apps together, in the window; `used` None where it can't be told for no app was named."""

    meter: str
    scope: Scope
    window: UsageWindow
    period: Period
    used: Decimal | None
    was_over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EntitlementCheck:
    """One feature: what is allowed, what was used, and whether `quantity` more may be."""

    feature: str
    quantity: Decimal
    app: str | None
    subscription_id: UUID | None
    plan_key: str | None
    plan_version: int | None
    timezone: str
    granted: Granted | None
    counted: Counted | None
    decision: Decision

    @property
    def is_known(self) -> bool:
        """Whether the decision stands: what was used is known, or doesn't matter."""
        is_counted = self.counted is None or self.counted.used is not None
        is_served = self.decision.denial not in {Denial.PAUSED, Denial.SUSPENDED}
        return is_counted or not is_served


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    """What the tenant holds of one subscription on a local day."""

    subscription_id: UUID
    zone: ZoneInfo
    terms: PlanTerms
    version: int
    allowed: Mapping[str, Granted]
    denial: Denial | None
    day: date
    period: Period


def check_entitlement(
    *, tenant_id: UUID, app_key: str, feature: str, quantity: Decimal, timezone: str, now: datetime
) -> EntitlementCheck:
    """Whether an app may use so much more of a feature, in the caller's scope.

    Everything that is committed counts, rolled up or not. `timezone` is the tenant's, for the answer
    where it holds no plan. Raises NotFound `unknown_app`, Invalid `negative`, Conflict
    `usage_not_known`.
    """
    if quantity < 0:
        raise Invalid("negative", "quantity is negative; write zero or more.", field="quantity")
    app = shown_app(key=app_key, tenant_id=tenant_id)
    held = _most_generous(_held(tenant_id=tenant_id, now=now), feature)
    (found,) = _checks(
        tenant_id, held, features=[feature], app=app, quantity=quantity, timezone=timezone
    )
    if not found.is_known:
        raise Conflict(
            "usage_not_known",
            f"A day's value of {feature[:100]} is not told user by user (it was set outright), so that the "
            "different users of the period can't be told; send events.",
            field="feature",
        )
    return found


def entitlements_page(
    *,
    tenant_id: UUID,
    app_key: str | None,
    after: str,
    limit: int,
    timezone: str,
    now: datetime,
) -> Sequence[EntitlementCheck]:
    """Up to `limit` of the features that the tenant's plans and what it holds of them name, by name,
    those after `after`; each with what was used by the app, and as if one more were asked for.

    Empty where it holds no plan. In the caller's scope. Raises NotFound `unknown_app`.
    """
    app = None if app_key is None else shown_app(key=app_key, tenant_id=tenant_id)
    held = _held(tenant_id=tenant_id, now=now)
    named = sorted({each for one in held for each in one.allowed if each > after})
    by_subscription: dict[UUID, list[str]] = {}
    chosen: dict[UUID, _Held] = {}
    for feature in named[:limit]:
        one = _most_generous(held, feature)
        assert one is not None  # noqa: S101  # some subscription names it
        chosen[one.subscription_id] = one
        by_subscription.setdefault(one.subscription_id, []).append(feature)
    found = [
        check
        for key, features in by_subscription.items()
        for check in _checks(
            tenant_id,
            chosen[key],
            features=features,
            app=app,
            quantity=Decimal(1),
            timezone=timezone,
        )
    ]
    return sorted(found, key=lambda each: each.feature)


def _most_generous(held: Sequence[_Held], feature: str) -> _Held | None:
    """The subscription whose answer holds for the feature; None where none serves. One that rests gives
    nothing beside one that serves; of those that give the same, the one that started last."""

    def gives(one: _Held) -> tuple[bool, tuple[int, Decimal, int]]:
        granted = one.allowed.get(feature)
        serves = one.denial is None
        return serves and grants(granted), generosity(granted)

    return max(held, key=gives, default=None)


_Marks: TypeAlias = "tuple[tuple[UUID, date, *tuple[object, ...]], ...]"

_MOST_KEPT: Final = 10_000
_kept: OrderedDict[UUID, tuple[_Marks, Sequence[_Held]]] = OrderedDict()
"""Per process: what a tenant held, under the marks of the rows that say so and the local days."""
_keeping: Final = Lock()


def _held(*, tenant_id: UUID, now: datetime) -> Sequence[_Held]:
    """What the tenant holds now of each subscription that serves, the one that started last first; read
    anew only where a row of it was written since or the day is another: one query otherwise."""
    marks = _marks(tenant_id=tenant_id, now=now)
    if not marks:
        return ()
    with _keeping:
        kept = _kept.get(tenant_id)
        if kept is not None and kept[0] == marks:
            _kept.move_to_end(tenant_id)
            return kept[1]
    rows = {
        row.id: row
        for row in Subscription.objects.select_related("plan_version", "tenant").filter(
            tenant_id=tenant_id, id__in=[subscription_id for subscription_id, *_ in marks]
        )
    }
    contracts = load_contracts(rows.values(), with_taxes=None)
    held = tuple(
        _read_held(rows[subscription_id], contract=contracts[subscription_id], day=day)
        for subscription_id, day, *_ in marks
    )
    # What was written between the two looks is not what the marks say.
    if marks == _marks(tenant_id=tenant_id, now=now):
        with _keeping:
            _kept[tenant_id] = (marks, held)
            while len(_kept) > _MOST_KEPT:
                _kept.popitem(last=False)
    return held


def _marks(*, tenant_id: UUID, now: datetime) -> _Marks:
    """The subscriptions that serve now, each with its local day and the row versions of all that says
    what it holds. A row that is written gets another version (`xmin`)."""
    with cursor() as execution:
        execution.execute(
            """
            SELECT own.id, own.timezone, own.xmin::text, tenant.xmin::text,
                   (SELECT string_agg(each.xmin::text || each.id, ',' ORDER BY each.id)
                      FROM billing_subscriptionphase each
                     WHERE each.tenant_id = own.tenant_id AND each.subscription_id = own.id),
                   (SELECT string_agg(each.xmin::text || each.id, ',' ORDER BY each.id)
                      FROM billing_subscriptionholding each
                     WHERE each.tenant_id = own.tenant_id AND each.subscription_id = own.id),
                   (SELECT string_agg(each.xmin::text || each.id, ',' ORDER BY each.id)
                      FROM billing_subscriptionpause each
                     WHERE each.tenant_id = own.tenant_id AND each.subscription_id = own.id),
                   (SELECT max(number) FROM billing_subscriptionprice each
                     WHERE each.tenant_id = own.tenant_id AND each.subscription_id = own.id)
              FROM billing_subscription own JOIN tenants_tenant tenant ON tenant.id = own.tenant_id
             WHERE own.tenant_id = %(tenant)s::uuid AND own.starts_at <= %(now)s
               AND (own.ends_at IS NULL OR own.ends_at > %(now)s)
             ORDER BY own.starts_at DESC, own.id DESC
            """,
            {"tenant": str(tenant_id), "now": now},
        )
        return tuple(
            (UUID(str(row[0])), local_day(now, ZoneInfo(row[1])), *row[2:])
            for row in execution.fetchall()
        )


def _read_held(row: Subscription, *, contract: Contract, day: date) -> _Held:
    cadence = contract.cadence
    # What a trial leads to is held in the trial.
    state = contract.state_on(max(day, cadence.starts_on))
    part = HeldPart(
        period=Period.of_days(day, day + _ONE_DAY, cadence.zone), quantities=state.quantities
    )
    denial = None
    if row.tenant.status in _NOT_SERVED:
        denial = Denial.SUSPENDED
    elif any(pause.covers(day) for pause in contract.pauses):
        denial = Denial.PAUSED
    period = (
        cadence.period_of(day).served
        if day >= cadence.starts_on
        else Period.of_days(local_day(row.starts_at, cadence.zone), cadence.starts_on, cadence.zone)
    )
    return _Held(
        subscription_id=row.id,
        zone=cadence.zone,
        terms=state.version.terms,
        version=state.version.number,
        allowed=granted_by(state.version.terms, held=part.held),
        denial=denial,
        day=day,
        period=period,
    )


def _checks(
    tenant_id: UUID,
    held: _Held | None,
    *,
    features: Sequence[str],
    app: ShownApp | None,
    quantity: Decimal,
    timezone: str,
) -> list[EntitlementCheck]:
    counted = {} if held is None else _counted(tenant_id, held, features=features, app=app)
    return [
        _check(
            held,
            feature=feature,
            app=app,
            quantity=quantity,
            counted=counted.get(feature),
            timezone=timezone,
        )
        for feature in features
    ]


def _check(
    held: _Held | None,
    *,
    feature: str,
    app: ShownApp | None,
    quantity: Decimal,
    counted: Counted | None,
    timezone: str,
) -> EntitlementCheck:
    granted = None if held is None else held.allowed.get(feature)
    decision = decide(
        granted,
        quantity=quantity,
        used=None if counted is None else counted.used,
        was_over=counted is not None and counted.was_over,
    )
    denial = Denial.NO_SUBSCRIPTION if held is None else held.denial
    if denial is not None:
        decision = Decision(is_allowed=False, denial=denial, left=decision.left)
    return EntitlementCheck(
        feature=feature,
        quantity=quantity,
        app=None if app is None else app.key,
        subscription_id=None if held is None else held.subscription_id,
        plan_key=None if held is None else held.terms.key,
        plan_version=None if held is None else held.version,
        timezone=timezone if held is None else held.zone.key,
        granted=granted,
        counted=counted,
        decision=decision,
    )


def _counted(
    tenant_id: UUID, held: _Held, *, features: Sequence[str], app: ShownApp | None
) -> dict[str, Counted]:
    """How the limits among the features are counted that are named as a meter, with their usage."""
    limited = [
        each
        for each in features
        if (granted := held.allowed.get(each)) is not None and isinstance(granted.value, Decimal)
    ]
    known: Mapping[str, Meter] = METERS if all(each in METERS for each in limited) else {}
    if limited and not known:
        known = known_meters()
    metered = {each: known[each] for each in limited if each in known}
    if not metered:
        return {}
    windows = {key: _window(meter, held.terms) for key, meter in metered.items()}
    by_days = [key for key, (_, is_distinct) in windows.items() if not is_distinct]
    looks_back = _LOOKS_BACK if any(metered[key].holds_level for key in by_days) else _ONE_DAY * 0
    zone = held.zone
    first = held.period.first_day(zone)
    rows = (
        present_usage(
            tenant_id=tenant_id,
            meters=by_days,
            from_day=first - looks_back,
            to_day=held.day + _ONE_DAY,
        )
        if by_days
        else []
    )
    found = {}
    for key in metered:
        window, is_distinct = windows[key]
        scope = _scope(held.terms, key)
        is_of_app = scope is Scope.APP
        used: Decimal | None = None
        was_over = False
        if is_of_app and app is None:
            pass
        elif is_distinct:
            users = present_users(
                tenant_id=tenant_id,
                meter=key,
                app_id=app.id if is_of_app and app is not None else None,
                from_day=first,
                to_day=held.day + _ONE_DAY,
            )
            used = None if users is None else Decimal(users)
        else:
            own = [
                row
                for row in rows
                if row.meter == key and (not is_of_app or (app and row.app_id == app.id))
            ]
            used = _used(own, window=window, first=first, day=held.day)
            limit = held.allowed[key].value
            was_over = (
                window is UsageWindow.LEVEL
                and isinstance(limit, Decimal)
                and _level(own, before=first) > limit
            )
        found[key] = Counted(
            meter=key,
            scope=scope,
            window=window,
            period=Period.of_days(held.day, held.day + _ONE_DAY, zone)
            if window is UsageWindow.DAY
            else held.period,
            used=used,
            was_over=was_over,
        )
    return found


def _window(meter: Meter, terms: PlanTerms) -> tuple[UsageWindow, bool]:
    """Over which time the meter's usage is counted, and whether as different users of the period:
    as the plan prices them, and for the meter that is there for it."""
    if meter.counts_users:
        is_distinct = meter.marks != meter.key or any(
            price.metering is not None
            and price.metering.meter == meter.key
            and price.metering.period_aggregation is EventPeriodAggregation.DISTINCT
            for price in terms.prices
        )
        return (UsageWindow.PERIOD if is_distinct else UsageWindow.DAY), is_distinct
    if meter.holds_level:
        return UsageWindow.LEVEL, False
    return (UsageWindow.DAY if meter.is_gauge else UsageWindow.PERIOD), False


def _scope(terms: PlanTerms, meter: str) -> Scope:
    """For whom the limit holds: as the plan prices the meter, else for each app."""
    for price in terms.prices:
        if price.metering is not None and price.metering.meter == meter:
            return Scope.APP if price.metering.scope is Scope.APP else Scope.TENANT
    return Scope.APP


def _used(rows: Sequence[UsageRow], *, window: UsageWindow, first: date, day: date) -> Decimal:
    match window:
        case UsageWindow.LEVEL:
            return _level(rows, before=day + _ONE_DAY)
        case UsageWindow.DAY:
            return exact_sum(row.value for row in rows if row.day == day)
        case UsageWindow.PERIOD:
            return exact_sum(row.value for row in rows if row.day >= first)


def _level(rows: Sequence[UsageRow], *, before: date) -> Decimal:
    """What was read last before a day, of each app and combination of dimensions."""
    last: dict[tuple[UUID, str], UsageRow] = {}
    for row in rows:
        key = (row.app_id, row.kind)
        if row.day < before and (key not in last or last[key].day < row.day):
            last[key] = row
    return exact_sum(row.value for row in last.values())
