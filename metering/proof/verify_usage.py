"""Check from your own log how many users Summit counted on a closed day, and who.

One file, Python 3.11 or later and its standard library: take it as it is and run it anywhere. It is
written apart from what makes the proofs. What it reads:

  PROOF     the answer of ``GET /api/v1/usage/proof?app=…&day=…``, saved as a file
  LOG       your own log: .csv or .ndjson, plain or .gz; one row an event with app, id, time and user
            (NDJSON may hold the CloudEvents that you sent)

    python3 verify_usage.py proof.json log.csv.gz --columns app,id,time,user

What it does: picks the rows of the proof's app and local day, hashes each user under your key
(HMAC-SHA-256, 16 bytes), builds the Merkle tree of RFC 9162 over the sorted hashes, and compares count
and root with those that the deployment signed (Ed25519). Exit status 0: all agrees. 1: something
does not, and the output says what. 2: wrong use.
"""

import argparse
import csv
import gzip
import hashlib
import hmac
import io
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, TextIO
from zoneinfo import ZoneInfo

COLUMNS = "app,id,time,user"
ACTIVE_TYPES = frozenset({"message.sent", "user.active", "user.login"})
"""The types of events that count for dau."""
MOST_SHOWN = 20


UNREADABLE = (
    *(AttributeError, KeyError, TypeError, ValueError, RecursionError),
    *(OSError, EOFError, zlib.error, csv.Error),
)
"""What a file gives that is torn, or another than it should be."""
SIGNED_FIELDS = ("meter", "day", "timezone", "version", "count", "root")
"""Fields of the proof that its signed statement says as well."""


class CannotVerify(Exception):
    """What was given can't be read; the message says why."""


# --- The tree (RFC 9162, section 2.1) ------------------------------------------------------------


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of a node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def merkle_root(entries: Sequence[bytes]) -> bytes:
    """The root over the entries in their order, by the definition: split at the largest power of two
    below their number."""
    stack: list[tuple[int, bytes]] = []
    for entry in entries:
        size, node = 1, leaf_hash(entry)
        while stack and stack[-1][0] == size:
            before, left = stack.pop()
            size, node = size + before, node_hash(left, node)
        stack.append((size, node))
    if not stack:
        return hashlib.sha256(b"").digest()
    _, root = stack.pop()
    while stack:
        _, left = stack.pop()
        root = node_hash(left, root)
    return root


def is_included(
    *, entry: bytes, position: int, count: int, path: Sequence[bytes], root: bytes
) -> bool:
    """Whether the path leads from the entry at that position to the root (RFC 9162, 2.1.3.2)."""
    if not 0 <= position < count:
        return False
    here, last, node = position, count - 1, leaf_hash(entry)
    for beside in path:
        if last == 0:
            return False
        if here % 2 or here == last:
            node = node_hash(beside, node)
            while here % 2 == 0 and here:
                here, last = here // 2, last // 2
        else:
            node = node_hash(node, beside)
        here, last = here // 2, last // 2
    return last == 0 and node == root


# --- Ed25519 (RFC 8032), to check only -----------------------------------------------------------

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_ROOT_OF_MINUS_1 = pow(2, (_P - 1) // 4, _P)
Point = tuple[int, int, int, int]


def _add(a: Point, b: Point) -> Point:
    e = (a[1] - a[0]) * (b[1] - b[0]) % _P
    f = (a[1] + a[0]) * (b[1] + b[0]) % _P
    g = 2 * a[3] * b[3] * _D % _P
    h = 2 * a[2] * b[2] % _P
    difference, total = f - e, f + e
    return (
        difference * (h - g) % _P,
        (h + g) * total % _P,
        (h - g) * (h + g) % _P,
        difference * total % _P,
    )


def _times(factor: int, point: Point) -> Point:
    found: Point = (0, 1, 1, 0)
    while factor:
        if factor & 1:
            found = _add(found, point)
        point = _add(point, point)
        factor >>= 1
    return found


def _point(encoded: bytes) -> Point | None:
    y = int.from_bytes(encoded, "little")
    odd, y = y >> 255, y & ((1 << 255) - 1)
    if y >= _P:
        return None
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * _ROOT_OF_MINUS_1 % _P
    if (x * x - square) % _P or (x == 0 and odd):
        return None
    if x % 2 != odd:
        x = _P - x
    return (x, y, 1, x * y % _P)


def _same(a: Point, b: Point) -> bool:
    return (a[0] * b[2] - b[0] * a[2]) % _P == 0 and (a[1] * b[2] - b[1] * a[2]) % _P == 0


def is_signed(*, message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether the signature is the key holder's."""
    if len(signature) != 64 or len(public_key) != 32:
        return False
    key, commitment = _point(public_key), _point(signature[:32])
    response = int.from_bytes(signature[32:], "little")
    base = _point((4 * pow(5, -1, _P) % _P).to_bytes(32, "little"))
    if key is None or commitment is None or base is None or response >= _L:
        return False
    challenge = (
        int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little")
        % _L
    )
    return _same(_times(response, base), _add(commitment, _times(challenge, key)))


# --- The log -------------------------------------------------------------------------------------


def user_hash(key: bytes, user: str) -> bytes:
    """The 16 bytes by which a user is known."""
    return hmac.digest(key, user.encode(errors="surrogatepass"), "sha256")[:16]


def users_of_log(
    stream: TextIO, *, is_csv: bool, columns: str, app: str, day: date, zone: ZoneInfo
) -> Iterator[str]:
    """The users of the rows of that app and local day, as often as they stand there."""
    for row_app, time, user in _rows(stream, is_csv=is_csv, columns=columns):
        if row_app == app and _instant(time).astimezone(zone).date() == day:
            yield user


def _instant(time: str) -> datetime:
    try:
        instant = datetime.fromisoformat(time.upper())
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise CannotVerify(
            f"the log holds the time {time[:40]!r}, which is no instant with an offset from UTC: "
            "Summit refused this event, so leave its row out"
        )
    return instant


def _rows(stream: TextIO, *, is_csv: bool, columns: str) -> Iterator[tuple[str, str, str]]:
    if not is_csv:
        for number, line in enumerate(stream, 1):
            if line.strip():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError as fault:
                    raise CannotVerify(f"line {number} of the log is not JSON: {fault}") from None
                yield from _row_of(row)
        return
    names = [name.strip().lower() for name in columns.split(",")]
    try:
        app, time, user = (names.index(name) for name in ("app", "time", "user"))
    except ValueError:
        raise CannotVerify(f"--columns must name app, time and user: {columns}") from None
    for number, row in enumerate(csv.reader(stream)):
        if number == 0 and [field.strip().lower() for field in row] == names:
            continue
        if len(row) == len(names):
            yield row[app], row[time], row[user]


def _row_of(row: Any) -> Iterator[tuple[str, str, str]]:
    if "specversion" in row:
        data = row.get("data") or {}
        if row.get("type") in ACTIVE_TYPES and data.get("user"):
            yield str(row["subject"]), str(row["time"]), str(data["user"])
    else:
        yield str(row["app"]), str(row["time"]), str(row["user"])


def hashes_of_file(text: str) -> list[bytes]:
    """The hashes of a saved list: one in a line, or pages as the API gives them."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or not lines[0].startswith("{"):
        return [bytes.fromhex(line) for line in lines]
    try:
        pages = [json.loads(line) for line in lines]
    except json.JSONDecodeError:
        pages = [json.loads(text)]
    return [bytes.fromhex(each["hash"]) for page in pages for each in page["data"]]


# --- The verdict ---------------------------------------------------------------------------------


def signed_facts(statement: str) -> dict[str, str]:
    """What a signed statement says: a name and a value in each line."""
    first, *lines = statement.splitlines()
    if first != "summit usage proof 1":
        raise CannotVerify("the statement is of a form that this verifier does not know")
    return dict(line.split(" ", 1) for line in lines)


def verdict(
    proof: dict[str, Any],
    *,
    own: Sequence[bytes] | None,
    listed: Sequence[bytes] | None = None,
    public_key: bytes | None = None,
) -> dict[str, Any]:
    """Hold the proof against the own hashes and, if given, against the list that Summit gave.

    `public_key` is the one that is trusted; without it, the one in the proof is taken, and only that the
    proof is whole is shown.
    """
    told = signed_facts(proof["statement"])
    signer = bytes.fromhex(proof["public_key"])
    found: dict[str, Any] = {
        "app": proof["app"],
        "meter": told["meter"],
        "day": told["day"],
        "count": int(told["count"]),
        "root": told["root"],
        "signature": "valid"
        if is_signed(
            message=proof["statement"].encode(),
            signature=bytes.fromhex(proof["signature"]),
            public_key=signer if public_key is None else public_key,
        )
        else "wrong",
        "statement": "agrees"
        if all(str(proof[name]) == told[name] for name in SIGNED_FIELDS)
        else "differs from the fields beside it",
    }
    faults = [
        name
        for name, good in (("signature", "valid"), ("statement", "agrees"))
        if found[name] != good
    ]
    for name, hashes in (("log", own), ("list", listed)):
        if hashes is None:
            continue
        ordered = sorted(set(hashes))
        root = merkle_root(ordered).hex()
        found[name] = {"count": len(ordered), "root": root, "agrees": root == told["root"]}
        if root != told["root"]:
            faults.append(name)
    if own is not None and listed is not None:
        mine, theirs = set(own), set(listed)
        found["only_in_log"] = _some(mine - theirs)
        found["only_in_list"] = _some(theirs - mine)
    found["faults"] = faults
    return found


def _some(hashes: set[bytes]) -> dict[str, Any]:
    return {"count": len(hashes), "first": [each.hex() for each in sorted(hashes)[:MOST_SHOWN]]}


def check(
    *,
    proof: dict[str, Any],
    log: Path | None,
    columns: str = COLUMNS,
    key: str = "",
    public_key: str = "",
    hashes: Path | None = None,
    user: str = "",
) -> dict[str, Any]:
    """Read the files and give the verdict. Raises CannotVerify."""
    try:
        own_key = key or proof.get("user_key") or ""
        if (log is not None or user) and not own_key:
            raise CannotVerify(
                "the proof holds no user key, since who read it may not see it or that day was hashed "
                "under an earlier one: give it as --key"
            )
        own = None if log is None else _hashes_of_log(log, proof, columns, bytes.fromhex(own_key))
        listed = None if hashes is None else hashes_of_file(hashes.read_text(encoding="utf-8"))
        found = verdict(
            proof,
            own=own,
            listed=listed,
            public_key=bytes.fromhex(public_key) if public_key else None,
        )
        if user:
            mine = user_hash(bytes.fromhex(own_key), user)
            known = listed if listed is not None else own
            found["user"] = {
                "hash": mine.hex(),
                "counted": None if known is None else mine in known,
            }
    except UNREADABLE as error:
        fault = f"{type(error).__name__}: {error}"
        raise CannotVerify(f"a file is not what it should be: {fault}") from error
    return found


def _hashes_of_log(log: Path, proof: dict[str, Any], columns: str, key: bytes) -> list[bytes]:
    told = signed_facts(proof["statement"])
    zone, day = ZoneInfo(told["timezone"]), date.fromisoformat(told["day"])
    name = log.name.lower()
    is_zipped = name.endswith(".gz")
    with gzip.open(log, "rb") if is_zipped else log.open("rb") as raw:
        stream = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
        users = users_of_log(
            stream,
            is_csv=name.removesuffix(".gz").endswith(".csv"),
            columns=columns,
            app=proof["app"],
            day=day,
            zone=zone,
        )
        return sorted({user_hash(key, user) for user in users})


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="verify_usage.py",
        description="Recompute count and root of a usage proof from your own log.",
    )
    parser.add_argument("proof", type=Path, help="the proof, as the API gave it")
    parser.add_argument("log", type=Path, nargs="?", help="your log: .csv or .ndjson, or with .gz")
    parser.add_argument("--columns", default=COLUMNS, help=f"of a CSV file (default: {COLUMNS})")
    parser.add_argument("--key", default="", help="your user key, if the proof does not hold it")
    parser.add_argument("--public-key", default="", help="the deployment's key that you trust")
    parser.add_argument("--hashes", type=Path, help="the list of hashes, to see who differs")
    parser.add_argument("--user", default="", help="tell whether this user was counted")
    given = parser.parse_args(arguments)
    try:
        proof = json.loads(given.proof.read_text(encoding="utf-8"))
        found = check(
            proof=proof,
            log=given.log,
            columns=given.columns,
            key=given.key,
            public_key=given.public_key,
            hashes=given.hashes,
            user=given.user,
        )
    except (*UNREADABLE, CannotVerify) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
