"""What has to be there before what: the order in which one apply makes everything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from tests.infra.configuration import Configuration, references

# The API that answers for the types of resources that begin so.
API_OF: Final = {
    "google_apikeys": "apikeys",
    "google_artifact_registry": "artifactregistry",
    "google_billing": "billingbudgets",
    "google_cloud_run": "run",
    "google_cloud_scheduler": "cloudscheduler",
    "google_cloud_tasks": "cloudtasks",
    "google_cloudfunctions2": "cloudfunctions",
    "google_compute": "compute",
    "google_firebaserules": "firebaserules",
    "google_firestore": "firestore",
    "google_iam": "iam",
    "google_identity_platform": "identitytoolkit",
    "google_logging": "logging",
    "google_monitoring": "monitoring",
    "google_project": "cloudresourcemanager",
    "google_pubsub": "pubsub",
    "google_secret_manager": "secretmanager",
    "google_service_account": "iam",
    "google_storage": "storage",
}
# APIs that no resource here is of: what the functions call, and what others of Google's services need.
CALLED: Final = frozenset({"aiplatform", "cloudbuild", "iamcredentials", "securetoken", "sts"})
GATE: Final = "time_sleep.apis"
BEFORE_IT: Final = frozenset({"google_project_service.this", GATE})


def edges(configuration: Configuration) -> dict[str, set[str]]:
    """The addresses that each resource needs, through locals too."""

    @cache
    def of_local(name: str) -> frozenset[str]:
        return frozenset(needs(configuration.locals.get(name)))

    def needs(value: Any) -> Iterator[str]:
        yield from references(value)
        for name in set(re.findall(r"\blocal\.(\w+)", str(value))):
            yield from of_local(name)

    known = set(configuration.resources)
    return {address: set(needs(body)) & known for address, body in configuration.resources.items()}


def problems(configuration: Configuration) -> Iterator[str]:
    """Resources that would be made before their API answers, APIs that are not enabled, and circles."""
    graph = edges(configuration)
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        yield f"a circle: {error.args[1]}"
        return
    gated: set[str] = {GATE}
    gated |= {address for address in order if graph[address] & gated or GATE in graph[address]}
    for address in order:
        if graph[address] & gated:
            gated.add(address)
        elif address not in BEFORE_IT:
            yield f"{address} does not wait for the APIs"
    enabled = {str(api).removesuffix(".googleapis.com") for api in configuration.locals["apis"]}
    for address in configuration.resources:
        kind = address.removeprefix("data.").partition(".")[0]
        api = next((API_OF[prefix] for prefix in sorted(API_OF, reverse=True) if kind.startswith(prefix)), None)
        if kind.startswith("google_") and api not in enabled:
            yield f"{address}: the API {api} is not enabled"
    used = {API_OF[prefix] for prefix in API_OF if any(f"{prefix}_" in address for address in configuration.resources)}
    yield from (f"the API {api} is enabled for nothing" for api in sorted(enabled - used - CALLED))
