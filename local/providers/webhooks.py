"""The Gemini API's webhooks: thin events, signed as Standard Webhooks says, repeated until they are taken.

A static hook is signed with its secret (`v1`, HMAC-SHA256); a request's own hooks replace it and are signed with a
key pair (`v1a`, Ed25519) whose public half is in the JWKS.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from local.providers.engine import Engine, Generation
from local.providers.wire import iso

_LOG = logging.getLogger(__name__)
_TRIES = 10
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 60.0
_TIMEOUT_S = 10.0
_TYPES = {"succeeded": "interaction.completed", "failed": "interaction.failed", "cancelled": "interaction.cancelled"}


class Webhooks:
    """Sends the events of the interactions passed to `watch`."""

    def __init__(
        self,
        engine: Engine,
        url: str | None = None,
        secret: str | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._engine = engine
        self._url = url
        self._secret = secret_key(secret) if secret else b""
        self._sleep = sleep
        self._own_key = Ed25519PrivateKey.generate()
        self._client: httpx2.AsyncClient | None = None
        self._watched: dict[str, tuple[str, Sequence[str], Mapping[str, Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        engine.listeners.append(self._on_finished)

    def watch(self, generation: Generation, name: str, uris: Sequence[str], metadata: Mapping[str, Any]) -> None:
        """Announce the end of this generation as interaction `name`, to `uris` or, without any, the static hook."""
        self._watched[generation.id] = name, uris, metadata
        if generation.faults.webhook == "early":
            self._announce(generation, "interaction.completed")

    def jwks(self) -> dict[str, Any]:
        """The public key of requests' own hooks."""
        public = self._own_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(public).rstrip(b"=").decode()
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "x": x}]}

    async def close(self) -> None:
        """Give up what was not delivered."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    def _on_finished(self, generation: Generation) -> None:
        if generation.id in self._watched:
            times = {"lost": 0, "duplicate": 2}.get(generation.faults.webhook or "", 1)
            self._announce(generation, _TYPES[generation.state], times)
            del self._watched[generation.id]

    def _announce(self, generation: Generation, kind: str, times: int = 1) -> None:
        name, uris, metadata = self._watched[generation.id]
        data: dict[str, Any] = {"id": name}
        if generation.error is not None:
            data |= {"error_code": str(generation.error[0]), "error_message": generation.error[1]}
        if metadata:
            data["user_metadata"] = dict(metadata)
        event = {"type": kind, "version": "v1", "timestamp": iso(self._engine.clock()), "data": data}
        body = json.dumps(event).encode()
        event_id = f"evt_{self._engine.new_id()}"
        static = [self._url] if self._url else []
        for url in list(uris or static) * times:
            task = asyncio.get_running_loop().create_task(self._deliver(url, event_id, body, own=bool(uris)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _deliver(self, url: str, event_id: str, body: bytes, *, own: bool) -> None:
        self._client = self._client or httpx2.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)
        delay_s = _FIRST_DELAY_S
        for number in range(_TRIES):
            if number:
                await self._sleep(delay_s)
                delay_s = min(delay_s * 2, _LONGEST_DELAY_S)
            headers = self._headers(event_id, str(int(self._engine.clock())), body, own=own)
            try:
                answer = await self._client.post(url, content=body, headers=headers)
            except httpx2.HTTPError as error:
                _LOG.info("webhook %s to %s: %s", event_id, url, error)
                continue
            if answer.is_success:
                self._engine.stats.total["webhooks"] += 1
                return
        _LOG.warning("webhook %s to %s was given up after %d tries", event_id, url, _TRIES)

    def _headers(self, event_id: str, timestamp: str, body: bytes, *, own: bool) -> dict[str, str]:
        signed = b".".join((event_id.encode(), timestamp.encode(), body))
        if own:
            signature = "v1a," + base64.b64encode(self._own_key.sign(signed)).decode()
        else:
            signature = "v1," + base64.b64encode(hmac.digest(self._secret, signed, "sha256")).decode()
        return {
            "content-type": "application/json",
            "webhook-id": event_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signature,
        }


def secret_key(secret: str) -> bytes:
    """The key of a Standard Webhooks secret: whsec_ and base64. Raises ValueError."""
    return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
