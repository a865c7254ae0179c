"""Standard Webhooks, symmetric `v1`: secrets and their rotation, signing what we send, verifying what we get. Pure.

The package `standardwebhooks` is what tests verify ours with. Running it would be worse: it reads the clock itself,
signs text only and with one secret, and answers a malformed signature with ValueError.
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
# How far a message's timestamp may be from our clock.
OLDEST_S = 300
_MESSAGE_ID = re.compile(r"[!-~]{1,256}")
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=")
_UNIX_SECONDS = re.compile(r"[0-9]{1,12}")


class Secret(Value):
    """A signing secret, as Standard Webhooks writes it (whsec_ and base64). The newest has no end."""

    value: str
    expires_at: datetime | None = None


def new_secret() -> Secret:
    return Secret(value=PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())


def rotated(before: tuple[Secret, ...], fresh: Secret, now: datetime) -> tuple[Secret, ...]:
    """The new secret and the one before it; any older one ends at once. Once only, however often it is called."""
    if fresh in before:
        return before
    return (fresh, *(old.model_copy(update={"expires_at": now + OLD_SECRET_FOR}) for old in before[:1]))


def signed(secrets_: Iterable[Secret], message_id: str, body: bytes, now: datetime) -> dict[str, str]:
    """The three headers of a message; one signature for each secret that has not expired."""
    timestamp = str(int(now.timestamp()))
    valid = (secret.value for secret in secrets_ if secret.expires_at is None or now < secret.expires_at)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(value, message_id, timestamp, body) for value in valid),
    }


def check_headers(secret: str, headers: Mapping[str, str], now_s: float) -> None:
    """What can be told before the body is there. Raises ApiError UNAUTHENTICATED.

    `headers` are found by their names in lower case.
    """
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signed_ = any(_SIGNATURE.fullmatch(part) for part in _signatures(headers))
    if not secret or not _MESSAGE_ID.fullmatch(message_id) or not _UNIX_SECONDS.fullmatch(timestamp) or not signed_:
        raise ApiError("UNAUTHENTICATED", "The event isn't signed.")
    if abs(now_s - int(timestamp)) > OLDEST_S:
        raise ApiError("UNAUTHENTICATED", "The event's timestamp is too old or in the future.")


def verify(secret: str, headers: Mapping[str, str], body: bytes, now_s: float) -> None:
    """Raises ApiError UNAUTHENTICATED unless one of the message's signatures is right."""
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
