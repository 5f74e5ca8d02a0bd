"""Which tenants one worker bills: those of a range, or those that are named. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRange:
    """The tenants whose ids are from `first` on and before `end`; without `end`, all from there."""

    first: UUID
    end: UUID | None = None

    @classmethod
    def of_one(cls, tenant_id: UUID) -> "TenantRange":
        """That tenant alone."""
        return cls(first=tenant_id, end=UUID(int=tenant_id.int + 1))

    @property
    def lookup(self) -> dict[str, Any]:
        """The range as a condition on a model's `tenant`."""
        if self.end is None:
            return {"tenant_id__gte": self.first}
        return {"tenant_id__gte": self.first, "tenant_id__lt": self.end}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTenants:
    """These tenants and no other."""

    ids: Sequence[UUID]

    @property
    def first(self) -> UUID:
        return self.ids[0]

    @property
    def lookup(self) -> dict[str, Any]:
        """The same as a condition on a model's `tenant`."""
        return {"tenant_id__in": list(self.ids)}


Tenants: TypeAlias = TenantRange | NamedTenants

ALL_TENANTS: Final = TenantRange(first=UUID(int=0))
