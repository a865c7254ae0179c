"""The local cloud as benchmarks use it: its functions without the gateway, and its queues paused.

A task that is created stays where it is, so that nothing but what is measured runs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from unittest import mock

import grpc
import httpx2
from google.cloud import firestore, tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

from local.ports import HOST
from local.supervisor.plan import PROJECT, REGION, Plan
from shared.api.routing import FUNCTIONS, Function
from testing.cloud import Cloud, User
from testing.processes import Processes

CREDITS = 1_000_000_000
# The benches are in a hurry, and their users' limits are not what is measured.
UNLIMITED = {"SIGNUP_CREDITS": str(CREDITS), "REQUESTS_PER_MINUTE": "1000000", "LOG_LEVEL": "INFO"}
# As many as the live settings allow.
ACTIVE_LIMIT = 500
# Not while something is measured: to a sweep, thousands of jobs at rest are overdue.
SWEPT_EVERY_S = 86_400.0


@dataclass
class Stand:
    """A running local cloud with everything that a bench needs to know of it."""

    cloud: Cloud
    processes: Processes

    @classmethod
    @contextmanager
    def started(cls, directory: Path, **environ: str) -> Iterator[Stand]:
        with Cloud.started(directory, sweep_every_s=SWEPT_EVERY_S, **{**UNLIMITED, **environ}) as cloud:
            stand = cls(cloud, Processes(cloud))
            stand.rest()
            with stand.firestore() as client:
                client.collection("config").document("video").set({"active_jobs_limit": ACTIVE_LIMIT})
            # New processes have read nothing older.
            stand.processes.replace(FUNCTIONS)
            yield stand

    @property
    def directory(self) -> Path:
        return self.cloud.directory

    def port(self, function: Function) -> int:
        return self.processes[function].port

    def group(self, name: str) -> int:
        """The process group of a function or of another part of the cloud."""
        return self.processes[name].pgid

    def user(self) -> User:
        return self.cloud.user()

    @cached_property
    def environ(self) -> dict[str, str]:
        """The functions' settings and paths, for a server that is to find the same services."""
        listed = json.loads((self.directory / "processes.json").read_text())
        plan = Plan(self.directory, {name: entry["port"] for name, entry in listed.items() if name in _SERVERS})
        return {**plan.function_environment(), **UNLIMITED, "PYTHONPATH": str(Path(__file__).parents[1])}

    def rest(self) -> None:
        """Pause all queues."""
        for queue in self._tasks.list_queues(parent=f"projects/{PROJECT}/locations/{REGION}"):
            self._tasks.pause_queue(name=queue.name)

    @contextmanager
    def firestore(self, project: str = PROJECT) -> Iterator[firestore.Client]:
        """The database, from the inside; that of another project is one of its own."""
        host = f"{HOST}:{self.processes['firestore'].port}"
        with mock.patch.dict(os.environ, {"FIRESTORE_EMULATOR_HOST": host}):
            client = firestore.Client(project=project)
        try:
            yield client
        finally:
            client.close()

    @cached_property
    def _tasks(self) -> tasks_v2.CloudTasksClient:
        channel = grpc.insecure_channel(f"{HOST}:{self.processes['tasks'].port}")
        return tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=channel))


_SERVERS = (*Plan.SERVERS, "gateway")


def bearer(user: User) -> dict[str, str]:
    return {"Authorization": f"Bearer {user.token}"}


def known(stand: Stand, user: User) -> str:
    """Have the user's account made; its id."""
    answer = httpx2.get(
        f"http://{HOST}:{stand.port('history')}/v1/account", headers=bearer(user), timeout=30.0, trust_env=False
    )
    return str(answer.raise_for_status().json()["id"])
