"""The settings that an operator sends to Identity Platform by a script, against the stand-in of its admin API."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from local.identity import HOST_PREFIX
from local.identity.server import create_app
from local.ports import HOST
from tools.identity_settings import main


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The base URL of the admin API; its administrator's token is in the environment."""
    monkeypatch.setenv("ACCESS_TOKEN", "owner")
    config = uvicorn.Config(create_app(tmp_path, "a-project"), HOST, 0, log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    # From now on calls wait for the server instead of being refused.
    socket.listen()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    yield f"http://{HOST}:{socket.getsockname()[1]}{HOST_PREFIX}"
    server.should_exit = True
    thread.join()


def test_settings_are_applied_and_differences_reported(service: str, capsys: pytest.CaptureFixture[str]) -> None:
    def run(action: str, domain: str) -> int:
        return main([action, "a-project", domain, "--service", service])

    assert run("check", "rushes.example.com") == 1
    assert "notification.sendEmail.callbackUri is ''" in capsys.readouterr().out
    assert run("apply", "rushes.example.com") == 0
    assert run("check", "rushes.example.com") == 0
    assert capsys.readouterr().out == ""
    assert run("check", "other.example.com") == 1
