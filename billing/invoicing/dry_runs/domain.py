"""What a dry run expects of a tenant, and why it differs from the period before. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID


class Reason(StrEnum):
    """Why a tenant is expected to be billed another amount than before; the first that fits."""

    NEW = "new"
    """Nothing was billed to it before."""
    GONE = "gone"
    """Its subscriptions ended, nothing is to be billed any more."""
    ENDED = "ended"
    """A subscription ends with this document."""
    PLAN_CHANGED = "plan_changed"
    """Its lines stand under other plan versions than before."""
    USAGE = "usage"
    """What it used comes to another amount."""
    OTHER = "other"
    """Fees, held quantities, discounts, tax, late usage or charges."""
    UNCHANGED = "unchanged"


@dataclass(slots=True, kw_only=True)
class Side:
    """Documents of a tenant in one currency: how many, their total and their usage in minor units, and the
    plan versions of their lines."""

    documents: int = 0
    total_minor: int = 0
    usage_minor: int = 0
    versions: set[UUID] = field(default_factory=set)

    def add(self, *, total_minor: int, usage_minor: int = 0, versions: set[UUID]) -> None:
        self.documents += 1
        self.total_minor += total_minor
        self.usage_minor += usage_minor
        self.versions |= versions


@dataclass(slots=True, kw_only=True)
class Expected:
    """What is to be billed to a tenant in one currency, and what was before."""

    now: Side = field(default_factory=Side)
    before: Side = field(default_factory=Side)
    ends: bool = False

    @property
    def reason(self) -> Reason:
        now, before = self.now, self.before
        if not before.documents:
            return Reason.NEW
        if not now.documents:
            return Reason.GONE
        if self.ends:
            return Reason.ENDED
        if now.total_minor == before.total_minor:
            return Reason.UNCHANGED
        if now.versions != before.versions:
            return Reason.PLAN_CHANGED
        return Reason.USAGE if now.usage_minor != before.usage_minor else Reason.OTHER
