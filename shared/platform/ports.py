"""What Rushes needs of the world: the protocols of the gateways, the values they exchange, and `Services`.

Handlers get one frozen `Services` and reach for no client of their own. shared/wiring.py builds it for the cloud and
the laptop; tests, the simulation and the embedded form build it from memory.
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


# A commit may be known this long after the `updated_at` that it writes: its own timeout and retries, and clocks that
# do not quite agree. Who looks for changes since a moment looks this much further back.
CHANGES_SETTLE_IN = timedelta(seconds=15)


def utc_now() -> datetime:
    return datetime.now(UTC)


def new_id() -> str:
    """22 random url-safe characters: 128 bits, never ordered by time (ordered ids make a hot range in Firestore)."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True)
class StoredObject:
    """An object as the bucket knows it. `crc32c` is base64, as Cloud Storage writes it."""

    name: str
    size_bytes: int
    crc32c: str
    content_type: str
    created_at: datetime


@dataclass(frozen=True)
class SignedUrl:
    """A URL that gives whoever has it the right to read one object until a moment."""

    url: str
    expires_at: datetime


class ObjectExists(Exception):  # noqa: N818
    """There is an object of that name already, with other bytes."""


@dataclass(frozen=True)
class HttpAnswer:
    """What a server outside answered; `data` is empty where only the status was wanted.

    `retry_after_s`: the seconds of its Retry-After header, where it has one that is a number.
    """

    status: int
    content_type: str = ""
    data: bytes = b""
    retry_after_s: float | None = None


class NotReached(Exception):  # noqa: N818
    """A call to an address of a user's came to nothing, or was not made; the text is for that user."""


class JobsQuery(Protocol):
    """Which of an account's jobs are listed, and in which order. The two moments are Unix seconds."""

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
    """Firestore, as much of it as Rushes uses. Every method raises Unavailable when it does not answer."""

    async def get(self, kind: type[D], id: str) -> D | None:  # noqa: A002 - Firestore's own word
        """One document, with its revision."""

    async def get_all(self, references: Sequence[tuple[type[Document], str]]) -> list[Document | None]:
        """Documents of any kinds, by kind and id, in one round trip and in that order; None for what is not there."""

    async def commit(self, documents: Sequence[D], removed: Sequence[Document] = ()) -> list[D]:
        """Write and remove all or nothing: one without a revision must not exist, one with a revision must not have
        changed, and so must each of `removed`, which are deleted.

        Answers the documents with their new revisions; raises Conflict when a precondition fails, and NotStorable for
        a document that Firestore would reject at every try.
        """

    async def get_many(self, kind: type[D], ids: Sequence[str]) -> dict[str, D]:
        """Those of the documents that are there, by id, in one round trip; an unreadable one is missing, and logged."""

    async def due(self, kind: type[D], before: datetime, after: Place | None, limit: int) -> list[D]:
        """Documents whose due_at is before the moment, the longest due first, from behind that place on."""

    async def expired(self, kind: type[D], before: datetime, limit: int) -> list[D]:
        """Documents of a kind whose expires_at is before the moment, the longest expired first."""

    async def expired_jobs(self, before: datetime, after: Place | None, limit: int) -> list[Job]:
        """Jobs whose expires_at is before the moment, the longest expired first, from behind that place on."""

    async def ended_jobs(self, since: datetime, until: datetime, after: Job | None, limit: int) -> list[Job]:
        """Jobs of all tenants that ended from `since` to before `until`, by (completed_at, id), after the last seen."""

    async def count_jobs(self, status: Status) -> int:
        """How many jobs of all tenants have that status now."""

    async def list_jobs(self, tenant: str, account: str, query: JobsQuery) -> list[Job]:
        """At most limit + 1 jobs of the account, by (created_at, id), deleted ones left out."""

    async def changed_jobs(
        self, tenant: str, account: str, since: datetime, after: Job | None, limit: int
    ) -> list[Job]:
        """The account's jobs that changed since then, deleted ones too, by (updated_at, id), after the last seen."""

    async def list_transactions(self, tenant: str, account: str, after: str | None, limit: int) -> list[Transaction]:
        """At most limit + 1 entries of the ledger, newest first."""

    async def newest(self, kind: type[D], where: Mapping[str, Any], after: D | None, limit: int) -> list[D]:
        """Documents whose fields (by dotted path) equal `where`: newest first by (created_at, id), after `after`."""

    async def accounts(self, after: str | None, limit: int) -> list[Account]:
        """Accounts by id, from behind that id on."""

    async def ledger_totals(self, account: str) -> tuple[int, int]:
        """How many entries the account's ledger has, and the sum of their amounts."""

    async def job_of_operation(self, operation: str) -> Job | None:
        """The job whose present attempt is that operation of its provider."""

    async def read_config(self, name: str) -> dict[str, Any]:
        """The document config/NAME as it stands; empty when there is none."""


class ChangeFeed(Protocol):
    """The jobs' changes as they are committed.

    A watch tells every commit that is made once it is entered, and perhaps some that were made before: who reads after
    entering misses nothing. A broken connection to the database ends no watch.
    """

    def watch_job(self, job: str) -> AbstractContextManager[Subscription]:
        """One job."""

    def watch_account(self, tenant: str, account: str) -> AbstractContextManager[Subscription]:
        """All jobs of an account."""


class TaskQueue(Protocol):
    """Cloud Tasks."""

    async def create(self, task: Task) -> None:
        """Create the task under its name. Raises Unavailable.

        A name that is taken is success: it belongs to one decision, whose task was created before, perhaps by a call
        whose answer was lost.
        """

    async def exists(self, ref: TaskRef) -> bool:
        """Whether the task is still to be delivered. Raises Unavailable."""

    async def delete(self, ref: TaskRef) -> None:
        """Delete the task if it is there; a delivery under way goes on. Raises Unavailable."""


class ObjectStore(Protocol):
    """The bucket of the videos. Object names have no leading slash.

    Every method raises Unavailable; its kind StorageRefused says that an operator may have to change something.
    """

    @property
    def bucket(self) -> str: ...

    async def stat(self, name: str) -> StoredObject | None:
        """What is known of one object."""

    async def list(self, prefix: str) -> list[StoredObject]:
        """All objects under the prefix, by name; for prefixes that hold few."""

    async def page(self, prefix: str, after: str, end: str, limit: int) -> builtins.list[StoredObject]:
        """At most so many objects under the prefix, by name, behind `after` and before `end`."""

    async def write(self, name: str, produce: Callable[[BinaryIO], None], content_type: str) -> StoredObject:
        """Create the object from what `produce` writes (in a thread, bounded memory); never replaces one.

        An exception in `produce` leaves no object behind. An object that exists already with the same bytes is
        success; with other bytes ObjectExists is raised.
        """

    async def describe(self, name: str, disposition: str, metadata: Mapping[str, str]) -> None:
        """Say of an object what people who look into the bucket read there. Raises FileNotFoundError."""

    async def use(self, name: str, use: Callable[[BinaryIO], T]) -> T:
        """Call `use` in a thread with a seekable reader that fetches ranges; raises FileNotFoundError."""

    def stream(self, name: str, start: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from start to end inclusive, in bounded pieces."""

    async def sign(self, name: str, filename: str, download: bool = False) -> SignedUrl:
        """A URL that gives its holder GET on the object, for some minutes.

        `download`: a browser saves it as `filename`, rather than show it.
        """

    async def delete(self, prefix: str) -> int:
        """Delete all objects under the prefix; answers how many there were."""


class PublicHttp(Protocol):
    """Calls to addresses that users name; only public ones are called."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """POST the body; of the answer only the status and Retry-After are looked at. Raises NotReached."""

    async def fetch(self, url: str, max_bytes: int, accept: str = "*/*") -> HttpAnswer:
        """GET at most so many bytes; the answer is a 200. Raises NotReached."""


class Images(Protocol):
    """What images really are, found out where a clever file can do no harm."""

    async def inspect(self, account: str, data: bytes) -> ImageFacts:
        """Check and decode the image. Raises NotAnImage, and Unavailable when it could not be read now.

        Of one account one image is read at a time; nobody waits for another's.
        """


class NoHttp:
    """An PublicHttp that calls nobody."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        raise NotReached("nothing is called from here")

    async def fetch(self, url: str, max_bytes: int, accept: str = "*/*") -> HttpAnswer:
        raise NotReached("nothing is called from here")


class Config(Protocol):
    """Live settings."""

    async def get(self) -> LiveSettings:
        """The settings in force. Raises Unavailable until they were read once, never afterwards."""


@dataclass(frozen=True)
class Services:
    """Everything that a handler may touch."""

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
    """A document's place in an ordered list: by its moment, where the list is ordered by one, and then by its id."""

    moment: datetime | None = None
    id: str

    @classmethod
    def of(cls, document: Document, moment: str) -> Place:
        """The place in the list that is ordered by that field."""
        return cls(moment=document.model_dump(include={moment})[moment], id=document.id)
