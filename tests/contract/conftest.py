"""What every contract test gets: a gateway, once in memory and once the real one, and the means to look behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from local.memory.store import MemoryStore
from shared.services import Store, new_id
from shared.settings import Settings
from tests.contract.servers import firestore_emulator


class Console(Protocol):
    """What an administrator can do besides."""

    async def edit(self, collection: str, id_: str, fields: Mapping[str, Any]) -> None:
        """Set these fields of one document."""

    async def drop_field(self, collection: str, id_: str, name: str) -> None:
        """Remove one field of a document."""


@dataclass(frozen=True)
class Database:
    """A store with nothing in it, and its console."""

    store: Store
    console: Console


class MemoryConsole:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def edit(self, collection: str, id_: str, fields: Mapping[str, Any]) -> None:
        self._store.edit(collection, id_, fields)

    async def drop_field(self, collection: str, id_: str, name: str) -> None:
        self._store.drop_field(collection, id_, name)


class FirestoreConsole:
    def __init__(self, project: str) -> None:
        from google.cloud.firestore import AsyncClient

        self._client = AsyncClient(project=project)

    async def edit(self, collection: str, id_: str, fields: Mapping[str, Any]) -> None:
        await self._client.collection(collection).document(id_).set(dict(fields), merge=list(fields))

    async def drop_field(self, collection: str, id_: str, name: str) -> None:
        from google.cloud.firestore import DELETE_FIELD

        await self._client.collection(collection).document(id_).update({name: DELETE_FIELD})


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with firestore_emulator(tmp_path_factory.mktemp("firestore")) as address:
        yield address


@pytest.fixture(params=["memory", "firestore"])
async def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """Each test has a database of its own: any project's name is one in the emulator."""
    if request.param == "memory":
        memory = MemoryStore()
        yield Database(memory, MemoryConsole(memory))
        return
    from shared.store import FirestoreStore

    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", request.getfixturevalue("emulator"))
    project = f"contract-{new_id().lower().replace('_', '-').strip('-')}"
    yield Database(FirestoreStore(Settings(google_cloud_project=project, bucket="contract")), FirestoreConsole(project))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path
