"""Every query that the code can make, as it would be sent to Firestore.

The store is the real one; its client keeps what it is asked and answers that there is nothing. The code that asks is
called for each of its questions, and where it was called from is kept too, so that a question that nobody asks here is
noticed.
"""

from __future__ import annotations

import ast
import base64
import hashlib
import hmac
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Final

from google.auth.credentials import AnonymousCredentials
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1.types import (
    RunAggregationQueryResponse,
    RunQueryRequest,
    RunQueryResponse,
    StructuredQuery,
)
from google.cloud.firestore_v1.types.query import StructuredAggregationQuery
from starlette.datastructures import Headers

from shared.accounts import api_keys, deletion, exports
from shared.accounts.chores import Chore
from shared.admin import users, videos
from shared.api.accounts import ListTransactionsQuery
from shared.api.projects import ListProjectsQuery, NewProject
from shared.api.tenant_videos import ListTenantVideosQuery
from shared.api.users import ListUsersQuery
from shared.api.videos import ListVideosQuery
from shared.api.webhooks import ListDeliveriesQuery
from shared.core.documents import Account, Document, Job, Status
from shared.gateways import firestore_listen
from shared.gateways.firestore import GoogleFirestore
from shared.jobs import provider_events, queries, submission
from shared.maintenance import expected_times, reconciliation, retention, sweeper, weekly_report
from shared.platform import durable_tasks
from shared.platform.identity import Caller
from shared.platform.ports import Services
from shared.streaming import event_stream
from shared.webhooks import deliveries
from shared.webhooks.deliveries import Delivery
from shared.webhooks.endpoints import WebhookEndpoint
from shared.workspace import projects
from tests.contract.test_store import NOON, a_job, an_account
from tests.unit.conftest import SETTINGS, House

SHARED: Final = Path(__file__).parents[2] / "shared"
TENANT, ACCOUNT, ENDPOINT = "tenant", "a" * 22, "whe_" + "e" * 22
CALLER: Final = Caller(ACCOUNT, TENANT, "admin", "default", None)
SECRET: Final = "whsec_" + base64.b64encode(b"k" * 24).decode()

Question = Callable[[Services], Awaitable[object]]


@dataclass(frozen=True)
class Place:
    """A line of the code that asks the store for documents."""

    file: str
    line: int


@dataclass
class Recorded:
    """What was asked, and from where. `sums` are the fields that an aggregation adds up."""

    queries: list[tuple[StructuredQuery, tuple[str, ...]]] = field(default_factory=list)
    frames: set[Place] = field(default_factory=set)


class _Wire:
    """In place of Firestore's API: answers every query with nothing."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded

    async def run_query(self, request: RunQueryRequest, **_: Any) -> AsyncIterator[RunQueryResponse]:
        self._note(request.structured_query)
        return _none()

    async def run_aggregation_query(
        self, request: dict[str, Any], **_: Any
    ) -> AsyncIterator[RunAggregationQueryResponse]:
        asked = StructuredAggregationQuery(request["structured_aggregation_query"])
        self._note(
            asked.structured_query, tuple(one.sum.field.field_path for one in asked.aggregations if "sum" in one)
        )
        zeros = {one.alias: {"integer_value": 0} for one in asked.aggregations}
        return _one(RunAggregationQueryResponse(result={"aggregate_fields": zeros}))

    def _note(self, query: Any, sums: tuple[str, ...] = ()) -> None:
        self._recorded.queries.append((StructuredQuery(query), sums))
        frame = sys._getframe()
        while frame is not None:
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(SHARED):
                self._recorded.frames.add(Place(path.relative_to(SHARED).as_posix(), frame.f_lineno))
            frame = frame.f_back  # type: ignore[assignment]


async def _none() -> AsyncIterator[RunQueryResponse]:
    return
    yield


async def _one(answer: RunAggregationQueryResponse) -> AsyncIterator[RunAggregationQueryResponse]:
    yield answer


class _Store(GoogleFirestore):
    """Asks the wire for lists; single documents are those of `known`, whatever their id."""

    def __init__(self, wire: _Wire, known: dict[type[Document], Document]) -> None:
        super().__init__(SETTINGS)
        client = AsyncClient(project=SETTINGS.google_cloud_project, credentials=AnonymousCredentials())  # type: ignore[no-untyped-call]
        client._firestore_api_internal = wire
        self.__dict__["_client"] = client
        self._known = known

    async def get(self, kind: type[Any], id: str) -> Any:  # noqa: A002
        return self._known.get(kind)

    async def commit(self, documents: Any, removed: Any = ()) -> Any:
        return list(documents)


async def record() -> Recorded:
    """Ask every question."""
    recorded = Recorded()
    for question in questions():
        await question(_services(recorded))
    query = firestore_listen._changes_query(TENANT, ACCOUNT, NOON)
    recorded.queries.append((query, ()))
    return recorded


def _services(recorded: Recorded) -> Services:
    known: dict[type[Document], Document] = {
        Account: an_account(id=ACCOUNT, tenant=TENANT, role="admin"),
        Job: a_job(tenant=TENANT, account=ACCOUNT),
        WebhookEndpoint: WebhookEndpoint.model_construct(tenant=TENANT, account=ACCOUNT, id=ENDPOINT),
    }
    settings = SETTINGS.model_copy(update={"gemini_webhook_secret": SECRET})
    return replace(House().services, settings=settings, firestore=_Store(_Wire(recorded), known))


def questions() -> Iterator[Question]:
    """Every piece of code that lists documents, with every combination of what it can be asked for."""
    yield from _of_videos()
    for email in (None, "a@example.com"):
        yield partial(users.page, caller=CALLER, query=ListUsersQuery(email=email))
    listed = ListDeliveriesQuery()
    yield lambda services: deliveries.of_endpoint(services, CALLER, ENDPOINT, listed)
    yield lambda services: deliveries.of_video(services, CALLER, a_job(tenant=TENANT, account=ACCOUNT), listed)
    yield lambda services: queries.own_transactions(services, CALLER, ListTransactionsQuery())
    yield lambda services: projects.page(services, CALLER, ListProjectsQuery())
    yield lambda services: projects.make(services, CALLER, NewProject(id="p", title="P"))
    yield lambda services: projects.check(services, TENANT, "p")
    yield lambda services: api_keys.own(services, ACCOUNT)
    account = an_account(tenant=TENANT)
    for part in (exports._videos, exports._transactions, exports._api_keys, exports._projects):
        yield partial(_exported, part, account)
    yield lambda services: exports._recent(services, CALLER)
    chore = Chore.model_construct(
        tenant=TENANT, account=ACCOUNT, cursor=None, created_at=datetime.min.replace(tzinfo=UTC)
    )
    for phase in (
        deletion._projects,
        deletion._ledger,
        deletion._api_keys,
        deletion._videos,
        deletion._exports,
        deletion._deliveries,
        deletion._remains,
    ):
        yield partial(_erased, phase, chore)
    yield sweeper.sweep
    yield sweeper.count_unfinished
    yield lambda services: durable_tasks.sweep(services, Chore, Delivery)
    yield lambda services: durable_tasks.remove_expired(services, Delivery, Chore)
    yield retention.apply_retention
    yield reconciliation.reconcile
    yield lambda services: reconciliation._compare(services, account)
    yield weekly_report.report_last_week
    yield expected_times.learn
    yield _event


def _of_videos() -> Iterator[Question]:
    filters: list[dict[str, Any]] = [{}, {"status": Status.QUEUED}, {"model": "m"}, {"project": "p"}]
    ranges: list[dict[str, Any]] = [{}, {"created_after": 1}, {"created_before": 2}]
    for order, chosen, within in product(("asc", "desc"), filters, ranges):
        yield partial(queries.own_jobs, caller=CALLER, query=ListVideosQuery(order=order, **chosen, **within))
    for wanted in ({}, {"status": Status.QUEUED}, {"model": "m"}, {"user": ACCOUNT}):
        yield partial(videos.page, caller=CALLER, query=ListTenantVideosQuery(**wanted))
    yield lambda services: submission._take_repeated(services, CALLER, "fingerprint", 1)
    yield lambda services: _all(event_stream._unfinished(services, CALLER, event_stream.UNFINISHED))
    yield lambda services: _all(event_stream._changed(services, CALLER, NOON))


async def _all(iterator: AsyncIterator[Any]) -> None:
    async for _ in iterator:
        pass


async def _exported(part: Any, account: Any, services: Services) -> None:
    await part(services, account, None)


async def _erased(phase: Any, chore: Chore, services: Services) -> None:
    await phase(services, chore)


async def _event(services: Services) -> None:
    """A signed event of the Gemini API."""
    raw, moment = b'{"type": "video.completed", "data": {"id": "operation"}}', int(services.clock().timestamp())
    signed = hmac.new(b"k" * 24, f"id.{moment}.".encode() + raw, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(signed).decode()}"
    headers = {"webhook-id": "id", "webhook-timestamp": str(moment), "webhook-signature": signature}

    async def body() -> bytes:
        return raw

    await provider_events.gemini_event(services, Headers(headers), body)


def places(shared: Path = SHARED) -> dict[Place, range]:
    """Every call of a listing method of the store in shared/, with the lines that it takes."""
    methods = {name for name in vars(GoogleFirestore) if not name.startswith("_")}
    methods -= {"get", "get_all", "get_many", "commit", "read_config"}
    found = {}
    for path in sorted(shared.rglob("*.py")):
        file = path.relative_to(shared).as_posix()
        if file in ("gateways/firestore.py", "wiring.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in methods:
                owner = node.func.value
                if isinstance(owner, ast.Attribute) and owner.attr == "firestore":
                    last = node.end_lineno or node.lineno
                    found[Place(file, node.lineno)] = range(node.lineno, last + 1)
    return found


def unasked(recorded: Recorded) -> list[Place]:
    """Code that lists documents and was not reached by the questions."""
    return [
        place
        for place, lines in places().items()
        if not any(seen.file == place.file and seen.line in lines for seen in recorded.frames)
    ]
