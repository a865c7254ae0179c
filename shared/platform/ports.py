"""What Rushes needs from outside: the protocols of the gateways, the values they exchange, and `Services`.

Handlers get one frozen `Services` and create no clients themselves. shared/wiring.py builds it for the cloud and the
laptop; tests, the simulation and the embedded form use in-memory implementations.
"""

from __future__ import annotations

import asyncio
import builtins
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO, Literal, Protocol, TypeVar

from shared.core.documents import Account, Document, Job, LiveSettings, Status, TaskRef, Transaction, Value
from shared.core.image_facts import ImageFacts
from shared.core.lifecycle import Task
from shared.platform.identity import Verifier
from shared.platform.provider import Providers
from shared.platform.settings import Settings
from shared.platform.subscription import Subscription

D = TypeVar("D", bound=Document)
T = TypeVar("T")


# A commit may become visible this long after its `updated_at`: the commit's timeout and retries, plus clock skew. Reads
# of changes since a time go back this much further.
CHANGES_SETTLE_IN = timedelta(seconds=15)


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """22 random URL-safe characters: 128 bits, not ordered by time (ordered ids make a hot range in Firestore)."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True)
class StoredObject:
    """The metadata of an object in the bucket. `crc32c` is base64, as in Cloud Storage."""

    name: str
    size_bytes: int
    crc32c: str
    content_type: str
    created_at: datetime


@dataclass(frozen=True)
class SignedUrl:
    """A URL that lets anybody who has it read one object until it expires."""

    url: str
    expires_at: datetime


class ObjectExists(Exception):  # noqa: N818
    """An object with that name and different bytes already exists."""


@dataclass(frozen=True)
class HttpAnswer:
    """The response of an external server; `data` is empty if only the status was requested.

    `retry_after_s`: the seconds in its Retry-After header, if that is a number.
    """

    status: int
    content_type: str = ""
    data: bytes = b""
    retry_after_s: float | None = None


class NotReached(Exception):  # noqa: N818
    """A call to a user's URL failed or was not made; the text is for that user."""


class JobsQuery(Protocol):
    """Which of an account's jobs to list, and in which order. Times are Unix seconds."""

    @property
    def after(self) -> str | None: ...
    @property
    def status(self) -> Status | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def project(self) -> str | None: ...
    @property
    def created_after(self) -> int | None: ...
    @property
    def created_before(self) -> int | None: ...
    @property
    def order(self) -> Literal["asc", "desc"]: ...
    @property
    def limit(self) -> int: ...


class Firestore(Protocol):
    """The part of Firestore that Rushes uses. Every method raises Unavailable if Firestore doesn't respond."""

    async def get(self, kind: type[D], id: str) -> D | None:  # noqa: A002 - Firestore's own word
        """One document, with its revision."""

    async def get_all(self, references: Sequence[tuple[type[Document], str]]) -> list[Document | None]:
        """Documents of any kind, by kind and id, in one round trip and in that order; None for missing ones."""

    async def commit(self, documents: Sequence[D], removed: Sequence[Document] = ()) -> list[D]:
        """Write `documents` and delete `removed`, all or nothing. A document without a revision must not exist yet; one
        with a revision, written or deleted, must not have changed.

        Returns the documents with their new revisions. Raises Conflict if a precondition fails, and NotStorable for a
        document that Firestore would always reject.
        """

    async def get_many(self, kind: type[D], ids: Sequence[str]) -> dict[str, D]:
        """The documents that exist, by id, in one round trip; unreadable ones are logged and left out."""

    async def due(self, kind: type[D], before: datetime, after: Place | None, limit: int) -> list[D]:
        """Documents whose due_at is before `before`, longest due first, starting after that place."""

    async def expired(self, kind: type[D], before: datetime, limit: int) -> list[D]:
        """Documents of a kind whose expires_at is before `before`, longest expired first."""

    async def expired_jobs(self, before: datetime, after: Place | None, limit: int) -> list[Job]:
        """Jobs whose expires_at is before `before`, longest expired first, starting after that place."""

    async def ended_jobs(self, since: datetime, until: datetime, after: Job | None, limit: int) -> list[Job]:
        """Jobs of all tenants that ended in `since` <= time < `until`, by (completed_at, id), after `after`."""

    async def count_jobs(self, status: Status) -> int:
        """How many jobs of all tenants have that status."""

    async def list_jobs(self, tenant: str, account: str, query: JobsQuery) -> list[Job]:
        """At most limit + 1 jobs of the account, by (created_at, id), without deleted ones."""

    async def changed_jobs(
        self, tenant: str, account: str, since: datetime, after: Job | None, limit: int
    ) -> list[Job]:
        """The account's jobs that changed since then, including deleted ones, by (updated_at, id), after `after`."""

    async def list_transactions(self, tenant: str, account: str, after: str | None, limit: int) -> list[Transaction]:
        """At most limit + 1 entries of the ledger, newest first."""

    async def newest(self, kind: type[D], where: Mapping[str, Any], after: D | None, limit: int) -> list[D]:
        """Documents whose fields (dotted paths) equal `where`, newest first by (created_at, id), after `after`."""

    async def accounts(self, after: str | None, limit: int) -> list[Account]:
        """Accounts ordered by id, after that id."""

    async def ledger_totals(self, account: str) -> tuple[int, int]:
        """The number of entries in the account's ledger, and the sum of their amounts."""

    async def job_of_operation(self, operation: str) -> Job | None:
        """The job whose current attempt has that operation at its provider."""

    async def read_config(self, name: str) -> dict[str, Any]:
        """The raw document config/NAME; empty if it doesn't exist."""


class ChangeFeed(Protocol):
    """Changes of jobs as they are committed.

    A watch reports every commit made after it is entered, and possibly some from before: if you read after entering,
    you miss nothing. A broken connection to the database doesn't end a watch.
    """

    def watch_job(self, job: str) -> AbstractContextManager[Subscription]:
        """One job."""

    def watch_account(self, tenant: str, account: str) -> AbstractContextManager[Subscription]:
        """All jobs of an account."""


class TaskQueue(Protocol):
    """Cloud Tasks."""

    async def create(self, task: Task) -> None:
        """Create the task under its name. Raises Unavailable.

        A name that already exists counts as success: a name belongs to one decision, so its task was created before,
        possibly by a call whose response was lost.
        """

    async def exists(self, ref: TaskRef) -> bool:
        """Whether the task is still in the queue. Raises Unavailable."""

    async def delete(self, ref: TaskRef) -> None:
        """Delete the task if it exists; a delivery in progress isn't stopped. Raises Unavailable."""


class ObjectStore(Protocol):
    """The bucket with the videos. Object names have no leading slash.

    Every method raises Unavailable; its subclass StorageRefused means that an operator may have to change something.
    """

    @property
    def bucket(self) -> str: ...

    async def stat(self, name: str) -> StoredObject | None:
        """The object's metadata; None if it doesn't exist."""

    async def list(self, prefix: str) -> list[StoredObject]:
        """All objects under the prefix, by name; for prefixes with few objects."""

    async def page(self, prefix: str, after: str, end: str, limit: int) -> builtins.list[StoredObject]:
        """At most `limit` objects under the prefix, by name, after `after` and before `end`."""

    async def write(self, name: str, produce: Callable[[BinaryIO], None], content_type: str) -> StoredObject:
        """Create the object from what `produce` writes (in a thread, in bounded memory); never replaces an object.

        If `produce` raises, no object is created. If the object already exists with the same bytes, that is success;
        with different bytes, it raises ObjectExists.
        """

    async def describe(self, name: str, disposition: str, metadata: Mapping[str, str]) -> None:
        """Set an object's Content-Disposition and metadata for people browsing the bucket. Raises FileNotFoundError."""

    async def use(self, name: str, use: Callable[[BinaryIO], T]) -> T:
        """Call `use` in a thread with a seekable reader that fetches ranges. Raises FileNotFoundError."""

    def stream(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from start to end, both included, in chunks of bounded size."""

    async def sign(self, name: str, filename: str, download: bool = False) -> SignedUrl:
        """A URL that allows GET on the object for some minutes.

        `download`: a browser saves it as `filename` instead of showing it.
        """

    async def delete(self, prefix: str) -> int:
        """Delete all objects under the prefix; returns how many there were."""


class PublicHttp(Protocol):
    """Calls to URLs from users; only public addresses are called."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """POST the body; only the status and Retry-After of the response are read. Raises NotReached."""

    async def fetch(self, url: str, max_bytes: int, accept: str = "*/*") -> HttpAnswer:
        """GET at most `max_bytes`; the response is always a 200. Raises NotReached."""


class Images(Protocol):
    """Inspects images where a malicious file can do no harm."""

    async def inspect(self, account: str, data: bytes) -> ImageFacts:
        """Check and decode the image. Raises NotAnImage, and Unavailable if it can't be read now.

        Each account's images are read one at a time; accounts don't wait for each other.
        """


class NoHttp:
    """A PublicHttp that makes no calls."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        raise NotReached("nothing is called from here")

    async def fetch(self, url: str, max_bytes: int, accept: str = "*/*") -> HttpAnswer:
        raise NotReached("nothing is called from here")


class Config(Protocol):
    """Live settings."""

    async def get(self) -> LiveSettings:
        """The current settings. Raises Unavailable until they have been read once, never afterwards."""


@dataclass(frozen=True)
class Services:
    """Everything outside that a handler may use."""

    settings: Settings
    firestore: Firestore
    changes: ChangeFeed
    tasks: TaskQueue
    objects: ObjectStore
    providers: Providers
    live_settings: Config
    verifier: Verifier
    images: Images
    public_http: PublicHttp = field(default_factory=NoHttp)
    clock: Callable[[], datetime] = utc_now
    ids: Callable[[], str] = new_id
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Place(Value):
    """A document's place in an ordered list: by time, if the list is ordered by one, and then by id."""

    moment: datetime | None = None
    id: str

    @classmethod
    def of(cls, document: Document, moment: str) -> Place:
        """The document's place in a list ordered by that field."""
        return cls(moment=document.model_dump(include={moment})[moment], id=document.id)
