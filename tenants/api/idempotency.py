"""``Idempotency-Key``: an unsafe call that is sent again is answered again, not carried out again.

The key is claimed in a transaction of its own, with a lease; then the call's effect and its answer
commit together, so no crash can leave the one without the other. A claim whose lease ran out is
taken over; its first holder, should it still live, fails when it tries to store its answer, and its
effect is rolled back with it. A refused call changed nothing and frees its key.

Answers are kept encrypted under SECRET_KEY, because that of a new API key holds the key's secret.
"""

import base64
import hashlib
import hmac
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.http import HttpResponse
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from kernel import clock
from kernel.canonical import canonical_bytes
from kernel.errors import Conflict, Invalid
from tenants.api.authentication import Caller
from tenants.api.endpoint import originating
from tenants.models import IdempotentRequest
from tenants.scope import tenant_scope
from tenants.services.stored_answers import KEPT
from work.connections import cursor

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
LEASE: Final = timedelta(seconds=60)
_LONGEST_KEY: Final = 255
_LONGEST_WAIT_SECONDS: Final = 5
_CLAIM_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a call answers: JSON data and a status."""

    data: Any
    status: int = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """This call's hold on a key; `lease_until` tells it from an earlier or later holder's."""

    row_id: int
    tenant_id: UUID
    lease_until: datetime


def answer_once(
    *,
    request: Request,
    endpoint: str,
    content: object,
    call: Callable[[], Answer],
) -> HttpResponse:
    """The answer of `call`, which runs inside the caller's tenant scope, at most once for a key.

    `endpoint` names the address, `content` is all that makes two calls the same (values that
    `kernel.canonical` takes): body and parts of the address. A call that speaks to an outside service
    is not for here: no transaction may be open meanwhile.

    Raises Invalid `bad_idempotency_key`, Conflict `idempotency_key_reused` for other content under
    the key, `call_in_progress` while the first call runs, and what `call` raises.
    """
    tenant_id = cast("Caller", request.auth).tenant_id
    key = request.headers.get(HEADER)
    with originating(request):
        if key is None:
            with tenant_scope(tenant_id):
                answer = call()
            return _response(JSONRenderer().render(answer.data), status=answer.status)
        _check_key(key)
        claimed = _claim(
            tenant_id=tenant_id,
            endpoint=endpoint,
            key=key,
            fingerprint=hashlib.sha256(canonical_bytes(content)).digest(),
        )
        if isinstance(claimed, HttpResponse):
            return claimed
        try:
            with tenant_scope(tenant_id):
                answer = call()
                body = JSONRenderer().render(answer.data)
                _store(claimed, body=body, status=answer.status)
        except BaseException:
            _release(claimed)
            raise
    return _response(body, status=answer.status)


def _check_key(key: str) -> None:
    if not (1 <= len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable()):
        raise Invalid(
            "bad_idempotency_key",
            f"{HEADER} must be 1 to {_LONGEST_KEY} printable ASCII characters.",
            field=HEADER,
        )


def _claim(
    *, tenant_id: UUID, endpoint: str, key: str, fingerprint: bytes
) -> _Claim | HttpResponse:
    """A hold on the key, or the stored answer."""
    for _ in range(_CLAIM_ATTEMPTS):
        now = clock.now()
        claim_until = now + LEASE
        with tenant_scope(tenant_id):
            with cursor() as db:
                db.execute(
                    "INSERT INTO tenants_idempotentrequest (tenant_id, endpoint, key, fingerprint,"
                    " content_type, lease_until, created_at) VALUES (%s, %s, %s, %s, '', %s, %s)"
                    " ON CONFLICT (tenant_id, endpoint, key) DO NOTHING RETURNING id",
                    [str(tenant_id), endpoint, key, fingerprint, claim_until, now],
                )
                inserted = db.fetchone()
            if inserted:
                return _Claim(row_id=inserted[0], tenant_id=tenant_id, lease_until=claim_until)
            row = (
                IdempotentRequest.objects.select_for_update()
                .filter(tenant_id=tenant_id, endpoint=endpoint, key=key)
                .first()
            )
            if row is None:
                continue  # its holder has just freed it
            if row.created_at > now - KEPT:
                if not hmac.compare_digest(bytes(row.fingerprint), fingerprint):
                    raise Conflict(
                        "idempotency_key_reused",
                        f"This {HEADER} came with another request before; use a new one for each.",
                        field=HEADER,
                    )
                if row.status is not None and row.body is not None:
                    return _stored(row)
                if row.lease_until > now:
                    raise _in_progress(row.lease_until - now)
            row.fingerprint = fingerprint
            row.created_at = now
            row.lease_until = claim_until
            row.status = row.body = None
            row.save()
            return _Claim(row_id=row.pk, tenant_id=tenant_id, lease_until=claim_until)
    raise _in_progress(timedelta(seconds=1))


def _in_progress(remaining: timedelta) -> Conflict:
    seconds = min(_LONGEST_WAIT_SECONDS, math.ceil(remaining.total_seconds()))
    return Conflict(
        "call_in_progress",
        f"The call with this {HEADER} is still being carried out; ask again in a moment.",
        field=HEADER,
        params={"retry_after_seconds": seconds},
    )


def _store(claim: _Claim, *, body: bytes, status: int) -> None:
    stored = _held(claim).update(
        status=status, body=_cipher().encrypt(body), content_type="application/json"
    )
    if not stored:
        raise _in_progress(LEASE)


def _release(claim: _Claim) -> None:
    with tenant_scope(claim.tenant_id):
        _held(claim).delete()


def _held(claim: _Claim) -> Any:
    return IdempotentRequest.objects.filter(
        tenant_id=claim.tenant_id,
        id=claim.row_id,
        lease_until=claim.lease_until,
        status__isnull=True,
    )


def _stored(row: IdempotentRequest) -> HttpResponse:
    try:
        body = _cipher().decrypt(bytes(row.body or b""))
    except InvalidToken:
        raise Conflict(
            "stored_answer_unreadable",
            "This call was carried out, but its answer can't be read any more; look at its result.",
            field=HEADER,
        ) from None
    response = _response(body, status=row.status or 200)
    response.headers[REPLAYED] = "true"
    return response


def _cipher() -> Fernet:
    key = hmac.new(settings.SECRET_KEY.encode(), b"idempotent answers", hashlib.sha256).digest()
    return Fernet(base64.urlsafe_b64encode(key))


def _response(body: bytes, *, status: int) -> HttpResponse:
    return HttpResponse(body, status=status, content_type="application/json")
