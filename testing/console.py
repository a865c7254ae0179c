"""What an operator does and sees besides the API: Firestore's documents, Cloud Tasks' queues, the stand-in's counts."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any
from unittest import mock

import grpc
from google.api_core.exceptions import NotFound
from google.cloud import firestore, tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from local.supervisor.plan import REGION
from shared.core.catalog import MODELS
from shared.core.documents import Job, Status
from shared.platform.ports import new_id
from testing.cloud import Cloud, User

GENERATE_QUEUES = tuple(model.queue for model in MODELS.values())
GRANT_TRIES = 20


class Console:
    """The consoles of one running cloud. Close it before the cloud ends."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._channel = grpc.insecure_channel(cloud.session["tasks"])

    def close(self) -> None:
        self._channel.close()
        if "_database" in self.__dict__:
            self._database.close()

    # Firestore

    @cached_property
    def _database(self) -> firestore.Client:
        with mock.patch.dict(os.environ, {"FIRESTORE_EMULATOR_HOST": self._cloud.session["firestore"]}):
            return firestore.Client(project=self._cloud.session["project"])

    def edit_config(self, fields: Mapping[str, Any], name: str = "video") -> None:
        """Replace config/NAME."""
        self._database.collection("config").document(name).set(dict(fields))

    def remove_config(self, name: str = "video") -> None:
        self._database.collection("config").document(name).delete()

    def edit_account(self, id_: str, **fields: Any) -> None:
        """Set these fields of an account."""
        self._database.collection("accounts").document(id_).update(fields)

    def job(self, id_: str) -> Job:
        return _job(self._database.collection("jobs").document(id_).get())

    def exists(self, job: str) -> bool:
        return bool(self._database.collection("jobs").document(job).get().exists)

    def jobs(self, ids: Iterable[str]) -> list[Job]:
        references = [self._database.collection("jobs").document(id_) for id_ in ids]
        return [_job(snapshot) for snapshot in self._database.get_all(references)]

    def unfinished(self) -> int:
        """How many jobs have not ended."""
        going_on = firestore.FieldFilter("status", "in", [Status.QUEUED.value, Status.IN_PROGRESS.value])
        counted = self._database.collection("jobs").where(filter=going_on).count().get()
        return int(counted[0][0].value)

    def grant(self, account: str, amount: int) -> None:
        """Credits, as an administrator gives them."""
        admin = User(self._cloud, self._cloud.session["admin_token"])
        body = {"amount": amount, "description": "For a test"}
        answer = admin.call(
            "POST", f"/v1/admin/users/{account}/grants", json=body, headers={"Idempotency-Key": new_id()}
        )
        assert answer.status_code == 201, answer.text

    # Cloud Tasks

    @cached_property
    def _tasks(self) -> tasks_v2.CloudTasksClient:
        return tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=self._channel))

    def pause(self, queues: Iterable[str]) -> None:
        for queue in queues:
            self._tasks.pause_queue(name=self._queue(queue))

    def resume(self, queues: Iterable[str]) -> None:
        for queue in queues:
            self._tasks.resume_queue(name=self._queue(queue))

    def purge(self, queues: Iterable[str]) -> None:
        for queue in queues:
            self._tasks.purge_queue(name=self._queue(queue))

    def tasks(self, queue: str) -> list[str]:
        """The ids of the queue's tasks."""
        return [task.name.rpartition("/")[2] for task in self._tasks.list_tasks(parent=self._queue(queue))]

    def hurry(self, queues: Iterable[str]) -> None:
        """Attempt at once every task not being attempted, regardless of the queues' pace and state."""
        for queue in queues:
            for task in self._tasks.list_tasks(parent=self._queue(queue)):
                if task.response_count == task.dispatch_count:
                    # It may have been done meanwhile.
                    with contextlib.suppress(NotFound):
                        self._tasks.run_task(name=task.name)

    def _queue(self, queue: str) -> str:
        return f"projects/{self._cloud.session['project']}/locations/{REGION}/queues/{queue}"

    # The stand-in for the providers

    def starts(self) -> dict[str, int]:
        """How often the providers accepted each prompt, and would have sent a bill."""
        stats = self._cloud.http.get(f"{self._cloud.session['providers']}/_stats").json()
        return {prompt: counts.get("accepted", 0) for prompt, counts in stats["prompts"].items()}


def _job(snapshot: Any) -> Job:
    absent = dict.fromkeys(Job.absent_when_none)
    return Job.model_validate({**absent, **(snapshot.to_dict() or {}), "id": snapshot.id})
