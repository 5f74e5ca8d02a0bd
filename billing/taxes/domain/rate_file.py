"""Reading a file of tax rates, with every fault listed. Pure.

A file is a list of rates, or an object with a list under "rates". `jurisdiction` may be a list of
countries, for what several want alike.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import combinations

from billing.catalog.domain.faults import Fault, PlanFaults
from billing.catalog.domain.fields import Faults, Fields
from billing.taxes.domain.rules import Rate, Supply, TaxCode

_HIGHEST = Decimal(100)
_COUNTRY = re.compile(r"[A-Z]{2}")


class TaxFaults(PlanFaults):
    """The file is refused as a whole; code `invalid_taxes`."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(faults, code="invalid_taxes")


def parse_rates(document: object) -> tuple[Rate, ...]:
    """The rates of a file, one for each jurisdiction. Raises TaxFaults with every fault."""
    faults = Faults()
    listed = document.get("rates") if isinstance(document, Mapping) else document
    fields = Fields({"rates": listed}, path="", faults=faults)
    read: list[tuple[str, Rate]] = []
    for each in fields.items("rates"):
        read.extend((each.path, rate) for rate in _read(each))
    for (_, earlier), (path, later) in combinations(read, 2):
        if earlier.overlaps(later):
            faults.add(
                f"{path}.valid_from",
                "rates_overlap",
                f"overlaps another rate of {later.jurisdiction} {later.category} "
                f"{later.supply}; let one end where the other begins.",
            )
    if faults.found:
        raise TaxFaults(faults.found)
    return tuple(rate for _, rate in read)


def _read(fields: Fields) -> list[Rate]:
    jurisdictions = _read_jurisdictions(fields)
    category = fields.key("category")
    supply = fields.choice("supply", Supply, default=Supply.DOMESTIC)
    code = fields.choice("code", TaxCode, default=TaxCode.STANDARD)
    percent = fields.figure("percent", default=None if code is TaxCode.STANDARD else Decimal(0))
    if percent > _HIGHEST:
        fields.fault("percent", "out_of_range", "is above 100; write a rate from 0 to 100.")
    if code is TaxCode.STANDARD and percent == 0 and fields.has("percent"):
        fields.fault("percent", "not_positive", "is zero; write more, or another code.")
    if code is not TaxCode.STANDARD and percent:
        fields.fault("percent", "not_zero", f"is not zero, but {code} charges nothing; remove it.")
    valid_from = fields.day("valid_from")
    if valid_from is None and not fields.has("valid_from"):
        fields.missing("valid_from")
    valid_to = fields.day("valid_to")
    if valid_from is not None and valid_to is not None and valid_to <= valid_from:
        fields.fault("valid_to", "end_before_start", "is not after valid_from; correct it.")
    text = _read_text(fields)
    if code is TaxCode.REVERSE_CHARGE and not text:
        fields.fault(
            "text",
            "needs_text",
            "is missing; a reverse charge must say so on the invoice: give it.",
        )
    fields.refuse_unknown()
    if valid_from is None:
        return []
    return [
        Rate(
            jurisdiction=jurisdiction,
            category=category,
            supply=supply,
            code=code,
            percent=percent,
            valid_from=valid_from,
            valid_to=valid_to,
            text=text,
        )
        for jurisdiction in jurisdictions
    ]


def _read_jurisdictions(fields: Fields) -> list[str]:
    if not fields.has("jurisdiction"):
        fields.missing("jurisdiction")
        return []
    value = fields.raw("jurisdiction")
    if not isinstance(value, list | tuple):
        entries: list[tuple[str, object]] = [("jurisdiction", value)]
    else:
        entries = [
            (path.removeprefix(f"{fields.path}."), each)
            for path, each in fields.entries("jurisdiction")
        ]
    found = []
    for name, each in entries:
        if isinstance(each, str) and _COUNTRY.fullmatch(each):
            found.append(each)
        else:
            fields.fault(
                name, "not_a_country", "is not a country's code of two letters, such as CN."
            )
    return found


def _read_text(fields: Fields) -> dict[str, str]:
    """{"en": "…", "zh-hans": "…"}, or one text, which counts as English."""
    if not fields.has("text"):
        return {}
    if isinstance(fields.raw("text"), str):
        return {"en": fields.text("text")}
    by_language = fields.nested("text")
    texts = {language: by_language.text(language) for language in by_language.names()}
    by_language.refuse_unknown()
    return texts
