"""A tenth of requests for a new revision of each function first; all only when it answers as well as the old one.

    terraform -chdir=infra output -json | python -m tools.canary pin      # before the apply, which has canary = true
    terraform -chdir=infra output -json | python -m tools.canary shift    # after it

`pin` holds each function at the revision that it has, since a service that follows the latest one would give the new
revision everything. `shift` gives the new revisions 10 %, sends requests of its own through the load balancer, reads
the log of requests, and ends with the new revisions at 100 % or the old ones again. Exit codes: 0 for new, 1 for old.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tools.gcloud import Gcloud, GcloudError, gcloud

Json = dict[str, Any]

SHARE_PERCENT = 10
WATCHED_FOR_S = 600.0
PROBED_EVERY_S = 5.0
PROBE_TIMEOUT_S = 30.0
# The log of requests lags behind.
LOG_LAG_S = 60.0
# Of each function; there are more requests than that only where a tenth of far fewer is evidence enough.
MAX_ENTRIES = 5_000
# Fewer failures are chance. A share is compared with the old revision's, which has the same outages of others.
MIN_FAILURES = 3
TOLERATED_SHARE = 0.05
# One route of each public function; without a token it answers 401, from the code.
PROBES = {
    "submit": ("POST", "/v1/videos/estimate"),
    "stream": ("GET", "/v1/events"),
    "history": ("GET", "/v1/account"),
}


@dataclass(frozen=True)
class Shift:
    """A function with a new revision that has no requests yet."""

    function: str
    old: str
    new: str


@dataclass(frozen=True)
class Count:
    """Requests of one revision, and how many were answered 5xx."""

    requests: int = 0
    failed: int = 0

    @property
    def share(self) -> float:
        return self.failed / self.requests if self.requests else 0.0


class Canary:
    """The functions of one installation, as the output `after_apply` of infra/ names it."""

    def __init__(self, installation: Json, run: Gcloud = gcloud) -> None:
        self.project: str = installation["project"]
        self.region: str = installation["region"]
        self.url: str = installation["url"]
        self.functions: list[str] = installation["functions"]
        self._run = run

    def pin(self) -> None:
        """Hold each function at the revision that answers now. Raises GcloudError."""
        for function in self.functions:
            service = self._service(function)
            if service is not None and any(target.get("latestRevision") for target in service["status"]["traffic"]):
                self._send(function, {_serving(service): 100})

    def waiting(self) -> list[Shift]:
        """Functions whose latest revision isn't the one that answers. Raises GcloudError."""
        found = []
        for function in self.functions:
            service = self._service(function)
            if service is not None and (new := service["status"]["latestReadyRevisionName"]) != _serving(service):
                found.append(Shift(function, _serving(service), new))
        return found

    def begin(self, shift: Shift) -> None:
        self._send(shift.function, {shift.new: SHARE_PERCENT, shift.old: 100 - SHARE_PERCENT})

    def go_on(self, shift: Shift) -> None:
        self._send(shift.function, {shift.new: 100})

    def go_back(self, shift: Shift) -> None:
        self._send(shift.function, {shift.old: 100})

    def counts(self, shift: Shift, since: datetime) -> tuple[Count, Count]:
        """Requests of the new and of the old revision since then. Raises GcloudError."""
        query = (
            f'resource.type="cloud_run_revision" AND resource.labels.service_name="{shift.function}" '
            f'AND log_id("run.googleapis.com/requests") AND timestamp>="{since:%Y-%m-%dT%H:%M:%SZ}"'
        )
        entries = self._run("logging", "read", query, f"--limit={MAX_ENTRIES}", project=self.project) or []
        return _count(entries, shift.new), _count(entries, shift.old)

    def _service(self, function: str) -> Json | None:
        """None before the first apply made it."""
        where = (function, f"--region={self.region}")
        try:
            service: Json = self._run("run", "services", "describe", *where, project=self.project)
        except GcloudError as error:
            if "Cannot find service" in str(error):
                return None
            raise
        return service

    def _send(self, function: str, percent: dict[str, int]) -> None:
        shares = ",".join(f"{revision}={share}" for revision, share in percent.items())
        where = (function, f"--region={self.region}", f"--to-revisions={shares}")
        self._run("run", "services", "update-traffic", *where, project=self.project)


def _serving(service: Json) -> str:
    """The revision that gets the most requests."""
    target = max(service["status"]["traffic"], key=lambda target: int(target.get("percent", 0)))
    return str(target["revisionName"])


def _count(entries: list[Json], revision: str) -> Count:
    statuses = [
        int(entry["httpRequest"]["status"])
        for entry in entries
        if entry["resource"]["labels"]["revision_name"] == revision and "status" in entry.get("httpRequest", {})
    ]
    return Count(len(statuses), sum(status >= 500 for status in statuses))


def objection(function: str, new: Count, old: Count) -> str | None:
    """Why the new revision should not get all requests; None where it may."""
    if function in PROBES and new.requests == 0:
        return "no request reached the new revision"
    if new.failed >= MIN_FAILURES and new.share > old.share + TOLERATED_SHARE:
        return f"{new.failed} of {new.requests} requests failed, of the old revision {old.failed} of {old.requests}"
    return None


def probe(url: str) -> Iterator[str]:
    """One request to each public function; yields a line for each that got no answer at all."""
    for method, path in PROBES.values():
        body = b"{}" if method == "POST" else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(url + path, body, headers, method=method)  # noqa: S310 - https, from infra/
        try:
            urllib.request.urlopen(request, timeout=PROBE_TIMEOUT_S).close()  # noqa: S310
        except urllib.error.HTTPError as error:
            # An answer. Whether it is a good one is in the log, by revision.
            error.close()
        except OSError as error:
            yield f"{method} {path}: {error}"


def watch(url: str, pause: Callable[[float], None], ask: Callable[[str], Iterator[str]]) -> set[str]:
    """Send requests for ten minutes, and wait for the log; answers what could not be asked."""
    unasked: set[str] = set()
    for _ in range(int(WATCHED_FOR_S / PROBED_EVERY_S)):
        unasked.update(ask(url))
        pause(PROBED_EVERY_S)
    pause(LOG_LAG_S)
    return unasked


def shift(
    canary: Canary,
    pause: Callable[[float], None] = time.sleep,
    ask: Callable[[str], Iterator[str]] = probe,
    say: Callable[[str], None] = print,
) -> bool:
    """Whether the new revisions have all requests in the end. Raises GcloudError, with the old ones serving.

    All go on together or none does: a commit is deployed as a whole.
    """
    shifts = canary.waiting()
    if not shifts:
        say("No function has a new revision.")
        return True
    since = datetime.now(UTC)
    try:
        for each in shifts:
            canary.begin(each)
        for line in sorted(watch(canary.url, pause, ask)):
            say(f"not answered: {line}")
        objections = {each.function: objection(each.function, *canary.counts(each, since)) for each in shifts}
    except BaseException:
        _back(canary, shifts)
        raise
    for function, why in objections.items():
        say(f"{function}: {why or 'as good as before'}")
    if any(objections.values()):
        _back(canary, shifts)
        return False
    for each in shifts:
        canary.go_on(each)
    return True


def _back(canary: Canary, shifts: list[Shift]) -> None:
    for each in shifts:
        canary.go_back(each)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.canary", description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=["pin", "shift"])
    options = parser.parse_args(arguments)
    output = json.load(sys.stdin).get("after_apply")
    if output is None:
        print("Nothing was applied yet.")
        return 0
    canary = Canary(output["value"])
    if options.action == "pin":
        canary.pin()
        return 0
    return 0 if shift(canary) else 1


if __name__ == "__main__":
    sys.exit(main())
