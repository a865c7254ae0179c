"""The long form of the tests, and the two forms of the running cloud, each started once for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testing.cloud import Cloud


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="the long form: all schedules and full tables, as at night")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked as long, unless the long form is asked for."""
    if config.getoption("--long"):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        items[:] = [item for item in items if not item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether this is the long form."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Real servers behind their real protocols."""
    with Cloud.started(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="session")
def embedded_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One process, everything in memory; its Omni is the Gemini API's, the other's is Vertex AI's."""
    with Cloud.started(tmp_path_factory.mktemp("embedded"), embedded=True, OMNI_PROVIDER="gemini") as running:
        yield running
