"""Who may do what: role x action as data. What isn't listed is refused.

Staff act in the console over all tenants, members in the portal within one. Every screen names one
of these actions; an auditor reads everything and changes nothing.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from tenants.domain import Role, StaffRole


class StaffAction(StrEnum):
    """What the operator's own people do in the console."""

    OVERVIEW_VIEW = "overview.view"
    TENANTS_VIEW = "tenants.view"
    USAGE_VIEW = "usage.view"
    PLANS_VIEW = "plans.view"
    PRICES_AGREE = "prices.agree"
    PLANS_CHANGE = "plans.change"
    COUPONS_VIEW = "coupons.view"
    COUPONS_CHANGE = "coupons.change"
    PLANS_MIGRATE = "plans.migrate"
    SUBSCRIPTIONS_CHANGE = "subscriptions.change"
    INVOICES_VIEW = "invoices.view"
    INVOICES_MAIL = "invoices.mail"
    CHARGES_CHANGE = "charges.change"
    INVOICES_CORRECT = "invoices.correct"
    PAYMENTS_RECORD = "payments.record"
    BALANCES_GRANT = "balances.grant"
    TAXES_VIEW = "taxes.view"
    TAXES_CHANGE = "taxes.change"
    PARTIES_CHANGE = "parties.change"
    FAPIAO_CHANGE = "fapiao.change"
    RETENTION_VIEW = "retention.view"
    RETENTION_CHANGE = "retention.change"
    STATEMENTS_MAKE = "statements.make"
    LATE_USAGE_SET = "late_usage.set"
    LEDGER_VIEW = "ledger.view"
    PERIODS_CLOSE = "periods.close"
    RUNS_VIEW = "runs.view"
    RUNS_START = "runs.start"
    GATEWAYS_VIEW = "gateways.view"
    GATEWAYS_CHANGE = "gateways.change"
    EVENTS_REPLAY = "events.replay"
    USAGE_CORRECT = "usage.correct"
    AUDIT_VIEW = "audit.view"


class MemberAction(StrEnum):
    """What a tenant's members do in the portal."""

    HOME_VIEW = "home.view"
    USAGE_VIEW = "usage.view"
    HASH_KEY_VIEW = "hash_key.view"
    PLAN_VIEW = "plan.view"
    PLAN_CHANGE = "plan.change"
    INVOICES_VIEW = "invoices.view"
    INVOICES_PAY = "invoices.pay"
    KEYS_VIEW = "keys.view"
    KEYS_CHANGE = "keys.change"
    MEMBERS_VIEW = "members.view"


_ALL_STAFF: Final = frozenset(StaffRole)
_ALL_MEMBERS: Final = frozenset(Role)

STAFF_MAY: Final[Mapping[StaffAction, frozenset[StaffRole]]] = {
    StaffAction.OVERVIEW_VIEW: _ALL_STAFF,
    StaffAction.TENANTS_VIEW: _ALL_STAFF,
    StaffAction.USAGE_VIEW: _ALL_STAFF,
    StaffAction.PLANS_VIEW: _ALL_STAFF,
    StaffAction.PRICES_AGREE: frozenset({StaffRole.SALES, StaffRole.ADMIN}),
    StaffAction.PLANS_CHANGE: frozenset({StaffRole.SALES, StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.COUPONS_VIEW: _ALL_STAFF,
    StaffAction.COUPONS_CHANGE: frozenset({StaffRole.SALES, StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.PLANS_MIGRATE: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.SUBSCRIPTIONS_CHANGE: frozenset(
        {StaffRole.SALES, StaffRole.FINANCE, StaffRole.ADMIN}
    ),
    StaffAction.INVOICES_VIEW: _ALL_STAFF,
    StaffAction.INVOICES_MAIL: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.CHARGES_CHANGE: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    # To ask for a credit note or a write-off, and to decide what somebody else asked for.
    StaffAction.INVOICES_CORRECT: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.PAYMENTS_RECORD: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.BALANCES_GRANT: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.TAXES_VIEW: _ALL_STAFF,
    StaffAction.TAXES_CHANGE: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.PARTIES_CHANGE: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.FAPIAO_CHANGE: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.RETENTION_VIEW: frozenset({StaffRole.FINANCE, StaffRole.ADMIN, StaffRole.AUDITOR}),
    StaffAction.RETENTION_CHANGE: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.STATEMENTS_MAKE: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.LATE_USAGE_SET: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.LEDGER_VIEW: frozenset({StaffRole.FINANCE, StaffRole.ADMIN, StaffRole.AUDITOR}),
    StaffAction.PERIODS_CLOSE: frozenset({StaffRole.FINANCE, StaffRole.ADMIN}),
    StaffAction.RUNS_VIEW: frozenset(
        {StaffRole.FINANCE, StaffRole.OPERATIONS, StaffRole.ADMIN, StaffRole.AUDITOR}
    ),
    StaffAction.RUNS_START: frozenset({StaffRole.FINANCE, StaffRole.OPERATIONS, StaffRole.ADMIN}),
    StaffAction.GATEWAYS_VIEW: frozenset(
        {StaffRole.FINANCE, StaffRole.OPERATIONS, StaffRole.ADMIN, StaffRole.AUDITOR}
    ),
    StaffAction.GATEWAYS_CHANGE: frozenset({StaffRole.OPERATIONS, StaffRole.ADMIN}),
    StaffAction.EVENTS_REPLAY: frozenset({StaffRole.OPERATIONS, StaffRole.ADMIN}),
    StaffAction.USAGE_CORRECT: frozenset(
        {StaffRole.FINANCE, StaffRole.OPERATIONS, StaffRole.ADMIN}
    ),
    StaffAction.AUDIT_VIEW: frozenset(
        {StaffRole.FINANCE, StaffRole.OPERATIONS, StaffRole.ADMIN, StaffRole.AUDITOR}
    ),
}

MEMBER_MAY: Final[Mapping[MemberAction, frozenset[Role]]] = {
    MemberAction.HOME_VIEW: _ALL_MEMBERS,
    MemberAction.USAGE_VIEW: _ALL_MEMBERS,
    # Who may make API keys could read it with one.
    MemberAction.HASH_KEY_VIEW: frozenset({Role.OWNER, Role.DEVELOPER}),
    MemberAction.PLAN_VIEW: _ALL_MEMBERS,
    MemberAction.PLAN_CHANGE: frozenset({Role.OWNER, Role.BILLING}),
    MemberAction.INVOICES_VIEW: frozenset({Role.OWNER, Role.BILLING, Role.VIEWER}),
    MemberAction.INVOICES_PAY: frozenset({Role.OWNER, Role.BILLING}),
    MemberAction.KEYS_VIEW: frozenset({Role.OWNER, Role.DEVELOPER}),
    MemberAction.KEYS_CHANGE: frozenset({Role.OWNER, Role.DEVELOPER}),
    MemberAction.MEMBERS_VIEW: _ALL_MEMBERS,
}


def staff_may(*, role: str, action: StaffAction) -> bool:
    """Whether staff of `role` may do it; an empty or unknown role may do nothing."""
    return role in STAFF_MAY.get(action, frozenset())


def member_may(*, role: str, action: MemberAction) -> bool:
    """Whether a member of `role` may do it; an empty or unknown role may do nothing."""
    return role in MEMBER_MAY.get(action, frozenset())
