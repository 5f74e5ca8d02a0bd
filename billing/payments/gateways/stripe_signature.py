"""Whether a webhook's body is Stripe's: HMAC-SHA256 over the raw bytes, in constant time. Pure.

Source: docs.stripe.com/webhooks, "Verify webhook signatures manually". Stripe's own library accepts
a timestamp from the future; we refuse one that is too far on either side.
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from billing.payments.gateways.port import EventRefused

TOLERANCE_SECONDS: Final = 300
_LONGEST_HEADER: Final = 4096
_MOST_SIGNATURES: Final = 16


def check_signature(
    *,
    payload: bytes,
    header: str,
    secrets: Sequence[str],
    now: datetime,
    tolerance_seconds: int = TOLERANCE_SECONDS,
) -> None:
    """Accept the payload if one `v1` signature of the header was made with one of the secrets.

    Several of each are normal while a secret is being rotated. Raises EventRefused `missing_signature`,
    `invalid_signature`, `signature_out_of_time`.
    """
    if not header:
        raise EventRefused("missing_signature", "The Stripe-Signature header is missing.")
    timestamp, signatures = _parsed(header)
    signed = timestamp.encode("ascii") + b"." + payload
    expected = [
        hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest().encode()
        for secret in secrets
        if secret
    ]
    # Every pair is compared, so that the time taken tells nothing.
    matches = [
        hmac.compare_digest(mine, theirs.encode("utf-8", "replace"))
        for mine in expected
        for theirs in signatures
    ]
    if not any(matches):
        raise EventRefused("invalid_signature", "The signature is not ours; check the secret.")
    if abs(int(timestamp) - now.timestamp()) > tolerance_seconds:
        raise EventRefused(
            "signature_out_of_time",
            f"The signature is more than {tolerance_seconds} seconds off our clock; send it anew.",
        )


def _parsed(header: str) -> tuple[str, list[str]]:
    timestamps, signatures = [], []
    if len(header) <= _LONGEST_HEADER:
        for item in header.split(","):
            name, _, value = item.strip().partition("=")
            if name == "t":
                timestamps.append(value)
            elif name == "v1":
                signatures.append(value)
    is_well_formed = (
        len(timestamps) == 1
        and timestamps[0].isascii()
        and timestamps[0].isdigit()
        and len(timestamps[0]) <= 12
        and 0 < len(signatures) <= _MOST_SIGNATURES
    )
    if not is_well_formed:
        raise EventRefused("invalid_signature", "The Stripe-Signature header is not well formed.")
    return timestamps[0], signatures
