"""The process that reads one image: `python -m shared.media.image_worker`; image on stdin, one line of JSON on stdout.

It has only the image: no credentials, no clients, no other user's data. It exits by itself, at its limits, or when
shared/media/image_workers.py kills it. It imports little, because it is started for each image.
"""

from __future__ import annotations

import json
import os
import resource
import sys

from shared.core.image_facts import NotAnImage
from shared.media import images

# The largest progressive JPEG takes 0.4 GiB and a second. Libraries reserve 0.1 GiB of address space without using it.
MOST_MEMORY_BYTES = 512 * 1024 * 1024
MOST_CPU_S = 5
# Other requests have priority.
NICENESS = 10


def main() -> None:
    _limit()
    data = sys.stdin.buffer.read()
    try:
        facts = images.inspect(data)
    except (NotAnImage, MemoryError) as error:
        answer: dict[str, object] = {"error": str(error) or "it takes too much memory to read"}
    else:
        answer = {"type": facts.content_type, "width": facts.width_px, "height": facts.height_px}
    print(json.dumps(answer), flush=True)


def _limit() -> None:
    os.nice(NICENESS)
    # The soft limit's signal ends the process; the hard limit kills one that ignores it.
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # macOS doesn't support this limit.
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY_BYTES, MOST_MEMORY_BYTES))


if __name__ == "__main__":
    main()
