"""Every acceptance test runs on both forms of the cloud."""

from __future__ import annotations

import pytest

from testing.cloud import Cloud


@pytest.fixture(scope="session", params=["local", "embedded"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    running: Cloud = request.getfixturevalue(f"{request.param}_cloud")
    return running
