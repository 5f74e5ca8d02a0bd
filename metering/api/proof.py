"""``GET /api/v1/usage/proof``: who was counted on a closed day, signed, and one's own users found in it."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from kernel import clock
from kernel.errors import Invalid
from metering.proof.queries import (
    MOST_HASHES,
    Proof,
    ProvenLeaf,
    counted_hashes,
    inclusion,
    proof_document,
    provable_meter,
    tenant_user_key,
)
from metering.proof.services.prove_days import prove_day
from metering.queries import ShownApp, shown_app, usage
from tenants.api.endpoint import Day, Endpoint, ListEndpoint, PageQuery, Query
from tenants.api.schema import (
    AMOUNT,
    DATE,
    FLAG,
    INSTANT,
    NULLABLE_TEXT,
    TEXT,
    WHOLE,
    answers,
    list_of,
    page_of,
    record,
)
from tenants.domain import KeyScope

_HEX: Final = {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
_A_HASH: Final = re.compile(r"([0-9a-f]{32}){1,2}")
PROOF: Final = record(
    app=TEXT,
    meter=TEXT,
    day=DATE,
    timezone=TEXT,
    state=TEXT,
    value={**AMOUNT, "description": "The day's usage, corrections included."},
    count={**AMOUNT, "description": "How many were counted: the leaves of the tree."},
    root={**_HEX, "description": "Merkle root (RFC 9162) over their hashes, ascending."},
    version={**WHOLE, "description": "1, and one more for each correction that was signed."},
    made_at=INSTANT,
    statement={**TEXT, "description": "What is signed, byte by byte."},
    signature={**_HEX, "description": "Ed25519 over the statement."},
    public_key={**_HEX, "description": "The deployment's; the same for all tenants."},
    user_key={
        **NULLABLE_TEXT,
        "description": "The key under which your users' ids are hashed; keep it secret. Told to API keys "
        "of scope full alone; null to others, and when that day was hashed under an earlier one.",
    },
)
HASH: Final = record(hash=_HEX)
_LEAF: Final = record(hash=_HEX, position=WHOLE, path=list_of(_HEX))
INCLUSION: Final = record(
    app=TEXT,
    meter=TEXT,
    day=DATE,
    user_hash=_HEX,
    counted=FLAG,
    count=AMOUNT,
    root=_HEX,
    leaves={
        **list_of(_LEAF),
        "description": "Its leaf, if it was counted; else the neighbours between which it would be.",
    },
)


class ProofQuery(Query):
    """Which day of which app."""

    app = serializers.CharField(max_length=100, trim_whitespace=False, help_text="An app's key.")
    meter = serializers.CharField(
        max_length=64, default="dau", help_text="A meter of different users, dau unless given."
    )
    day = Day(help_text="A closed local day.")


class InclusionQuery(ProofQuery):
    """And which user."""

    user_hash = serializers.CharField(
        max_length=64,
        help_text="The user's hash in hex digits: the first 16 bytes of HMAC-SHA-256 of the id under "
        "the tenant's key. Ids themselves stay out of addresses, which are logged.",
    )


class HashesQuery(PageQuery):
    """Which day of which app, and which page."""

    app = serializers.CharField(max_length=100, trim_whitespace=False, help_text="An app's key.")
    meter = serializers.CharField(
        max_length=64, default="dau", help_text="A meter of different users, dau unless given."
    )
    day = Day(help_text="A closed local day.")
    limit = serializers.IntegerField(
        min_value=1, max_value=MOST_HASHES, default=1000, help_text="Hashes on the page."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    app: ShownApp
    meter: str
    proof: Proof


class _OfProof(Endpoint):
    """What the addresses of proof have in common."""

    key_scopes = {"GET": {KeyScope.READ}}  # read by the permission only

    def proven(self) -> _Asked:
        """The app, the key of its marks and the proof that is asked for; inside the scope."""
        app = shown_app(tenant_id=self.caller.tenant_id, key=self.asked["app"])
        marks = provable_meter(self.asked["meter"]).marks
        proof = prove_day(
            tenant_id=app.tenant_id,
            app_id=app.id,
            meter=marks,
            day=self.asked["day"],
            now=clock.now(),
        )
        return _Asked(app=app, meter=marks, proof=proof)


class ProofView(_OfProof):
    """The proof itself; made when it is asked for, if the schedule has not made it yet."""

    query = ProofQuery

    @extend_schema(
        operation_id="read_usage_proof",
        summary="Read the proof of a closed day",
        description=(
            "The Merkle root over the keyed hashes of all users that were counted, signed by the "
            "deployment. The verifier (how-to: verify usage) recomputes count and root from your own log."
        ),
        parameters=[ProofQuery],
        responses=answers(PROOF, 404, 409),
    )
    def get(self, request: Request) -> Response:
        with self.scope():
            asked = self.proven()
            return Response(
                proof_document(
                    proof=asked.proof,
                    app=asked.app.key,
                    value=_value_of(asked.app, asked.meter, self.asked["day"]),
                    # With it and the list of hashes anybody could find out who was active.
                    key=tenant_user_key(tenant_id=asked.app.tenant_id)
                    if self.caller.scope is KeyScope.FULL
                    else None,
                )
            )


class ProofHashesView(_OfProof, ListEndpoint):
    """The leaves of the tree."""

    query = HashesQuery
    list_name = "proof hashes"

    @extend_schema(
        operation_id="list_usage_proof_hashes",
        summary="List the hashes of those who were counted on a closed day",
        description="In the order of the tree's leaves: ascending.",
        parameters=[HashesQuery],
        responses=answers(page_of(HASH), 404, 409),
    )
    def get(self, request: Request) -> Response:
        after = bytes.fromhex(self.after)
        with self.scope():
            asked = self.proven()
            hashes = counted_hashes(
                tenant_id=asked.app.tenant_id,
                app_id=asked.app.id,
                meter=asked.meter,
                day=self.asked["day"],
                after=after,
                most=self.wanted,
            )
        return self.page(
            hashes, position=lambda each: each.hex(), shown=lambda each: {"hash": each.hex()}
        )


class ProofInclusionView(_OfProof):
    """Whether one user was counted."""

    query = InclusionQuery

    @extend_schema(
        operation_id="read_usage_proof_inclusion",
        summary="Was this user counted?",
        description=(
            "The path from the user's leaf to the signed root; or, for one who was not counted, the "
            "paths of the two neighbours between which the hash would stand."
        ),
        parameters=[InclusionQuery],
        responses=answers(INCLUSION, 404, 409),
    )
    def get(self, request: Request) -> Response:
        text = self.asked["user_hash"].lower()
        if not _A_HASH.fullmatch(text):
            raise Invalid(
                "bad_user_hash",
                "user_hash must be 32 hex digits (64 for a user's device): see how-to: verify usage.",
                field="user_hash",
            )
        with self.scope():
            asked = self.proven()
            found = inclusion(proof=asked.proof, identity=bytes.fromhex(text))
        told = asked.proof.statement
        return Response(
            {
                "app": asked.app.key,
                "meter": asked.meter,
                "day": told.day.isoformat(),
                "user_hash": text,
                "counted": found.counted,
                "count": str(told.count),
                "root": told.root.hex(),
                "leaves": [_shown(leaf) for leaf in found.leaves],
            }
        )


def _shown(leaf: ProvenLeaf) -> dict[str, Any]:
    return {
        "hash": leaf.identity.hex(),
        "position": leaf.position,
        "path": [each.hex() for each in leaf.path],
    }


def _value_of(app: ShownApp, meter: str, day: date) -> Decimal:
    rows = usage(
        tenant_ids=[app.tenant_id], meters=[meter], from_day=day, to_day=day + timedelta(days=1)
    )
    return sum((row.value for row in rows if row.app_id == app.id), Decimal(0))
