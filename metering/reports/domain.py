"""What a gateway's report says, whether it is signed by the gateway, and where its sequence has gaps. Pure.

Signatures are those of Standard Webhooks 1.0.0: HMAC-SHA-256 over id, timestamp and body.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kernel.dimensions import canonical_dimensions
from kernel.errors import Invalid
from metering.ingest.domain import limits
from metering.meters.domain import API_CALLED, MESSAGE_SENT, USER_LOGIN

TOLERANCE: Final = timedelta(minutes=5)
LONGEST_WINDOW: Final = timedelta(hours=24)
MOST_APPS: Final = 10_000
MOST_ACTIVE_USERS: Final = 100_000
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # a prefix that tells what it is
_COUNT: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:-]{0,63}", re.ASCII)
_GATEWAY_KEY: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_DIRECTIONS: Final = frozenset({"up", "down"})

_Key = Annotated[str, Meta(min_length=1, max_length=limits.LONGEST_SUBJECT)]
_User = Annotated[str, Meta(min_length=1, max_length=limits.LONGEST_USER)]
_CountName = Annotated[str, Meta(min_length=1, max_length=140)]


class Window(msgspec.Struct, forbid_unknown_fields=True):
    starts_at: datetime
    ends_at: datetime


class AppUsage(msgspec.Struct, forbid_unknown_fields=True):
    """What one app used; `counts` are whole numbers, mostly in texts."""

    app: _Key
    counts: dict[_CountName, str | int] = {}
    active_users: list[_User] = []


class Report(msgspec.Struct, forbid_unknown_fields=True):
    """A gateway's counts and active users of one window.

    `sequence` begins at 1 and grows by 1 from report to report; a gateway that lost count begins a
    new `epoch` of any name, and with 1 again. The window is in UTC, however it was written.
    """

    gateway: Annotated[str, Meta(min_length=1, max_length=63)]
    sequence: Annotated[int, Meta(ge=1, le=(1 << 62))]
    window: Window
    apps: Annotated[list[AppUsage], Meta(max_length=MOST_APPS)]
    epoch: Annotated[str, Meta(max_length=64)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A count by the sort of events that it stands for."""

    name: str
    type: str
    dimensions: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Sequences from `first` to `last` that were not received. What they hold lies after `held_from`."""

    first: int
    last: int
    held_from: datetime


_decode = msgspec.json.Decoder(Report).decode


def read_report(body: bytes) -> Report:
    """The report that a body holds. Raises Invalid `malformed_json`, `bad_report`, `bad_window`,
    `too_many_marks`."""
    try:
        report = _decode(body)
    except msgspec.ValidationError as error:
        raise Invalid("bad_report", f"The report is not right: {str(error)[:300]}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error)[:200] if isinstance(error, msgspec.DecodeError) else "not UTF-8"
        raise Invalid("malformed_json", f"The body is not JSON: {reason}.") from None
    report.window = _in_utc(report.window)
    if sum(len(usage.active_users) for usage in report.apps) > MOST_ACTIVE_USERS:
        raise Invalid(
            "too_many_marks",
            f"The report names over {MOST_ACTIVE_USERS:,} active users; report shorter windows.",
            field="apps",
        )
    texts = [report.gateway, report.epoch, *(usage.app for usage in report.apps)]
    for usage in report.apps:
        texts += [*usage.active_users, *usage.counts]
    if not "".join(texts).replace("\u00a0", " ").isprintable() and any(map(_is_odd, texts)):
        raise Invalid("bad_report", "The report holds a control character in a text; remove it.")
    return report


def _in_utc(window: Window) -> Window:
    """The window in UTC, which whatever comes after can reckon with. Raises Invalid `bad_window`."""
    told = (window.starts_at, window.ends_at)
    if any(each.tzinfo is None for each in told):
        raise Invalid(
            "bad_window",
            "window.starts_at and ends_at must be instants with an offset.",
            field="window",
        )
    if not all(limits.FIRST_INSTANT <= each < limits.LAST_INSTANT for each in told):
        raise Invalid("bad_window", "window lies outside of 1970 to 2199.", field="window")
    starts_at, ends_at = (each.astimezone(UTC) for each in told)
    if not starts_at < ends_at <= starts_at + LONGEST_WINDOW:
        raise Invalid(
            "bad_window",
            "window.ends_at must come after starts_at, by 24 hours at most.",
            field="window",
        )
    return Window(starts_at=starts_at, ends_at=ends_at)


def _is_odd(text: str) -> bool:
    return any(ord(each) < 0x20 or 0x7F <= ord(each) < 0xA0 for each in text)


def counts_of(usage: AppUsage, *, deployment: str) -> list[Count]:
    """The counts of an app by their sorts; zeros are left out.

    Names are ``message.KIND`` and ``message.KIND.up`` or ``.down``, ``login`` and ``api`` or
    ``api.KIND``. Raises Invalid `unknown_count`, `bad_count`.
    """
    counts = []
    for name, told in usage.counts.items():
        text = str(told)
        if isinstance(told, bool) or not _COUNT.fullmatch(text):
            raise Invalid(
                "bad_count", f"counts.{name} must be a whole number from 0 up.", field="counts"
            )
        event_type, dimensions = _sort_of(name)
        if int(text):
            counts.append(
                Count(
                    name=name,
                    type=event_type,
                    dimensions=canonical_dimensions({**dimensions, "deployment": deployment}),
                    value=int(text),
                )
            )
    return counts


def _sort_of(name: str) -> tuple[str, dict[str, str]]:
    head, *parts = name.split(".")
    if all(_TOKEN.fullmatch(part) for part in parts):
        match head, parts:
            case "message", [kind]:
                return MESSAGE_SENT, {"kind": kind}
            case "message", [kind, direction] if direction in _DIRECTIONS:
                return MESSAGE_SENT, {"kind": kind, "direction": direction}
            case "login", []:
                return USER_LOGIN, {}
            case "api", []:
                return API_CALLED, {}
            case "api", [kind]:
                return API_CALLED, {"kind": kind}
    raise Invalid(
        "unknown_count",
        f"counts.{name} is not known; known are message.KIND, message.KIND.up, message.KIND.down, "
        "login, api and api.KIND.",
        field="counts",
    )


def content_of(report: Report) -> bytes:
    """What makes two reports of one sequence the same, whatever the order of keys: to be hashed."""
    return msgspec.json.encode(
        [
            report.window.starts_at.astimezone(UTC),
            report.window.ends_at.astimezone(UTC),
            [
                [usage.app, {name: str(told) for name, told in usage.counts.items()}, usage.active_users]
                for usage in report.apps
            ],
        ],
        order="sorted",
    )  # fmt: skip


def gaps_after(
    *,
    highest: int,
    gaps: Sequence[Gap],
    sequence: int,
    window: Window,
    last_ends_at: datetime | None,
) -> tuple[int, list[Gap], list[Gap]]:
    """What a new report does to its epoch's gaps: (highest sequence, gaps to remove, gaps to add).

    `last_ends_at` is the end of the window of the report with the highest sequence; None when there
    is none.
    """  # fmt: skip
    if sequence > highest:
        missing = [
            Gap(
                first=highest + 1,
                last=sequence - 1,
                held_from=min(window.starts_at, last_ends_at or window.starts_at),
            )
        ]
        return sequence, [], missing if sequence > highest + 1 else []
    within = [gap for gap in gaps if gap.first <= sequence <= gap.last]
    left = []
    for gap in within:
        if gap.first < sequence:
            left.append(Gap(first=gap.first, last=sequence - 1, held_from=gap.held_from))
        if sequence < gap.last:
            later = max(gap.held_from, window.ends_at)
            left.append(Gap(first=sequence + 1, last=gap.last, held_from=later))
    return highest, within, left


def check_gateway_key(key: str) -> str:
    """The key, if it may name a gateway. Raises Invalid `bad_gateway_key`."""
    if not _GATEWAY_KEY.fullmatch(key):
        raise Invalid(
            "bad_gateway_key",
            "A gateway's key has 1 to 63 small letters, digits, '.', '_' or '-', and begins with a "
            "letter or digit.",
            field="key",
        )
    return key


def check_deployment(name: str) -> str:
    """The name, if it may name a deployment. Raises Invalid `bad_deployment`."""
    if name and not _TOKEN.fullmatch(name):
        raise Invalid(
            "bad_deployment",
            "A deployment's name has at most 64 letters, digits, '_', ':' or '-'.",
            field="deployment",
        )
    return name


def new_secret() -> str:
    """A new secret, as the gateway keeps it."""
    return _SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def signature(*, secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """The header ``webhook-signature`` of a message."""
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()


def is_signed(
    *, secret: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> bool:  # fmt: skip
    """Whether the message was signed with the secret, at most five minutes ago.

    The header may carry several signatures, as while a secret is replaced.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message_id or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 11:
        return False
    sent_at = datetime.fromtimestamp(int(timestamp), UTC)
    try:
        right = signature(
            secret=secret, message_id=message_id, timestamp=timestamp, body=body
        ).encode()
    except (ValueError, binascii.Error):
        return False
    told = headers.get("webhook-signature", "").encode(errors="replace").split(b" ")
    # All are compared, so that time tells nothing.
    matches = [hmac.compare_digest(each, right) for each in told]
    return any(matches) and abs(now - sent_at) <= TOLERANCE


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedUsage:
    """An app of a report that was not counted."""

    app: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportResult:
    """What became of a report; `gaps` are those of its gateway that are open now."""

    is_duplicate: bool
    apps: int = 0
    marks: int = 0
    rejected: Sequence[RefusedUsage] = field(default=())
    gaps: Sequence[tuple[str, int, int]] = field(default=())
    """Epoch, first and last missing sequence."""


def content_digest(report: Report) -> bytes:
    """SHA-256 of `content_of`."""
    return hashlib.sha256(content_of(report)).digest()
