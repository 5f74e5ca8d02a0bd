"""Roles, statuses and scopes: the closed sets of the tenants' room. Pure."""

from enum import StrEnum


class TenantStatus(StrEnum):
    TRIAL = "trial"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    SUSPENDED = "suspended"
    CLOSED = "closed"


class TaxTreatment(StrEnum):
    """What a tenant's own standing says of taxes; `billing.taxes.domain.rules` tells what follows."""

    UNSAID = ""
    TAXABLE = "taxable"
    EXEMPT = "exempt"
    REVERSE_CHARGE = "reverse_charge"


class Role(StrEnum):
    """What a member may do in one tenant."""

    OWNER = "owner"
    BILLING = "billing"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class StaffRole(StrEnum):
    """What one of the operator's own people may do in the console."""

    FINANCE = "finance"
    SALES = "sales"
    OPERATIONS = "operations"
    ADMIN = "admin"
    AUDITOR = "auditor"


class KeyScope(StrEnum):
    """What an API key may do: send usage, read, or both and write."""

    INGEST = "ingest"
    READ = "read"
    FULL = "full"
