"""Ranges of tenants: what one transaction, or one worker, bills. Pure."""

from dataclasses import dataclass
from typing import Final
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
    def lookup(self) -> dict[str, UUID]:
        """The range as a condition on a model's `tenant`."""
        if self.end is None:
            return {"tenant_id__gte": self.first}
        return {"tenant_id__gte": self.first, "tenant_id__lt": self.end}


ALL_TENANTS: Final = TenantRange(first=UUID(int=0))
