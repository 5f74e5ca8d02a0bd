"""``docs/errors.md``: every error code, gathered from the code itself.

A refusal's message names the field, the fault and the mend, so the messages are the documentation;
they are read out of the syntax trees. ``python -m config.error_codes`` writes the page, with
``check`` it says whether the page is up to date.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from config.environment import CHECKOUT

PAGE: Final = CHECKOUT / "docs" / "errors.md"
_PACKAGES: Final = (
    "kernel", "work", "tenants", "metering", "billing", "ui", "console", "portal", "config",
)  # fmt: skip
_CODE: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MOST_TEXTS: Final = 3

_STATUS: Final[Mapping[str, str]] = {
    "Invalid": "400",
    "Forbidden": "403",
    "NotFound": "404",
    "Conflict": "409",
    "Unavailable": "503",
    "Refusal": "in `rejected`",
    "_Fault": "in `rejected`",
    "BoundFault": "in `faults`",
    "fault": "in `faults`",
    "refuse": "in `faults`",
    "choice": "in `faults`",
    "Difference": "a statement's `error`",
    "CommandFault": "a command's status 1",
    "WrongUse": "a command's status 2",
    "Failure": "a job's error",
}
_STATUS_OF_CODE: Final[Mapping[str, str]] = {
    "too_many_at_once": "429",
    "body_too_large": "413",
    "inflated_body_too_large": "413",
    "too_many_events": "413",
    "unsupported_media_type": "415",
    "unsupported_content_encoding": "415",
    "idempotency_key_reused": "422",
    "internal_error": "500",
    "bad_request": "400",
    "not_found": "404",
    "forbidden": "403",
    "csrf_failed": "403",
    "invalid_request": "400",
    "unknown_parameter": "400",
    "database_unavailable": "503",
}

_TOLD: Final[Mapping[str, str]] = {
    # What has no message of ours beside its code: answers of the framework, and codes that are
    # put together when they are needed.
    "invalid_api_key": "401 · The API key is not valid: unknown, mistyped, expired, revoked, or used from an address that it is not bound to. Make a new one.",
    "not_authenticated": "401 · There is no API key. Send `Authorization: Bearer KEY`.",
    "scope_not_allowed": "403 · The API key's scope does not allow this. Use a key of another scope.",
    "method_not_allowed": "405 · The address does not take this method. Look it up at `/api/docs/`.",
    "parse_error": "400 · The request can't be read.",
    "unknown_parameter": "400 · The query holds a parameter that the address does not know. Correct its name; the answer lists the known ones.",
    "unknown_field": "400 · The body holds a field that is not known. Correct its name or remove it; the answer lists the known ones.",
    "invalid_request": "400 · One or more fields are wrong; `errors` lists all of them with `field`, `code` and `detail`.",
    "csrf_failed": "403 · The form had expired. Go back, reload the page and send it again.",
    "forbidden": "403 · The role does not include this. Ask an owner or an administrator.",
    "bad_id": "in `rejected` · `id` is missing, too long, or holds a character that is not allowed.",
    "bad_source": "in `rejected` · `source` is missing, too long, or holds a character that is not allowed.",
    "bad_user": "in `rejected` · `data.user` is missing, too long, or holds a character that is not allowed.",
    "bad_meter": "400 · A field of a meter's definition is missing or not of its form; the message names it and what to write.",
    "bad_kind": "in `rejected` · `data.kind` is too long or holds a character that is not allowed.",
    "bad_count": "in `rejected` · `data.count` is not a whole number from 1.",
    "bad_time": "in `rejected` · `time` is not an instant with an offset.",
    "bad_data": "in `rejected` · `data` is not an object.",
    "bad_subject": "in `rejected` · `subject`, the app's key, is missing, too long, or holds a character that is not allowed.",
    "invalid_plan": "400 · The plan is refused as a whole; `faults` lists every fault with its path.",
    "invalid_taxes": "400 · The file of tax rates is refused as a whole; `faults` lists every fault with its path.",
    "invalid_fapiao": "400 · The tax platform would refuse the fapiao; `faults` lists every fault with its path.",
    "invalid_seller": "400 · The seller can't be described so; `faults` lists every fault with its field.",
    "invalid_billing_profile": "400 · The billing details are refused as a whole; `faults` lists every fault with its field.",
    "invalid_exchange_rate": "400 · The exchange rates are refused as a whole; `faults` lists every fault with its place.",
    "invoice_fields_missing": "409 · The invoice would lack what the law wants on it; the message names each field and where it is mended. Give it and run billing again.",
    "unknown_model": "in `faults` · The charge model is none of those of plan documents; the answer lists them.",
    "unknown_interval": "in `faults` · The interval is none of day, week, month, quarter, year.",
    "unknown_granularity": "400 · The granularity is none of those that the answer lists.",
    "unknown_day_count": "400 · The day count is none of actual, 30/360, second.",
    "invalid_coupon": "400 · A coupon or discount can't be taken; every fault is listed with its code.",
    "unknown_discount_type": "400 · The type of discount is none of percentage, fixed and usage.",
    "weak_password": "400 · The password is too short, too common, or too like the person's name. Choose a longer one.",
    "card_declined": "402 · The bank declined the card. Use another card, or ask the bank.",
    "gateway_refused": "503 · The payment gateway refused the call; what it said is in the message. Staff look into it.",
    "intent_not_found": "503 · The payment gateway does not know the payment any more. Begin the payment anew.",
    "command_failed": "a command's status 1 · The command failed; the message says why.",
    "unexpected_error": "a job's error · The job failed in a way that nobody foresaw; the log has the trace. It is tried again, then parked.",
    "cannot_verify": "a command's status 2 · The proof or the log can not be read; the message says which and why.",
    "wrong_use": "a command's status 2 · The options do not fit together.",
    "reports_missing": "in `findings` · Reports of a gateway are missing that hold the day. Send them, or release the gap in the console.",
    "usage_differs": "in `findings` · A stored value of usage is not what a recount of the events gives; `stored` and `recounted` tell both.",
    "too_many_differences": "in `findings` · More values differ from the events than are looked at; find the common cause first.",
    "closed_day_changed": "in `findings` · The rows of a closed day are no longer those that were closed: somebody went around the guards.",
    "quantity_differs": "in `findings` · An invoice was worked out from another value of a day than is stored; `billed` and `stored` tell both.",
    "lines_differ": "in `findings` · The lines of a document don't sum to its `figure`; `said` and `lines` tell both, in minor units.",
    "posting_differs": "in `findings` · The ledger has another amount for a document than its total, in minor units.",
    "no_answer": "of a mail · The mail server fell silent; it may have gone out. Ask, or send it again by hand.",
    "no_connection": "of a mail · The provider of mail could not be reached; it is tried again.",
    "not_supported": "of a mail · The mail server can't reach an address of such characters.",
    "recipient_refused": "of a mail · The provider of mail refused the address. Correct it.",
    "sender_refused": "of a mail · The mail server refused the sender. Correct MAIL_FROM, or tell the server that it may send for it; it is tried again.",
    "unusable": "of a mail · The address or the message can't be sent as it is. Correct the address.",
    "try_again": "503 · The event could not be stored; the gateway sends it again.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One place that raises a code; `text` is empty where no message stands beside it."""

    code: str
    kind: str
    text: str
    place: str


def uses() -> list[Use]:
    """Every use of an error code in the product's packages."""
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for package in _PACKAGES
        for path in sorted((CHECKOUT / package).rglob("*.py"))
        if "migrations" not in path.parts and path != Path(__file__)
    }
    kinds = _kinds(trees.values())
    return [use for path, tree in trees.items() for use in _uses_in(tree, path=path, kinds=kinds)]


def _kinds(trees: Iterable[ast.Module]) -> dict[str, str]:
    """Error classes, each with the kind of `kernel.errors` that it is."""
    bases = {
        node.name: [_name(base) for base in node.bases]
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"DomainError": "Invalid", **{kind: kind for kind in list(_STATUS)[:5]}}
    grows = True
    while grows:
        grows = False
        for name, above in bases.items():
            kind = next((found[base] for base in above if base in found), None)
            if name not in found and kind is not None:
                found[name], grows = kind, True
    return found


def _uses_in(tree: ast.Module, *, path: Path, kinds: Mapping[str, str]) -> Iterator[Use]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = _name(node.func)
        named = {word.arg: word.value for word in node.keywords if word.arg}
        code: ast.expr | None = named.get("code")
        text = named.get("detail") or named.get("message") or named.get("text")
        positional = list(node.args)
        if name in kinds or name in {"_Fault", "_problem", "__init__"}:
            code = code or (positional[0] if positional else None)
            text = text or (positional[1] if len(positional) > 1 else None)
        elif name in {"fault", "add", "refuse"} and len(positional) == 3:
            code, text = positional[1], positional[2]
        elif name in {"CommandFault", "WrongUse"}:
            text = text or (positional[0] if positional else None)
        for literal in _literals(code):
            yield Use(
                code=literal,
                kind=kinds.get(name, "fault" if name == "add" else name),
                text=_words(text),
                place=str(path.relative_to(CHECKOUT)),
            )


def _name(node: ast.expr) -> str:
    return getattr(node, "id", "") or getattr(node, "attr", "")


def _literals(node: ast.expr | None) -> list[str]:
    match node:
        case ast.Constant(value=str(text)) if _CODE.fullmatch(text):
            return [text]
        case ast.IfExp(body=body, orelse=other):
            return _literals(body) + _literals(other)
        case _:
            return []


def _words(node: ast.expr | None) -> str:
    """The message with what it is filled with in ‹…›; empty when it is not written there."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_words(value) for value in values)
        case ast.FormattedValue(value=ast.Name(id=name)):
            return f"‹{name}›"
        case ast.FormattedValue(value=ast.Attribute(attr=name)):
            return f"‹{name}›"
        case ast.FormattedValue():
            return "‹…›"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _words(left) + _words(right)
        case ast.Call(func=ast.Name() | ast.Attribute(), args=[*parts]):
            # A function of the module words the message from these.
            told = [part.value for part in parts if isinstance(part, ast.Constant)]
            return " ".join(["‹…›", *map(str, told)]) if told else ""
        case _:
            return ""


def untold(found: Iterable[Use]) -> set[str]:
    """Codes with neither a message beside them nor a word here."""
    known = list(found)
    told = {use.code for use in known if use.text} | set(_TOLD)
    return {use.code for use in known} - told


def page(found: Iterable[Use]) -> str:
    """The page's text."""
    by_code: dict[str, list[Use]] = {}
    for use in found:
        by_code.setdefault(use.code, []).append(use)
    lines = [
        "# Error codes",
        "",
        "Every refusal carries a stable `code`; look at it, not at the words. Over HTTP it stands in an",
        "`application/problem+json` answer with the status below; `field` and `errors` tell what was",
        "wrong, `Retry-After` when to come again. Commands print it in their JSON document. Refused",
        "events and plans list theirs in `rejected` and `faults`. What stands in ‹…› is filled in.",
        "",
        "(Written by `python -m config.error_codes` from the code.)",
        "",
        "| code | status | what it says |",
        "|---|---|---|",
    ]
    for code in sorted({*by_code, *_TOLD}):
        status, text = _row(code, by_code.get(code, []))
        lines.append(f"| `{code}` | {status} | {text} |")
    return "\n".join(lines) + "\n"


def _row(code: str, found: list[Use]) -> tuple[str, str]:
    if code in _TOLD:
        status, _, text = _TOLD[code].partition(" · ")
        return status, text
    texts = list(dict.fromkeys(" ".join(use.text.split()) for use in found if use.text))
    status = _STATUS_OF_CODE.get(code) or ", ".join(
        dict.fromkeys(_STATUS[use.kind] for use in found if use.kind in _STATUS)
    )
    shown = "<br>".join(text.replace("|", "\\|") for text in texts[:_MOST_TEXTS])
    return status or "400", shown


def main() -> None:
    found = uses()
    if missing := untold(found):
        sys.exit(f"no message stands beside {', '.join(sorted(missing))}: tell it in {__file__}")
    text = page(found)
    if sys.argv[1:] == ["check"]:
        if PAGE.read_text(encoding="utf-8") != text:
            sys.exit("docs/errors.md is out of date: run python -m config.error_codes")
        return
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
