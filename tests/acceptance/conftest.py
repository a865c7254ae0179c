"""One running cloud for the whole run, in each of its two forms, and users to call it with."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.cloud import Cloud

START_TIMEOUT_S = 180.0
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session", params=["cloud", "embedded"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp(request.param)
    embedded = request.param == "embedded"
    with Cloud.started(directory, embedded=embedded) as running:
        yield running
