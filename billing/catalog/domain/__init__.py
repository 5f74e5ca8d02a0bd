"""Plan documents: read into terms, with every fault listed, and recognised when they come again.

Pure. Start reading at `plan.py`.
"""

from billing.catalog.domain.faults import Fault, PlanFaults
from billing.catalog.domain.overrides import PriceOverride, overridden, override_on
from billing.catalog.domain.plan import content_hash, parse_plan
from billing.catalog.domain.price import KnownMeters, parse_plan_price, parse_price

__all__ = [
    "Fault",
    "KnownMeters",
    "PlanFaults",
    "PriceOverride",
    "content_hash",
    "overridden",
    "override_on",
    "parse_plan",
    "parse_plan_price",
    "parse_price",
]
