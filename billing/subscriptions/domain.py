"""Boundaries of a subscription's periods, from dates alone. Pure."""

from enum import StrEnum


class Anchor(StrEnum):
    """Where periods are cut: at the first of the calendar's period, or at the start's anniversary."""

    CALENDAR = "calendar"
    ANNIVERSARY = "anniversary"


class SubscriptionStatus(StrEnum):
    ACTIVE = "active"
    ENDED = "ended"
