"""What is counted. Pure: `meter` is what a meter is, `builtin` those that come with Summit, `counting`
what a meter makes of each sort of event.
"""

from metering.meters.domain.builtin import (
    ACTIVE_USERS,
    API_CALLED,
    DAU,
    MESSAGE_SENT,
    MESSAGES,
    METERS,
    USER_ACTIVE,
    USER_LOGIN,
    EventTypes,
    event_types,
    meter_named,
    refuse_unknown_dimensions,
)
from metering.meters.domain.counting import Rule, Sort, counting_rules
from metering.meters.domain.meter import Aggregation, Identity, Meter, MeterVersion, Quantity, Zone

__all__ = [
    "ACTIVE_USERS",
    "API_CALLED",
    "DAU",
    "MESSAGES",
    "MESSAGE_SENT",
    "METERS",
    "USER_ACTIVE",
    "USER_LOGIN",
    "Aggregation",
    "EventTypes",
    "Identity",
    "Meter",
    "MeterVersion",
    "Quantity",
    "Rule",
    "Sort",
    "Zone",
    "counting_rules",
    "event_types",
    "meter_named",
    "refuse_unknown_dimensions",
]
