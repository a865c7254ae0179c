"""One cloud for all of these tests, and another on which, meanwhile, everything falls."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from shared.core.documents import LiveSettings
from testing import invariants
from testing.cloud import Cloud, User
from testing.console import Console
from testing.processes import Processes
from tests.reliability import fall
from tests.unit.conftest import House, film

HERE = Path(__file__).parent
# Starting a cloud, and on a busy machine waiting for what another test began, are part of a test's time.
TIMEOUT_S = 400
# Deadlines may be changed while jobs run: none of these is later than the latest that may be configured.
WIDEST = LiveSettings(generation_timeout_s=86_400, storing_timeout_s=86_400, queue_timeout_s=604_800)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that wait for the sweeper come last, so that the others run in the meantime."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
    items.sort(key=lambda item: bool(_fixtures(item) & {"fallen", "stranded"}))


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


def _wanted(request: pytest.FixtureRequest, name: str) -> bool:
    return any(name in _fixtures(item) for item in request.session.items)


@pytest.fixture(scope="session", autouse=True)
def falling(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Future[fall.Fall] | None]:
    """The fall, begun with the first of these tests if one of them will ask for it."""
    if not _wanted(request, "fallen"):
        yield None
        return
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(fall.play, tmp_path_factory.mktemp("fall"))


@pytest.fixture(scope="session")
def fallen(falling: Future[fall.Fall]) -> fall.Fall:
    return falling.result()


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud.started(tmp_path_factory.mktemp("reliability"), sweep_every_s=fall.SWEEP_EVERY_S) as running:
        yield running


@pytest.fixture(scope="session")
def console(cloud: Cloud) -> Iterator[Console]:
    made = Console(cloud)
    yield made
    made.close()


@pytest.fixture(scope="session")
def processes(cloud: Cloud) -> Processes:
    return Processes(cloud)


@dataclass(frozen=True)
class Stranded:
    """A submit whose first task could not be created, and the job as it was seen then."""

    user: User
    answer: httpx2.Response
    meanwhile: dict[str, Any]


@pytest.fixture(scope="session", autouse=True)
def stranding(request: pytest.FixtureRequest, falling: Future[fall.Fall] | None) -> Stranded | None:
    """Done with the first of these tests, if one of them will ask for it."""
    del falling  # only begun before
    if not _wanted(request, "stranded"):
        return None
    user: User = request.getfixturevalue("cloud").user()
    balance = user.account["balance"]
    with request.getfixturevalue("processes").frozen("tasks"):
        answer = user.call("POST", "/v1/videos", json={"prompt": "a boat", "seconds": 4}, timeout=TIMEOUT_S)
        meanwhile = user.get(answer.json()["id"])
    assert user.account["balance"] == balance - meanwhile["cost"]
    return Stranded(user, answer, meanwhile)


@pytest.fixture(scope="session")
def stranded(stranding: Stranded) -> Stranded:
    return stranding


class SettingsEdits:
    """What an administrator has set, and the submit function knows."""

    def __init__(self, console: Console, processes: Processes) -> None:
        self._console = console
        self._processes = processes
        self._applied: dict[str, Any] | None = {}

    def apply(self, **fields: Any) -> None:
        """In force when this returns: a new process has read nothing older. Without fields: the defaults."""
        if fields == self._applied:
            return
        self._console.edit_config(fields)
        self._processes.replace(["submit"])
        self._applied = fields

    def forget(self) -> None:
        """Something else has edited them."""
        self._applied = None


@pytest.fixture(scope="session")
def live(console: Console, processes: Processes) -> SettingsEdits:
    return SettingsEdits(console, processes)


@pytest.fixture
def every_promise_holds(cloud: Cloud) -> Iterator[None]:
    """After the test: the invariants, read straight from the store and the bucket."""
    yield
    invariants.check(cloud.inside.records(), WIDEST, cloud.inside.read)


@pytest.fixture
def house() -> House:
    """Rushes in memory, with a clock that is moved by hand."""
    return House()


@pytest.fixture(scope="session")
def small_video() -> bytes:
    """The video that a 3 s job of Omni at 360p asks for."""
    return film(3, 640, 360)
