"""The two forms of the running cloud, each started once for the whole run, and only if a test wants it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cloud import Cloud


@pytest.fixture(scope="session")
def local_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Real servers behind their real protocols."""
    with Cloud.started(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="session")
def embedded_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """One process, everything in memory."""
    with Cloud.started(tmp_path_factory.mktemp("embedded"), embedded=True) as running:
        yield running
