"""Standard Webhooks, symmetric `v1`: create, rotate and use secrets to sign and verify messages. Pure.

Tests verify this with the package `standardwebhooks`. We don't use it here because it reads the clock itself, signs
only text and with only one secret, and raises ValueError for a malformed signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from shared.core.documents import Value
from shared.core.errors import ApiError

PREFIX = "whsec_"
SECRET_BYTES = 32
OLD_SECRET_FOR = timedelta(hours=24)
# Maximum difference between a message's timestamp and our clock, in seconds.
OLDEST_S = 300
_MESSAGE_ID = re.compile(r"[!-~]{1,256}")
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=")
_UNIX_SECONDS = re.compile(r"[0-9]{1,12}")


class Secret(Value):
    """A signing secret in the format of Standard Webhooks (whsec_ and base64). The newest doesn't expire."""

    value: str
    expires_at: datetime | None = None


def new_secret() -> Secret:
    return Secret(value=PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())


def rotated(before: tuple[Secret, ...], fresh: Secret, now: datetime) -> tuple[Secret, ...]:
    """Return the new secret and the one before it; older ones are dropped. Idempotent."""
    if fresh in before:
        return before
    return (fresh, *(old.model_copy(update={"expires_at": now + OLD_SECRET_FOR}) for old in before[:1]))


def signed(secrets_: Iterable[Secret], message_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """The three headers of a message, with one signature per unexpired secret."""
    timestamp = str(int(now.timestamp()))
    valid = (secret.value for secret in secrets_ if secret.expires_at is None or now < secret.expires_at)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(value, message_id, timestamp, body) for value in valid),
    }


def check_headers(secret: str, headers: Mapping[str, str], now_s: float) -> None:
    """Check everything that doesn't need the body. Raises ApiError UNAUTHENTICATED.

    `headers` must have lower-case names or ignore case.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signed_ = any(_SIGNATURE.fullmatch(part) for part in _signatures(headers))
    if not secret or not _MESSAGE_ID.fullmatch(message_id) or not _UNIX_SECONDS.fullmatch(timestamp) or not signed_:
        raise ApiError("UNAUTHENTICATED", "The event isn't signed.")
    if abs(now_s - int(timestamp)) > OLDEST_S:
        raise ApiError("UNAUTHENTICATED", "The event's timestamp is too old or in the future.")


def verify(secret: str, headers: Mapping[str, str], body: bytes, now_s: float) -> None:
    """Raises ApiError UNAUTHENTICATED unless one of the message's signatures is valid."""
    check_headers(secret, headers, now_s)
    expected = _signature(secret, headers["webhook-id"], headers["webhook-timestamp"], body).encode()
    if not any(hmac.compare_digest(offered.encode(), expected) for offered in _signatures(headers)):
        raise ApiError("UNAUTHENTICATED", "The event's signature is wrong.")


def _signatures(headers: Mapping[str, str]) -> list[str]:
    return headers.get("webhook-signature", "").split(" ")


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
