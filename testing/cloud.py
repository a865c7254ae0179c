"""A running local cloud as tests see it: its users, and what is in its store."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock
from urllib.parse import quote

import httpx2
from google.cloud import firestore

from local.embedded.saved import SavedStore, saved_object
from local.identity import MAILBOX, STS, TOOLKIT
from local.supervisor.plan import BUCKET
from shared.admin.tenants import TenantBudget, TenantGrant
from shared.core.documents import Account, Document, Job, Transaction
from testing.invariants import Records

ROOT = Path(__file__).parents[1]
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 60.0
JOB_TIMEOUT_S = 120.0
SAVED_TIMEOUT_S = 60.0
Json = dict[str, Any]
D = TypeVar("D", bound=Document)

# Generations take a moment and are rendered once per size and length, so that a hundred jobs are no patience test.
QUICK = {"PROVIDERS_MIN_SECONDS": "0.1", "PROVIDERS_MAX_SECONDS": "0.3", "PROVIDERS_CACHE": "1"}
# All tests come from one address, poll their jobs more often than a client should, and share each model's quota.
UNHURRIED = {
    "REQUESTS_PER_MINUTE": "100000",
    "REQUESTS_PER_MINUTE_PER_IP": "1000000",
    "SIGN_UPS_PER_HOUR": "1000000",
    # As fast as Cloud Tasks can be.
    "STARTS_PER_MINUTE": "30000",
}
IDENTITY_ADMIN = {"Authorization": "Bearer owner"}


@dataclass
class Cloud:
    """`python -m local up` in a directory of its own, on free ports."""

    directory: Path
    embedded: bool
    process: subprocess.Popen[bytes]
    session: Json
    http: httpx2.Client

    @property
    def url(self) -> str:
        return str(self.session["url"])

    @classmethod
    @contextmanager
    def started(
        cls, directory: Path, embedded: bool = False, sweep_every_s: float | None = None, **environ: str
    ) -> Iterator[Cloud]:
        command = [sys.executable, "-m", "local", "up", "--headless", "--with-parent", "--directory", str(directory)]
        command += ["--embedded"] if embedded else []
        command += ["--sweep-every", str(sweep_every_s)] if sweep_every_s else []
        log = (directory / "up.log").open("wb")
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **QUICK, **UNHURRIED, **environ},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            with httpx2.Client(timeout=30.0, trust_env=False) as http:
                yield cls(directory, embedded, process, _session(directory, process), http)
        finally:
            log.close()
            _stop(process)

    def user(self) -> User:
        """A new user with a verified address and the credits of a sign-up."""
        body = {
            "email": f"user-{secrets.token_hex(6)}@example.com",
            "password": secrets.token_urlsafe(12),
            "returnSecureToken": True,
        }
        signed_up = self.identity("signUp", **body)
        self.verify_email(signed_up["localId"])
        return User(self, self.refreshed(signed_up["refreshToken"]))

    def identity(self, call: str, **body: Any) -> Json:
        """A user's call of the Identity Toolkit."""
        answer = self.http.post(f"{self.url}{TOOLKIT}/accounts:{call}?key=local", json=body)
        assert answer.status_code == 200, answer.text
        said: Json = answer.json()
        return said

    def verify_email(self, local_id: str) -> None:
        """Quicker than a mail."""
        self.administer(local_id, emailVerified=True)

    def administer(self, local_id: str, **changes: Any) -> None:
        """Change a user of the Identity Toolkit, as an administrator of the project."""
        path = f"{self.url}{TOOLKIT}/projects/{self.session['project']}/accounts:update"
        answer = self.http.post(path, headers=IDENTITY_ADMIN, json={"localId": local_id, **changes})
        assert answer.status_code == 200, answer.text

    def refreshed(self, refresh_token: str) -> str:
        """A new ID token, which says what is true of the user now."""
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        answer = self.http.post(f"{self.url}{STS}/token?key=local", data=form)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id_token"])

    def mailed(self, email: str, kind: str = "VERIFY_EMAIL") -> Json:
        """The latest mail of a kind to that address, as the mailbox lists it."""
        path = f"{self.url}{MAILBOX}/{self.session['project']}/oobCodes"
        mails: list[Json] = self.http.get(path).json()["oobCodes"]
        return next(mail for mail in reversed(mails) if (mail["email"], mail["requestType"]) == (email, kind))

    def have_project(self, id_: str) -> None:
        """Ensure the tenant has that project: once it has any, videos may name no other."""
        admin = User(self, self.session["admin_token"])
        answer = admin.call("POST", "/v1/projects", json={"id": id_, "title": id_.capitalize()})
        assert answer.status_code in (201, 409), answer.text

    def log(self) -> str:
        return (self.directory / "up.log").read_text(errors="replace")

    @cached_property
    def inside(self) -> Inside:
        return Inside(self)


@dataclass
class User:
    """One signed-in user of the public API."""

    cloud: Cloud
    token: str

    def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return self.cloud.http.request(method, f"{self.cloud.url}{path}", headers=headers, **options)

    def create(self, prompt: str, **body: Any) -> Json:
        answer = self.call("POST", "/v1/videos", json={"prompt": prompt, **body})
        assert answer.status_code == 202, answer.text
        job: Json = answer.json()
        return job

    def get(self, job_id: str) -> Json:
        answer = self.call("GET", f"/v1/videos/{job_id}")
        assert answer.status_code == 200, answer.text
        job: Json = answer.json()
        return job

    def wait(self, job_id: str, until: Callable[[Json], bool] | None = None) -> Json:
        """The job once it has ended, or once `until` says so; progress must not go back meanwhile."""
        deadline = time.monotonic() + JOB_TIMEOUT_S
        progress = 0
        while True:
            job = self.get(job_id)
            assert job["progress"] >= progress, f"progress went back from {progress} to {job['progress']}"
            progress = job["progress"]
            if until(job) if until else job["status"] in ("completed", "failed", "canceled"):
                return job
            assert time.monotonic() < deadline, f"{job_id} is {job['status']}/{job['stage']}"
            time.sleep(0.1)

    def finish(self, prompt: str, **body: Any) -> Json:
        return self.wait(self.create(prompt, **body)["id"])

    @property
    def account(self) -> Json:
        answer = self.call("GET", "/v1/account")
        assert answer.status_code == 200, answer.text
        account: Json = answer.json()
        return account

    @property
    def ledger(self) -> list[int]:
        """The amounts, oldest first."""
        page = self.call("GET", "/v1/account/transactions?limit=100").json()
        return [entry["amount"] for entry in reversed(page["data"])]


class Inside:
    """The store and the bucket of a running cloud: from its servers, or from the embedded form's files."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def records(self) -> Records:
        return self._embedded_records() if self._cloud.embedded else self._firestore_records()

    def read(self, name: str) -> bytes | None:
        """The object's bytes; None when it is not there."""
        bucket = self._cloud.session.get("bucket", BUCKET)
        if self._cloud.embedded:
            return saved_object(self._cloud.directory, bucket, name)
        objects = f"http://{self._host('storage')}/download/storage/v1/b/{bucket}/o"
        answer = self._cloud.http.get(f"{objects}/{quote(name, safe='')}", params={"alt": "media"})
        return answer.content if answer.status_code == 200 else None

    def _embedded_records(self) -> Records:
        # The file is a moment behind; once it has an account that is made now, it has all that was before.
        newest = self._cloud.user().account["id"]
        deadline = time.monotonic() + SAVED_TIMEOUT_S
        while True:
            store = SavedStore(self._cloud.directory).store
            if any(account.id == newest for account in store.documents(Account)):
                return Records(
                    store.documents(Job),
                    store.documents(Account),
                    store.documents(Transaction),
                    store.documents(TenantBudget),
                    store.documents(TenantGrant),
                )
            assert time.monotonic() < deadline, "the embedded form does not save"
            time.sleep(0.2)

    def _firestore_records(self) -> Records:
        with mock.patch.dict(os.environ, {"FIRESTORE_EMULATOR_HOST": self._host("firestore")}):
            client = firestore.Client(project=self._cloud.session["project"])
        try:
            # One consistent snapshot: jobs of earlier tests may still be running.
            return _consistent_records(client.transaction(read_only=True), client)
        finally:
            client.close()

    def _host(self, name: str) -> str:
        return str(self._cloud.session[name]).removeprefix("http://")


@firestore.transactional
def _consistent_records(transaction: firestore.Transaction, client: firestore.Client) -> Records:
    return Records(
        jobs=_documents(transaction, client, Job),
        accounts=_documents(transaction, client, Account),
        transactions=_documents(transaction, client, Transaction),
        budgets=_documents(transaction, client, TenantBudget),
        tenant_grants=_documents(transaction, client, TenantGrant),
    )


def _documents(transaction: firestore.Transaction, client: firestore.Client, kind: type[D]) -> list[D]:
    absent = dict.fromkeys(kind.absent_when_none)
    return [
        kind.model_validate({**absent, **(snapshot.to_dict() or {}), "id": snapshot.id})
        for snapshot in client.collection(kind.collection).stream(transaction=transaction)
    ]


def _session(directory: Path, process: subprocess.Popen[bytes]) -> Json:
    path = directory / "session.json"
    deadline = time.monotonic() + START_TIMEOUT_S
    while not path.exists():
        assert process.poll() is None, f"the cloud ended with {process.returncode}:\n{_log(directory)}"
        assert time.monotonic() < deadline, f"the cloud did not start:\n{_log(directory)}"
        time.sleep(0.1)
    session: Json = json.loads(path.read_text())
    return session


def _log(directory: Path) -> str:
    return (directory / "up.log").read_text(errors="replace")[-4_000:]


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
