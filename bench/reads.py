"""Counts the documents that Firestore returns to our own code: billed as reads."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

from google.cloud.firestore import AsyncClient

from shared import wiring as gateways
from shared.platform.ports import Services


class Counted:
    """The generated client beneath an official one. A query that finds nothing is a read as well."""

    def __init__(self, client: AsyncClient) -> None:
        """Takes its place: the official client keeps it there, and has no way to be given one."""
        self._api: Any = client._firestore_api
        self.reads = 0
        client._firestore_api_internal = self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    async def run_query(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        return self._found(await self._api.run_query(*args, **options))

    async def batch_get_documents(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        return self._told(await self._api.batch_get_documents(*args, **options), "found", "missing")

    async def listen(self, *args: Any, **options: Any) -> _Call:
        return _Call(await self._api.listen(*args, **options), self)

    async def close(self) -> None:
        await self._api.transport.close()

    async def _found(self, messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
        before = self.reads
        async for message in self._told(messages, "document"):
            yield message
        self.reads = max(self.reads, before + 1)

    async def _told(self, messages: AsyncIterator[Any], *kinds: str) -> AsyncIterator[Any]:
        async for message in messages:
            self.reads += any(kind in message for kind in kinds)
            yield message


class _Call:
    """A stream of changes, which can be canceled as well as read."""

    def __init__(self, call: Any, counted: Counted) -> None:
        self._call = call
        self._counted = counted

    def cancel(self) -> None:
        self._call.cancel()

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for message in self._counted._told(self._call, "document_change", "document_delete", "document_remove"):
            yield message


@contextmanager
def services(environ: Mapping[str, str]) -> Iterator[Services]:
    """Services of that environment, not shared within this process."""
    with mock.patch.dict(os.environ, environ):
        gateways.services.cache_clear()
        try:
            yield gateways.services()
        finally:
            gateways.services.cache_clear()
