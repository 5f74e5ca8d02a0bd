"""A line's working in one short sentence, in the document's language.

The whole working is in the line's explanation, which console and portal open up; paper has room for
its gist. Explanations are frozen with their invoice, so what an older one lacks is left out.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from billing.invoicing.documents.formats import date_text, quantity_text
from billing.invoicing.documents.words import words_of

_MOST_PARTS: Final = 4


def working_text(*, kind: str, explanation: Mapping[str, Any], language: str) -> str:
    """Such as: highest day 15,000 on Mar 5, 2026; 10,000 included; 5,000 charged: 1 × 1,000."""
    words = words_of(language)
    if "adjusts" in explanation:
        parts = _adjusted(explanation["adjusts"], language)
    elif "by_hand" in explanation:
        parts = _committed(explanation["by_hand"].get("commitment"), language)
    elif kind == "cap" or "aggregation" not in explanation:
        parts = [_bound(kind, explanation, language), _share(explanation, language)]
    elif kind == "true_up":
        parts = [_bound(kind, explanation, language)]
    else:
        parts = [
            _aggregated(explanation["aggregation"], language),
            _figure("included", explanation.get("included"), language),
            _charged(explanation, language),
            _share(explanation, language),
        ]
        if "maximum" in explanation:
            maximum = _number(explanation["maximum"], language)
            parts.append(words["maximum"].format(maximum=maximum))
    sentence = words["semicolon"].join(part for part in parts if part)
    return sentence[:1].upper() + sentence[1:]


def _adjusted(adjusts: Mapping[str, Any], language: str) -> list[str]:
    """Such as: late usage; 3,000 due instead of 1,000 on INV-2026-000002; changed on Mar 5, 2026."""
    words = words_of(language)
    figures = {name: _number(adjusts.get(name), language) for name in ("rated", "billed")}
    told = "late_instead" if adjusts.get("invoice") else "late_unbilled"
    parts = [words["late"], words[told].format(invoice=adjusts.get("invoice"), **figures)]
    before, now = (_number(adjusts.get(f"quantity_{when}"), language) for when in ("before", "now"))
    if before != now:
        parts.append(words["late_quantity"].format(before=before, now=now))
    days = [
        date_text(date.fromisoformat(day), language=language)
        for day in sorted(adjusts.get("days") or {})
    ]
    if days:
        shown = words["comma"].join(days[:_MOST_PARTS])
        if len(days) > _MOST_PARTS:
            shown += " " + words["more_days"].format(count=len(days) - _MOST_PARTS)
        parts.append(words["late_days"].format(days=shown))
    if "credited" in adjusts:
        credited = _number(adjusts["credited"], language)
        parts.append(words["late_credited"].format(credited=credited))
    return parts


def _committed(commitment: Mapping[str, Any] | None, language: str) -> list[str]:
    """Such as: 10,000 committed; 7,200 billed on INV-2026-000001 and INV-2026-000002."""
    if not commitment:
        return []
    words = words_of(language)
    numbers = [str(each["number"]) for each in commitment["documents"]]
    shown = words["comma"].join(numbers[:_MOST_PARTS])
    if len(numbers) > _MOST_PARTS:
        shown += " " + words["more_documents"].format(count=len(numbers) - _MOST_PARTS)
    billed = words["billed_on" if numbers else "billed_nowhere"].format(
        amount=_number(commitment["billed"], language), documents=shown
    )
    return [words["committed"].format(amount=_number(commitment["committed"], language)), billed]


def _bound(kind: str, explanation: Mapping[str, Any], language: str) -> str:
    words = words_of(language)
    if kind == "cap":
        return words["plan_maximum"].format(maximum=_number(explanation.get("maximum"), language))
    if kind == "true_up":
        name = "true_up" if "price" in explanation else "plan_minimum"
        return words[name].format(minimum=_number(explanation.get("minimum"), language))
    return ""


def _share(explanation: Mapping[str, Any], language: str) -> str:
    share = str(explanation.get("proration", "1"))
    part, _, whole = share.partition("/")
    if not explanation.get("prorated") or part == (whole or "1"):
        return ""
    return words_of(language)["share"].format(share=share)


def _aggregated(aggregation: Mapping[str, Any], language: str) -> str:
    words = words_of(language)
    phrase = words.get(str(aggregation.get("name")))
    if phrase is None:
        return ""
    text = phrase.format(
        value=_number(aggregation.get("value"), language), k=aggregation.get("k", "1")
    )
    decided: Sequence[str] = aggregation.get("decided_by", ())
    if len(decided) == 1:
        day = date_text(date.fromisoformat(decided[0]), language=language)
        text += words["on"].format(day=day)
    return text


def _figure(name: str, value: Any, language: str) -> str:
    return words_of(language)[name].format(quantity=_number(value, language)) if value else ""


def _charged(explanation: Mapping[str, Any], language: str) -> str:
    words = words_of(language)
    steps = [_step(line, language) for line in explanation.get("lines", ())]
    steps = [step for step in steps if step]
    text = _figure("charged", explanation.get("quantity"), language)
    if not steps:
        return text
    shown = " + ".join(steps[:_MOST_PARTS])
    if len(steps) > _MOST_PARTS:
        shown += " " + words["more"].format(count=len(steps) - _MOST_PARTS)
    return f"{text}{words['colon']}{shown}" if text else shown


def _step(line: Mapping[str, Any], language: str) -> str:
    price, fee = str(line.get("unit_price", "0")), str(line.get("flat_fee", "0"))
    quantity = str(line.get("quantity", "0"))
    told = []
    # A free tier is told too, so that the quantities add up.
    if quantity != "0" and (price != "0" or fee == "0"):
        told.append(f"{_number(quantity, language)} × {_number(price, language)}")
    if fee != "0":
        told.append(_number(fee, language))
    return " + ".join(told)


def _number(value: Any, language: str) -> str:
    try:
        return quantity_text(Decimal(str(value)), language=language)
    except InvalidOperation:
        return str(value)
