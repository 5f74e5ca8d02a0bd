"""Shapes of requests and answers for the OpenAPI document; events are not read by serializers."""

from typing import Any, Final

from kernel.dimensions import DIMENSIONS
from metering.ingest.domain import limits
from metering.meters.domain import event_types

EVENT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
    "properties": {
        "specversion": {"type": "string", "enum": ["1.0"]},
        "id": {
            "type": "string",
            "maxLength": limits.LONGEST_ID,
            "description": "Unique within its source; the same source and id is the same event.",
        },
        "source": {"type": "string", "maxLength": limits.LONGEST_SOURCE},
        "type": {
            "type": "string",
            "maxLength": limits.LONGEST_TYPE,
            "description": "One that a meter names: "
            f"{', '.join(sorted(event_types().known))}, or one of the operator's meters.",
        },
        "subject": {
            "type": "string",
            "maxLength": limits.LONGEST_SUBJECT,
            "description": "The app's key.",
        },
        "time": {"type": "string", "format": "date-time"},
        "data": {
            "type": "object",
            "properties": {
                "user": {
                    "type": "string",
                    "maxLength": limits.LONGEST_USER,
                    "description": "The end user's id; kept only as a keyed hash. Needed for "
                    f"{', '.join(sorted(event_types().need_user))}.",
                },
                "device": {
                    "type": "string",
                    "maxLength": limits.LONGEST_USER,
                    "description": "The device's id; kept only as a keyed hash.",
                },
                **{
                    name: {"type": "string", "maxLength": limits.LONGEST_KIND}
                    for name in DIMENSIONS
                },
                "count": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": limits.MOST_COUNT,
                    "default": 1,
                },
                "value": {
                    "type": "string",
                    "description": "What a gauge read, a decimal number from 0. Needed for "
                    f"{', '.join(sorted(event_types().need_value))}.",
                },
            },
        },
    },
}

EVENTS: Final[dict[str, Any]] = {
    "type": "array",
    "items": EVENT,
    "maxItems": limits.MOST_EVENTS,
}

INGEST_RESULT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["accepted", "duplicates", "rejected"],
    "properties": {
        "accepted": {"type": "integer"},
        "duplicates": {"type": "integer"},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "id", "code", "detail"],
                "properties": {
                    "index": {"type": "integer", "description": "Place among the events, from 0."},
                    "id": {"type": "string", "nullable": True},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}

USAGE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["meter", "timezone", "granularity", "data", "next"],
    "properties": {
        "app": {"type": "string", "description": "Only when one was asked for."},
        "meter": {"type": "string", "example": "dau"},
        "timezone": {"type": "string"},
        "granularity": {"type": "string", "enum": ["hour", "day", "month"]},
        "data": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["app", "value", "state"],
                "properties": {
                    "app": {"type": "string"},
                    "day": {"type": "string", "format": "date"},
                    "month": {"type": "string", "example": "2026-03"},
                    "starts_at": {"type": "string", "format": "date-time"},
                    **{
                        name: {"type": "string", "description": "Only when asked for with by."}
                        for name in DIMENSIONS
                    },
                    "value": {"type": "string", "description": "A decimal number."},
                    "state": {"type": "string", "enum": ["open", "closed"]},
                },
            },
        },
        "next": {"type": "string", "nullable": True},
    },
}

_MISSING: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "epoch": {"type": "string"},
        "from": {"type": "integer"},
        "to": {"type": "integer"},
    },
}

REPORT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["gateway", "sequence", "window", "apps"],
    "additionalProperties": False,
    "properties": {
        "gateway": {"type": "string", "maxLength": 63},
        "sequence": {
            "type": "integer",
            "minimum": 1,
            "description": "1 for the first report of an epoch, then one more each.",
        },
        "epoch": {
            "type": "string",
            "maxLength": 64,
            "description": "A new name whenever the gateway begins to count with 1 again.",
        },
        "window": {
            "type": "object",
            "required": ["starts_at", "ends_at"],
            "properties": {
                "starts_at": {"type": "string", "format": "date-time"},
                "ends_at": {"type": "string", "format": "date-time"},
            },
        },
        "apps": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["app"],
                "properties": {
                    "app": {"type": "string", "maxLength": limits.LONGEST_SUBJECT},
                    "counts": {
                        "type": "object",
                        "additionalProperties": {"type": "string", "pattern": "^[0-9]{1,15}$"},
                        "description": "message.KIND, message.KIND.up or .down, login, api, api.KIND.",
                    },
                    "active_users": {
                        "type": "array",
                        "items": {"type": "string", "maxLength": limits.LONGEST_USER},
                    },
                },
            },
        },
    },
}

REPORT_RESULT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "gateway": {"type": "string"},
        "sequence": {"type": "integer"},
        "status": {"type": "string", "enum": ["accepted", "duplicate"]},
        "apps": {"type": "integer", "description": "How many apps were counted."},
        "active_users": {"type": "integer"},
        "rejected": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "app": {"type": "string"},
                    "code": {"type": "string"},
                    "detail": {"type": "string"},
                },
            },
        },
        "gaps": {
            "type": "array",
            "items": _MISSING,
            "description": "Sequences of this gateway that were not received yet.",
        },
    },
}
