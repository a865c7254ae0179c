"""The least that a submit or a look can be: the same calls by the same clients, and nothing of ours around them.

A function on functions-framework, so that what its requests take is comparable with ours. The documents it writes are
those of a real submit, encoded once, when the process starts: no model, no rule, no identity, no log.
"""

from __future__ import annotations

import json
import os
import secrets
from datetime import UTC, datetime
from functools import cache
from typing import Any

import functions_framework.aio
import grpc
from google.cloud import firestore, tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcAsyncIOTransport
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.api.videos import CreateVideo
from shared.core import admission, catalog, lifecycle, pricing
from shared.core.documents import Account, Document, LiveSettings
from shared.kinds import video

BODY = CreateVideo(prompt="A paper boat sails down a rainy street")
QUEUE = "projects/{project}/locations/{region}/queues/{queue}"
TRANSACTION_TRIES = 1_000
CONFIG = LiveSettings(active_jobs_limit=500)


@cache
def clients() -> tuple[firestore.AsyncClient, tasks_v2.CloudTasksAsyncClient]:
    channel = grpc.aio.insecure_channel(os.environ["CLOUD_TASKS_EMULATOR_HOST"])
    tasks = tasks_v2.CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
    return firestore.AsyncClient(project=os.environ["GOOGLE_CLOUD_PROJECT"]), tasks


def decided(job_id: str, account: Account) -> lifecycle.Change:
    """What a submit comes to, by the rules of the core."""
    choice = catalog.choose(None, ("veo-3.1-fast",), catalog.Offering(frozenset({"vertex"})), allow_replacements=False)
    request = video.resolve(BODY, choice.model, None)
    plan = admission.Submission(
        job_id=job_id,
        request=request,
        cost=pricing.cost(request, CONFIG),
        expected_s=choice.model.expected_s,
        fingerprint=secrets.token_hex(32),
        provider="vertex",
    )
    return lifecycle.submit(plan, account, datetime.now(UTC), CONFIG)


def fields(document: Document) -> dict[str, Any]:
    return document.model_dump(exclude={"id"})


@cache
def template() -> lifecycle.Change:
    now = datetime.now(UTC)
    return decided("video_x", Account(id="x", issuer="x", sub="x", tenant="default", balance=10**9, created_at=now))


def references(job_id: str, account_id: str) -> tuple[Any, Any, Any]:
    database, _ = clients()
    return (
        database.collection("jobs").document(job_id),
        database.collection("accounts").document(account_id),
        database.collection("credit_transactions").document(f"{job_id}-charge"),
    )


async def submit(account_id: str) -> Response:
    """One read of two documents, one commit of three writes, one task."""
    database, _ = clients()
    job_id = f"video_{secrets.token_urlsafe(16)}"
    job, account, charge = references(job_id, account_id)
    found = {snapshot.id: snapshot async for snapshot in database.get_all([job, account])}
    known = found[account_id]
    change = template()
    batch = database.batch()
    batch.create(job, fields(change.job))
    revision = database.write_option(last_update_time=known.update_time)
    batch.update(account, {**(known.to_dict() or {}), "change_id": job_id}, option=revision)
    batch.create(charge, fields(change.transactions[0]))
    await batch.commit()
    await create_task(change.task, job_id)
    return JSONResponse({"id": job_id}, 202)


async def create_task(task: lifecycle.Task | None, job_id: str) -> None:
    _, tasks = clients()
    assert task is not None
    queue = QUEUE.format(project=os.environ["GOOGLE_CLOUD_PROJECT"], region=os.environ["REGION"], queue=task.ref.queue)
    message = tasks_v2.Task(
        name=f"{queue}/tasks/{job_id}",
        http_request=tasks_v2.HttpRequest(
            http_method=tasks_v2.HttpMethod.POST,
            url=f"{os.environ['POLL_URL']}{task.path}",
            headers={"Content-Type": "application/json"},
            body=json.dumps(task.body).encode(),
            oidc_token=tasks_v2.OidcToken(
                service_account_email=os.environ["TASKS_SERVICE_ACCOUNT"], audience=os.environ["POLL_URL"]
            ),
        ),
    )
    await tasks.create_task(parent=queue, task=message)


async def look(job_id: str) -> Response:
    """One read of one document."""
    database, _ = clients()
    snapshot = await database.collection("jobs").document(job_id).get()
    return JSONResponse({"id": snapshot.id, "status": snapshot.get("status")})


async def transact(account_id: str) -> Response:
    """A submit by our rules, inside of a Firestore transaction, as the older designs had it."""
    database, _ = clients()
    job_id = f"video_{secrets.token_urlsafe(16)}"
    job, account, charge = references(job_id, account_id)

    @firestore.async_transactional
    async def submitted(transaction: firestore.AsyncTransaction) -> lifecycle.Change:
        known = await account.get(transaction=transaction)
        change = decided(job_id, Account.model_validate({**(known.to_dict() or {}), "id": account_id}))
        assert change.account is not None
        transaction.create(job, fields(change.job))
        transaction.update(account, fields(change.account))
        transaction.create(charge, fields(change.transactions[0]))
        return change

    change = await submitted(database.transaction(max_attempts=TRANSACTION_TRIES))
    await create_task(change.task, job_id)
    return JSONResponse({"id": job_id}, 202)


@functions_framework.aio.http
async def bare(request: Request) -> Response:
    kind, _, id_ = request.url.path.strip("/").partition("/")
    match kind:
        case "submit":
            return await submit(id_)
        case "transact":
            return await transact(id_)
        case "look":
            return await look(id_)
        case _:
            return Response()
