"""What the cloud on a laptop finds on this machine, as one JSON document: `python -m local.supervisor.parts`."""

from __future__ import annotations

import json
from typing import Any

from local.ports import DEFAULT_PORT, holder, is_free
from local.supervisor import firestore


def found() -> dict[str, Any]:
    """The emulator with its Java, or what is missing of them; and who has the port that the studio wants."""
    port = {"number": DEFAULT_PORT, "free": is_free(DEFAULT_PORT), "holder": holder(DEFAULT_PORT)}
    try:
        emulator = firestore.find()
    except firestore.Missing as missing:
        return {"emulator": None, "missing": str(missing), "port": port}
    return {"emulator": {"java": str(emulator.java), "jar": str(emulator.jar)}, "missing": None, "port": port}


if __name__ == "__main__":
    print(json.dumps(found(), indent=2))
