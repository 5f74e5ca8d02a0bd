"""What is checked of a day, and the text that the deployment signs about it. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final

MOST_FINDINGS: Final = 20
"""How many differences of a check a certificate names; it counts all of them."""

_HEAD: Final = "Summit daily certificate, version 1"


class CheckName(StrEnum):
    """The links of the chain from what was counted to what was posted, in its order."""

    REPORTS = "reports"
    EVENTS = "events"
    CLOSED_DAYS = "closed_days"
    INVOICE_QUANTITIES = "invoice_quantities"
    INVOICE_LINES = "invoice_lines"
    LEDGER = "ledger"


class CertificateState(StrEnum):
    """Whether all links hold."""

    AGREED = "agreed"
    DRIFTED = "drifted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One difference: a stable code, and what tells where it is, texts and whole numbers only."""

    code: str
    where: Mapping[str, str | int]

    def document(self) -> dict[str, Any]:
        return {"code": self.code, **self.where}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One link: how many things were compared and what differs.

    `differences` counts all, `findings` names the first of them. `noted` counts what can't be compared
    and is no fault: values that were recorded outright, usage that came late and is settled later.
    """

    name: CheckName
    compared: int
    findings: Sequence[Finding]
    differences: int
    noted: int = 0

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name.value,
            "compared": self.compared,
            "differences": self.differences,
            "noted": self.noted,
            "findings": [each.document() for each in self.findings],
        }


def checked(
    name: CheckName, *, compared: int, findings: Sequence[Finding], noted: int = 0
) -> Check:
    """A check of which only the first findings are kept."""
    return Check(
        name=name,
        compared=compared,
        findings=tuple(findings[:MOST_FINDINGS]),
        differences=len(findings),
        noted=noted,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterFigures:
    """A meter's day over all tenants: how many values there are, and their sum as a plain text."""

    meter: str
    values: int
    total: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyFigures:
    """The documents issued on the day in one currency, in minor units: what they come to, credit notes
    taken off, and what was posted for them."""

    currency: str
    documents: int
    total_minor: int
    posted_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """What was found of a day. `is_closed`: it is over everywhere and its usage is closed, so that the
    next look finds the same or a correction."""

    day: date
    is_closed: bool
    checks: Sequence[Check]
    meters: Sequence[MeterFigures]
    currencies: Sequence[CurrencyFigures]

    @property
    def agrees(self) -> bool:
        return all(check.differences == 0 for check in self.checks)

    @property
    def state(self) -> CertificateState:
        return CertificateState.AGREED if self.agrees else CertificateState.DRIFTED

    @property
    def first_finding(self) -> Finding | None:
        return next((finding for check in self.checks for finding in check.findings), None)

    def document(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "day": self.day.isoformat(),
            "state": self.state.value,
            "checks": [check.document() for check in self.checks],
            "usage": [
                {"meter": each.meter, "values": each.values, "total": each.total}
                for each in self.meters
            ],
            "documents": [
                {
                    "currency": each.currency,
                    "documents": each.documents,
                    "total_minor": each.total_minor,
                    "posted_minor": each.posted_minor,
                }
                for each in self.currencies
            ],
        }


def certificate_text(*, document: Mapping[str, Any], version: int, made_at: datetime) -> str:
    """The text that is signed, byte by byte: a line that says what it is, then one line of JSON."""
    told = {**document, "version": version, "made_at": made_at.astimezone(UTC).isoformat()}
    return f"{_HEAD}\n{json.dumps(told, sort_keys=True, separators=(',', ':'))}\n"


def is_over_everywhere(*, day: date, now: datetime) -> bool:
    """Whether the date has ended in every time zone: the last one is twelve hours behind UTC."""
    ends_at = datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)
    return now >= ends_at + timedelta(hours=12)
