"""Run gcloud as the signed-in user, and read its JSON."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

TIMEOUT_S = 300.0

Gcloud = Callable[..., Any]


class GcloudError(Exception):
    """gcloud ended with an error; its last line on stderr says which."""


def gcloud(*arguments: str, project: str) -> Any:
    """What the command answers, parsed; None for an empty answer. Raises GcloudError."""
    command = ["gcloud", *arguments, f"--project={project}", "--format=json", "--quiet"]
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and arguments of ours or of an operator
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GcloudError(str(error)) from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise GcloudError(lines[-1] if lines else f"gcloud ended with {done.returncode}")
    return json.loads(done.stdout) if done.stdout.strip() else None
