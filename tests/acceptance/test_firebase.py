"""The official Firebase package for JavaScript against the database of the local cloud: infra/firestore.rules hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testing.cloud import Cloud
from tests import node_program

DENIED = "permission-denied"


@pytest.mark.timeout(2 * node_program.TIMEOUT_S)
def test_client_reads_only_its_own_account_and_ledger(local_cloud: Cloud, tmp_path: Path) -> None:
    """The emulator allows everything until rules are loaded; a client would meet the denials only in the cloud."""
    user = local_cloud.user()
    job = user.create("a lantern [never finishes]")["id"]
    account = user.account["id"]
    host, _, port = str(local_cloud.session["firestore"]).removeprefix("http://").partition(":")
    program = node_program.installed(Path(__file__).parent / "firebase", tmp_path) / "client.mjs"
    told = json.loads(node_program.run(program, host, port, local_cloud.session["project"], user.token, account, job))
    assert told.pop("read the account") == told.pop("list the ledger") == "ok"
    assert told == dict.fromkeys(told, DENIED)
    assert user.get(job)["status"] in ("queued", "in_progress")
