"""Users and jobs written directly into the local cloud, because creating them through the API would take too long."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from google.cloud import firestore
from google.cloud.firestore_v1.types import CommitRequest, Document

from bench.environment import Stand
from local.identity.keys import Signer
from local.supervisor.plan import PROJECT
from shared.core.catalog import MODELS
from shared.core.documents import Job, Output, Stage, Status, TaskRef, VideoRequest
from shared.gateways.firestore import _encode
from shared.gateways.firestore_codec import fill
from shared.platform.identity import DEFAULT_TENANT, Identity
from shared.platform.ports import new_id

MODEL: Final = "veo-3.1-fast"
# Firestore's own limit of writes in one commit.
WRITES_PER_COMMIT: Final = 500
COMMITS_AT_ONCE: Final = 2
# The plain protobuf classes within the client's: what is filled and copied a hundred thousand times.
_Document: Any = Document.pb()
_CommitRequest: Any = CommitRequest.pb()
# Nothing of a seeded job ever falls due while a bench runs.
_LATER: Final = timedelta(days=1)


@dataclass(frozen=True)
class Person:
    """A user who is signed in, and the account that the first request makes."""

    token: str
    account: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


def people(stand: Stand, count: int) -> list[Person]:
    """Users with tokens of the identity server's own key: without passwords, whose hashing takes its time."""
    signer = Signer.of(stand.directory / "identity", PROJECT)
    found = []
    for _ in range(count):
        sub = secrets.token_hex(14)
        email = f"{sub}@example.com"
        identity = Identity(signer.issuer, sub, DEFAULT_TENANT, email, email_verified=True)
        found.append(Person(signer.id_token(sub, email=email), identity.account_id))
    return found


def unfinished(account: str) -> Job:
    """A job that is being generated."""
    now = datetime.now(UTC)
    return Job(
        id=f"video_{new_id()}",
        tenant=DEFAULT_TENANT,
        account=account,
        request=VideoRequest(
            prompt="A paper boat drifts down a rain-soaked street at dusk, the camera close to the water",
            model=MODEL,
            seconds=8,
            aspect_ratio="16:9",
            resolution="720p",
            generate_audio=True,
        ),
        provider="vertex",
        fingerprint=secrets.token_hex(32),
        status=Status.IN_PROGRESS,
        stage=Stage.GENERATING,
        step=3,
        task=TaskRef(name=f"step-{new_id()}", queue="poll"),
        due_at=now + _LATER,
        attempt=1,
        attempt_started_at=now,
        operation=f"operations/{new_id()}",
        expected_s=MODELS[MODEL].expected_s,
        cost=80,
        created_at=now,
        updated_at=now,
        started_at=now,
        change_id=new_id(),
    )


def completed(job: Job, outputs: tuple[Output, ...] = ()) -> Job:
    """The job once its videos can be played; it counts as viewed, so that no view of it is written down."""

    return job.changed(
        status=Status.COMPLETED,
        stage=Stage.COMPLETED,
        due_at=None,
        outputs=outputs,
        completed_at=job.created_at,
        last_viewed_at=job.created_at,
        expires_at=job.created_at + timedelta(days=365),
    )


def create(client: firestore.Client, *jobs: Job) -> None:
    """Write new jobs, in commits as large as Firestore takes."""
    for first in range(0, len(jobs), WRITES_PER_COMMIT):
        _commit(client, (_document(client, job) for job in jobs[first : first + WRITES_PER_COMMIT]))


def copies(client: firestore.Client, job: Job, count: int, every: timedelta) -> None:
    """Write so many jobs that differ from that one in their ids and times only, each made a while before the last."""
    template = _document(client, job)

    def write(first: int) -> None:
        numbers = range(first, min(first + WRITES_PER_COMMIT, count))
        _commit(client, (_copied(client, template, job.created_at - number * every) for number in numbers))

    with ThreadPoolExecutor(COMMITS_AT_ONCE) as pool:
        # All of them are awaited, and an error is raised here.
        list(pool.map(write, range(0, count, WRITES_PER_COMMIT)))


def _document(client: firestore.Client, job: Job) -> Any:
    document = _Document(name=_name(client, job.id))
    fill(document.fields, _encode(job))
    return document


def _copied(client: firestore.Client, template: Any, made_at: datetime) -> Any:
    document = _Document()
    document.CopyFrom(template)
    document.name = _name(client, f"video_{new_id()}")
    for field in ("created_at", "updated_at", "completed_at"):
        document.fields[field].timestamp_value.FromDatetime(made_at)
    return document


def _database(client: firestore.Client) -> str:
    return f"projects/{client.project}/databases/(default)"


def _name(client: firestore.Client, id_: str) -> str:
    return f"{_database(client)}/documents/{Job.collection}/{id_}"


def _commit(client: firestore.Client, documents: Iterable[Any]) -> None:
    request = _CommitRequest(database=_database(client))
    for document in documents:
        request.writes.add().update.CopyFrom(document)
    client._firestore_api.commit(request=CommitRequest.wrap(request), metadata=client._rpc_metadata)
