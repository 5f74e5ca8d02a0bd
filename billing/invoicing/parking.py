"""Tenants that billing leaves aside, so that the others go on."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """A tenant whose data contradict: it is left out, with the reason, and the others go on."""

    tenant: str
    code: str
    detail: str
