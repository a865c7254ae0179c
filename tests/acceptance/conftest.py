"""One running cloud for the whole run, in each of its two forms, and users to call it with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cloud import Cloud


@pytest.fixture(scope="session", params=["cloud", "embedded"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp(request.param)
    embedded = request.param == "embedded"
    with Cloud.started(directory, embedded=embedded) as running:
        yield running
