"""What remains after `terraform apply`, and whether each queue really takes tasks.

    terraform -chdir=infra output -json after_apply | python -m tools.after_apply

Switches Cloud Run's invoker check off for the functions that the output names: their resource has no such
argument. Then puts a task on each queue and deletes it: a queue whose name was deleted within the last days can be
created and described, and takes no task.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from tools.gcloud import Gcloud, GcloudError, gcloud

# A queue that was just made takes no tasks for a moment.
TRIES = 7
PAUSE_S = 10.0
# The task is gone long before it would be delivered.
DUE_IN = timedelta(hours=1)
UNCHECKED = "run.googleapis.com/invoker-iam-disabled"


@dataclass(frozen=True)
class Installation:
    """The output `after_apply` of infra/."""

    project: str
    region: str
    url: str
    functions: list[str]
    queues: list[str]
    # Functions that everybody may call without a grant to allUsers.
    unchecked: list[str]


def problems(
    installation: Installation, run: Gcloud = gcloud, pause: Callable[[float], None] = time.sleep
) -> Iterator[str]:
    """Does what is to be done, and yields a line for each thing that doesn't work."""
    for function in installation.unchecked:
        try:
            open_to_all(installation, function, run)
        except GcloudError as error:
            yield f"function {function}: {error}"
    for queue in installation.queues:
        try:
            takes_tasks(installation, queue, run, pause)
        except GcloudError as error:
            yield (
                f"queue {queue}: {error}\n  If a queue of this name was deleted within the last days, "
                "set another `suffix` in the tfvars and apply again."
            )


def open_to_all(installation: Installation, function: str, run: Gcloud = gcloud) -> None:
    """Switch the function's invoker check off, unless it is. Raises GcloudError."""
    where = (function, f"--region={installation.region}")
    service = run("run", "services", "describe", *where, project=installation.project)
    if service["metadata"].get("annotations", {}).get(UNCHECKED) != "true":
        run("run", "services", "update", *where, "--no-invoker-iam-check", project=installation.project)


def takes_tasks(
    installation: Installation, queue: str, run: Gcloud = gcloud, pause: Callable[[float], None] = time.sleep
) -> None:
    """Put a task on the queue and delete it. Raises GcloudError if the queue takes none."""
    name = f"check-{uuid.uuid4().hex}"
    where = (f"--queue={queue}", f"--location={installation.region}")
    due = (datetime.now(UTC) + DUE_IN).strftime("%Y-%m-%dT%H:%M:%SZ")
    task = ("tasks", "create-http-task", name, *where, f"--url={installation.url}", "--method=GET")
    for attempt in range(1, TRIES + 1):
        try:
            run(*task, f"--schedule-time={due}", project=installation.project)
            break
        except GcloudError:
            if attempt == TRIES:
                raise
            pause(PAUSE_S)
    run("tasks", "delete", name, *where, project=installation.project)


def main() -> int:
    """0 if everything works, else 1."""
    found = list(problems(Installation(**json.load(sys.stdin))))
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
