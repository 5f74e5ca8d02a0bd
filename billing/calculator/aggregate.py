"""`aggregate`: usage events become one value, the values of days, and of windows."""

from collections.abc import Mapping
from decimal import Decimal

from billing.calculator.reading import Case
from billing.rating.aggregations import EventPeriodAggregation, PeriodAggregation
from billing.rating.events import (
    READS_VALUE,
    EventAggregation,
    Filter,
    Granularity,
    UsageEvent,
    aggregate_events,
    aggregate_period,
    counted_events,
    values_of_days,
    values_of_windows,
)
from kernel.decimals import plain_text

_HIGHEST_K = 366
_AnyPeriodAggregation = PeriodAggregation | EventPeriodAggregation


def aggregate(case: Case) -> dict[str, object]:
    """The value of the events in the window; of its days, with `period_aggregation`.

    Values that no event contributes to are 0; days and windows without events are left out.
    """
    aggregation = case.choice(
        "aggregation", EventAggregation, default=None, code="unknown_aggregation"
    )
    zone = case.zone()
    window = case.window("window")
    period_aggregation = _read_period_aggregation(case)
    k = _read_k(case, period_aggregation)
    granularity = (
        case.choice("granularity", Granularity, default=None, code="unknown_granularity")
        if case.has("granularity")
        else None
    )
    passing = _read_filter(case)
    counts_subjects = (
        aggregation is EventAggregation.UNIQUE_COUNT
        or period_aggregation is EventPeriodAggregation.DISTINCT
    )
    events = _read_events(case, aggregation, counts_subjects=counts_subjects)
    case.finish()

    counted = counted_events(events, window=window, passing=passing)
    if period_aggregation is None:
        value = aggregate_events(aggregation, counted)
    else:
        value = aggregate_period(
            period_aggregation, aggregation, counted, window=window, zone=zone, k=k
        )
    days = values_of_days(aggregation, counted, zone=zone)
    answer: dict[str, object] = {
        "value": plain_text(value),
        "days": [{"day": day.isoformat(), "value": plain_text(each)} for day, each in days.items()],
    }
    if granularity is not None:
        windows = values_of_windows(aggregation, counted, granularity=granularity, zone=zone)
        answer["windows"] = [
            {"starts_at": starts_at.isoformat(), "value": plain_text(each)}
            for starts_at, each in windows.items()
        ]
    return answer


def _read_period_aggregation(case: Case) -> _AnyPeriodAggregation | None:
    if not case.has("period_aggregation"):
        return None
    name = case.raw("period_aggregation")
    known: dict[str, _AnyPeriodAggregation] = {
        each.value: each for each in (*PeriodAggregation, *EventPeriodAggregation)
    }
    if isinstance(name, str) and name in known:
        return known[name]
    case.fault(
        "period_aggregation",
        "unknown_aggregation",
        f"is none of {', '.join(known)}; write one of them.",
    )
    return None


def _read_k(case: Case, period_aggregation: _AnyPeriodAggregation | None) -> int:
    if period_aggregation is PeriodAggregation.KTH_MAX_DAY:
        return case.whole_number("k", default=None, lowest=1, highest=_HIGHEST_K)
    case.refuse("k", "needs_kth_max_day", "belongs to kth_max_day; remove it.")
    return 1


def _read_filter(case: Case) -> Filter:
    """{"region": "eu"} or {"region": ["eu", "us"]}: the values of each property that pass."""
    if not case.has("filter"):
        return {}
    fields = case.nested("filter")
    passing: dict[str, frozenset[str]] = {}
    for name in fields.names():
        wanted = fields.raw(name)
        values = [
            _property_text(each) for each in (wanted if isinstance(wanted, list) else [wanted])
        ]
        texts = frozenset(value for value in values if value is not None)
        if not texts or len(texts) < len(set(values)):
            fields.fault(
                name, "not_a_filter", "is neither a text, number or flag nor a list of such."
            )
        passing[name] = texts
    fields.refuse_unknown()
    return passing


def _read_events(
    case: Case, aggregation: EventAggregation, *, counts_subjects: bool
) -> list[UsageEvent]:
    if case.raw("events") is None:
        case.missing("events")
    subject = _subject_field(case.raw("events")) if counts_subjects else None
    return [
        _read_event(element.nested(name), aggregation, subject=subject)
        for element, name in case.elements("events")
    ]


def _subject_field(events: object) -> str:
    """`user`; `value` where the events name no users but values, such as seats or devices."""
    listed = events if isinstance(events, list) else []
    objects = [event for event in listed if isinstance(event, Mapping)]
    if any(event.get("user") is not None for event in objects):
        return "user"
    return "value" if any(event.get("value") is not None for event in objects) else "user"


def _read_event(fields: Case, aggregation: EventAggregation, *, subject: str | None) -> UsageEvent:
    needs_value = aggregation in READS_VALUE
    fields.raw("value")
    fields.raw("user")
    event = UsageEvent(
        id=fields.name_text("id"),
        at=fields.instant("time"),
        value=fields.decimal("value") if needs_value else Decimal(0),
        subject=fields.name_text(subject) if subject else None,
        properties=_read_properties(fields),
    )
    fields.refuse_unknown()
    return event


def _read_properties(fields: Case) -> Mapping[str, str]:
    if not fields.has("properties"):
        return {}
    properties = fields.raw("properties")
    if not isinstance(properties, Mapping):
        fields.fault("properties", "not_an_object", "is not an object; write { … }.")
        return {}
    texts = {name: _property_text(value) for name, value in properties.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _property_text(value: object) -> str | None:
    """A property as a filter compares it: 5 and "5" are the same, true and "true" too."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | Decimal() if Decimal(value).is_finite():
            return plain_text(value)
        case _:
            return None
