"""Tenants that billing leaves aside, so that the others go on."""

from dataclasses import dataclass
from typing import Self

from kernel.errors import DomainError


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A tenant whose data contradict: it is left out, with the reason, and the others go on."""

    tenant: str
    code: str
    detail: str

    @classmethod
    def by(cls, fault: DomainError, *, tenant: str) -> Self:
        """Left aside for that fault."""
        return cls(tenant=tenant, code=fault.code, detail=fault.message)
