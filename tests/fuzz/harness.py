"""Cases that schemathesis makes of openapi.json, sent to a running cloud, and their answers compared with it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import hypothesis
import hypothesis.strategies as st
import requests
import schemathesis
from schemathesis import checks
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi import checks as openapi_checks

from testing.cloud import Cloud, User
from tests.fuzz.things import Things

OPENAPI = Path(__file__).parents[2] / "openapi.json"
TIMEOUT_S = 60.0
CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]
MODES = (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
# A valid one changes the whole installation: it is sent without permission.
NOT_AS_ADMIN = frozenset({"put_config"})
TENANT_WIDE = frozenset({"create_project", "update_project"})
# Sent by a disposable user.
LAST_ACTS = frozenset({"delete_account"})
# What no document may be called, and what a path may not survive.
HOSTILE_IDS = ("__all__", "a/b", "..%2F", "\0", "é" * 1_000)
REQUESTS_PER_USER = 600


@dataclass
class Fuzz:
    """What was sent, and what was wrong with the answers."""

    cloud: Cloud
    # Nothing else uses the cloud, so tenant-wide operations are allowed too.
    alone: bool = False
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    problems: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._admin = User(self.cloud, str(self.cloud.session["admin_token"]))
        self._renew()

    def _renew(self) -> None:
        """Another user, with another of everything."""
        project = "fuzz" if self.alone and self.sent == 0 else None
        self._things, self._things_sent = Things.made(self.cloud, self._admin, project), 0

    @cached_property
    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(OPENAPI.read_text())
        return document

    @cached_property
    def _failures(self) -> dict[str, Any]:
        failures: dict[str, Any] = self._document["components"]["responses"]
        return failures

    @cached_property
    def operations(self) -> list[Any]:
        schema = schemathesis.openapi.from_dict(self._document)
        return [found.ok() for found in schema.get_all_operations()]

    def round(self, operation: Any, examples: int, seed: int) -> None:
        """Send so many cases of the operation that fit the document, and so many that do not."""
        for mode in MODES:
            self._exercise(operation, mode, examples, seed)

    def _exercise(self, operation: Any, mode: schemathesis.GenerationMode, examples: int, seed: int) -> None:
        name = operation.definition.raw["operationId"]
        ids = self._things.ids(operation.path)
        chosen = st.sampled_from([*ids, *HOSTILE_IDS]) if "{" in operation.path else st.nothing()

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
            database=None,
            deadline=None,
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode), id_=st.none() | chosen)
        def send(case: Any, id_: str | None) -> None:
            if id_ is not None:
                (parameter,) = case.path_parameters
                case.path_parameters[parameter] = id_
            self._send(name, case)

        try:
            send()
        except hypothesis.errors.Unsatisfiable:
            # What takes nothing cannot be asked for wrongly.
            return

    def _send(self, name: str, case: Any) -> None:
        if self._things_sent >= REQUESTS_PER_USER:
            self._renew()
        kwargs = case.as_transport_kwargs(base_url=self.cloud.url)
        # functions-framework itself answers an address that holds a line break, before the function is asked.
        hypothesis.assume("%0A" not in kwargs["url"])
        kwargs["headers"] = {**kwargs["headers"], "Authorization": f"Bearer {self._token(name, case)}"}
        try:
            answer = self._session.request(**kwargs | {"allow_redirects": False, "stream": True, "timeout": TIMEOUT_S})
        except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL, UnicodeError):
            # Such a request cannot be written down.
            hypothesis.reject()
        self.sent += 1
        self._things_sent += 1
        self.statuses[answer.status_code] += 1
        with answer:
            if answer.headers.get("content-type", "").startswith("text/event-stream"):
                # It runs for minutes; the first event is enough.
                answer._content = _first_event(answer)
            self._judge(name, case, answer)

    def _judge(self, name: str, case: Any, answer: requests.Response) -> None:
        try:
            case.validate_response(answer, checks=CHECKS)
        except (Failure, FailureGroup) as failure:
            parts = failure.exceptions if isinstance(failure, FailureGroup) else [failure]
            for part in parts:
                key = f"{name} {answer.status_code} {type(part).__name__}"
                self.problems.setdefault(key, f"{part}\n{case.as_curl_command()}\n{answer.text[:1_000]}")
        if answer.status_code >= 400 and answer.content:
            self._check_code(name, case, answer)

    def _check_code(self, name: str, case: Any, answer: requests.Response) -> None:
        """The document lists the codes of each status alongside the one schema of all errors."""
        reference = case.operation.definition.raw["responses"].get(str(answer.status_code), {}).get("$ref", "")
        listed = self._failures.get(reference.rpartition("/")[2], {}).get("x-error-codes", [])
        code = answer.json().get("error", {}).get("code")
        if code not in listed:
            self.problems.setdefault(f"{name} {answer.status_code} {code}", f"not listed\n{case.as_curl_command()}")

    def _token(self, name: str, case: Any) -> str:
        security = {kind for one in case.operation.definition.raw["security"] for kind in one}
        if name in LAST_ACTS:
            return self.cloud.user().token
        if security == {"id_token"} and case.operation.path.startswith(("/v1/admin", "/v1/projects")):
            forbidden = name in NOT_AS_ADMIN or (name in TENANT_WIDE and not self.alone)
            return self._things.user.token if forbidden else self._admin.token
        return self._things.user.token

    @property
    def server_errors(self) -> int:
        return sum(count for status, count in self.statuses.items() if status >= 500)

    def report(self) -> str:
        by_status = ", ".join(f"{count:,} x {status}" for status, count in sorted(self.statuses.items()))
        said = (
            f"{self.sent:,} requests to {len(self.operations)} operations ({by_status}): "
            f"{self.server_errors} responses in 5xx, {len(self.problems)} kinds that break the schema"
        )
        return "\n\n".join([said, *(f"{key}\n{text}" for key, text in self.problems.items())])


def _first_event(answer: requests.Response) -> bytes:
    lines = []
    for line in answer.iter_lines():
        lines.append(line)
        if not line:
            break
    return b"\n".join([*lines, b""])
