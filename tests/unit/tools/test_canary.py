"""A deployment's first tenth, with services that share requests out as Cloud Run does."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tools import canary as module
from tools.canary import MIN_FAILURES, Canary, Count, objection, shift
from tools.gcloud import GcloudError

INSTALLATION = {"project": "p", "region": "r", "url": "https://rushes.example", "functions": ["poll", "history"]}


class CloudRun:
    """Two services and their log. A service that follows the latest revision does so at once."""

    def __init__(self) -> None:
        self.latest = {"poll": "poll-1", "history": "history-1"}
        self.traffic: dict[str, dict[str, int] | None] = {"poll": None, "history": None}
        self.statuses: dict[str, list[int]] = {}
        self.history: list[tuple[str, str]] = []
        self.log_fails = False

    def deploy(self, *functions: str) -> None:
        for name in functions:
            self.latest[name] = f"{name}-2"

    def served(self, function: str) -> dict[str, int]:
        return self.traffic[function] or {self.latest[function]: 100}

    def __call__(self, *arguments: str, project: str) -> Any:
        assert project == "p"
        if arguments[:2] == ("logging", "read"):
            if self.log_fails:
                raise GcloudError("PERMISSION_DENIED")
            name = arguments[2].partition('service_name="')[2].partition('"')[0]
            return [
                {"resource": {"labels": {"revision_name": revision}}, "httpRequest": {"status": status}}
                for revision, statuses in self.statuses.items()
                if revision.startswith(f"{name}-")
                for status in statuses
            ]
        name = arguments[3]
        if name not in self.latest:
            raise GcloudError(f"ERROR: (gcloud.run.services.describe) Cannot find service [{name}]")
        if arguments[2] == "describe":
            follows = self.traffic[name] is None
            targets = [{"revisionName": revision, "percent": share} for revision, share in self.served(name).items()]
            status = {"latestReadyRevisionName": self.latest[name], "traffic": targets}
            if follows:
                targets[0]["latestRevision"] = True
            return {"status": status}
        (shares,) = [one.partition("=")[2] for one in arguments if one.startswith("--to-revisions=")]
        self.history.append((name, shares))
        self.traffic[name] = {one.partition("=")[0]: int(one.partition("=")[2]) for one in shares.split(",")}
        assert sum(self.traffic[name].values()) == 100
        return None


@pytest.fixture
def run() -> CloudRun:
    return CloudRun()


def shifted(run: CloudRun, said: list[str] | None = None) -> bool:
    def ask(_url: str) -> Iterator[str]:
        yield from ()

    return shift(Canary(INSTALLATION, run), lambda _: None, ask, (said if said is not None else []).append)


def test_pinned_service_doesnt_follow_a_new_revision(run: CloudRun) -> None:
    Canary(INSTALLATION, run).pin()
    run.deploy("poll", "history")
    assert (run.served("poll"), run.served("history")) == ({"poll-1": 100}, {"history-1": 100})
    before = len(run.history)
    Canary(INSTALLATION, run).pin()
    assert len(run.history) == before


def test_nothing_is_pinned_before_the_first_apply(run: CloudRun) -> None:
    Canary({**INSTALLATION, "functions": ["submit"]}, run).pin()
    assert run.history == []


def test_good_revision_gets_10_percent_and_then_all(run: CloudRun) -> None:
    Canary(INSTALLATION, run).pin()
    run.deploy("history")
    run.statuses = {"history-2": [200, 401, 503], "history-1": [200] * 20}
    run.history.clear()
    assert shifted(run)
    assert run.history == [("history", "history-2=10,history-1=90"), ("history", "history-2=100")]


def test_one_bad_function_rolls_all_back(run: CloudRun) -> None:
    Canary(INSTALLATION, run).pin()
    run.deploy("poll", "history")
    run.statuses = {"history-2": [200] * 9, "history-1": [200] * 90, "poll-2": [500] * 9, "poll-1": [204] * 90}
    said: list[str] = []
    assert not shifted(run, said)
    assert (run.served("poll"), run.served("history")) == ({"poll-1": 100}, {"history-1": 100})
    assert said == ["poll: 9 of 9 requests failed, of the old revision 0 of 90", "history: as good as before"]


def test_revision_without_requests_is_not_promoted(run: CloudRun) -> None:
    Canary(INSTALLATION, run).pin()
    run.deploy("history")
    run.statuses = {"history-1": [200] * 90}
    assert not shifted(run)
    assert run.served("history") == {"history-1": 100}


def test_without_a_log_old_revisions_stay(run: CloudRun) -> None:
    Canary(INSTALLATION, run).pin()
    run.deploy("history")
    run.log_fails = True
    with pytest.raises(GcloudError):
        shifted(run)
    assert run.served("history") == {"history-1": 100}


def test_deployment_after_a_rollback_is_a_canary_too(run: CloudRun) -> None:
    Canary(INSTALLATION, run).pin()
    run.deploy("history")
    assert not shifted(run)
    Canary(INSTALLATION, run).pin()
    run.latest["history"] = "history-3"
    run.statuses = {"history-3": [200]}
    assert shifted(run)
    assert run.served("history") == {"history-3": 100}


@pytest.mark.parametrize(
    ("new", "old", "is_good"),
    [
        (Count(100, 0), Count(900, 0), True),
        (Count(10, MIN_FAILURES - 1), Count(90, 0), True),
        (Count(10, MIN_FAILURES), Count(90, 0), False),
        (Count(100, 5), Count(900, 0), True),
        (Count(100, 6), Count(900, 0), False),
        # Both fail while a service of Google's is down.
        (Count(100, 40), Count(900, 360), True),
        (Count(), Count(900, 0), False),
    ],
)
def test_failure_rate_is_compared_with_the_old_revision(new: Count, old: Count, is_good: bool) -> None:
    assert (objection("history", new, old) is None) == is_good


def test_idle_private_function_is_acceptable() -> None:
    assert objection("deliver", Count(), Count()) is None


@pytest.mark.parametrize("action", ["pin", "shift"])
def test_without_an_apply_nothing_is_done(monkeypatch: pytest.MonkeyPatch, action: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({})))
    assert module.main([action]) == 0
