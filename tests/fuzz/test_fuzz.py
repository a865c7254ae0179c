"""The short form of `make fuzz`: some requests of every shape to every operation, on both forms of the cloud."""

from __future__ import annotations

import pytest

from testing.cloud import Cloud
from tests.fuzz.harness import Fuzz

EXAMPLES = 1
SEED = 1

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="session", params=["local", "embedded"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    running: Cloud = request.getfixturevalue(f"{request.param}_cloud")
    return running


def test_responses_match_the_openapi_document_without_5xx(cloud: Cloud) -> None:
    fuzz = Fuzz(cloud)
    for operation in fuzz.operations:
        fuzz.round(operation, EXAMPLES, SEED)
    assert fuzz.sent >= len(fuzz.operations)
    assert not fuzz.problems, fuzz.report()
    assert fuzz.server_errors == 0
