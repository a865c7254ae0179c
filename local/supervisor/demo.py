"""One video from start to end, through the public API alone: what `make demo` shows.

It starts a cloud of its own beside whatever runs, and leaves nothing behind but the video.
"""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any, Final

import httpx2
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from local.identity import MAILBOX
from local.supervisor.lock import DirectoryLock, Held
from local.supervisor.plan import PROJECT, ROOT
from local.supervisor.process import ended_with_parent, tail
from local.supervisor.session import SessionFile

PROMPT: Final = "A paper boat sails down a rain-filled street at dusk, slow dolly, warm window light on the water"
BLOCKED_PROMPT: Final = "A prompt that the safety filter stops [blocked]"
SECONDS: Final = 8
SIZE: Final = "1280x720"
FINAL: Final = frozenset({"completed", "failed", "canceled"})
START_TIMEOUT_S: Final = 180.0
JOB_TIMEOUT_S: Final = 300.0
CALL_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 30.0
POLL_EVERY_S: Final = 0.5
LOG_LINES: Final = 15

Json = dict[str, Any]


class DemoFailed(Exception):  # noqa: N818 - reads as the state it names
    """Something did not go as it must; the message says what."""


@dataclass(frozen=True)
class Wish:
    """What to ask for; None takes the demo's own."""

    prompt: str | None = None
    seconds: int | None = None
    size: str | None = None

    def body(self) -> Json:
        """The body of POST /v1/videos."""
        return {"prompt": self.prompt or PROMPT, "seconds": self.seconds or SECONDS, "size": self.size or SIZE}


def run(wish: Wish, out: Path) -> int:
    """Play the demo; the exit code: 0, 1 when something failed, 130 after Ctrl-C."""
    console = Console(highlight=False)
    signal.signal(signal.SIGTERM, _interrupt)
    directory = _own_directory()
    try:
        with _cloud(directory, console) as url:
            _play(Client(url), wish, out, console)
    except (DemoFailed, httpx2.HTTPError) as error:
        console.print(Text(f"The demo failed: {error or type(error).__name__}", "bold red"))
        _explain(directory, console)
        return 1
    except KeyboardInterrupt:
        console.print("Interrupted; everything is stopped.")
        shutil.rmtree(directory, ignore_errors=True)
        return 130
    shutil.rmtree(directory, ignore_errors=True)
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _play(client: Client, wish: Wish, out: Path, console: Console) -> None:
    email = client.sign_up()
    console.print(f"Signed up as [bold]{email}[/], balance {client.balance()} credits.")
    body = wish.body()
    _show_estimate(client.post("/v1/videos/estimate", body), console)
    done = _generate(client, body, console)
    if done["status"] != "completed":
        raise DemoFailed(f"the video {done['status']}: {_reason(done)}")
    _download(client, done["id"], out)
    console.print(f"Saved [bold]{out}[/] ({out.stat().st_size:,} bytes).")
    _show_ledger(client, console)
    console.print("Now a prompt that the model's safety filter stops:")
    blocked = _generate(client, {**body, "prompt": BLOCKED_PROMPT}, console)
    if blocked["status"] != "failed" or blocked["refunded"] != blocked["cost"]:
        raise DemoFailed(
            f"a blocked prompt must fail and be refunded, but the video {blocked['status']}: {_reason(blocked)}"
        )
    console.print(f"It failed ({_reason(blocked)}) and was refunded: [bold]{blocked['refunded']} credits[/].")
    _show_ledger(client, console)


class Client:
    """One user of the public API."""

    def __init__(self, url: str) -> None:
        self._http = httpx2.Client(base_url=url, trust_env=False, timeout=CALL_TIMEOUT_S)

    def sign_up(self) -> str:
        """Become a new user, with an address verified by the mailed link; the address."""
        email = f"demo-{secrets.token_hex(3)}@example.com"
        user = {"email": email, "password": secrets.token_urlsafe(12), "returnSecureToken": True}
        signed_up = self._identity("signUp", user)
        self._identity("sendOobCode", {"requestType": "VERIFY_EMAIL", "idToken": signed_up["idToken"]})
        mails = self.get(f"{MAILBOX}/{PROJECT}/oobCodes")["oobCodes"]
        self._identity("update", {"oobCode": next(mail["oobCode"] for mail in mails if mail["email"] == email)})
        # The first token still says that the address is unverified.
        self._http.headers["Authorization"] = f"Bearer {self._refreshed(signed_up['refreshToken'])}"
        return email

    def _identity(self, call: str, body: Json) -> Json:
        config = self._config
        return self.post(f"{config['identity_url']}/accounts:{call}?key={config['api_key']}", body)

    def _refreshed(self, refresh_token: str) -> str:
        config, form = self._config, {"grant_type": "refresh_token", "refresh_token": refresh_token}
        answer = self._http.post(f"{config['token_url']}/token", params={"key": config["api_key"]}, data=form)
        return str(_answer(answer)["id_token"])

    @cached_property
    def _config(self) -> Json:
        return self.get("/config.json")

    def balance(self) -> int:
        return int(self.get("/v1/account")["balance"])

    def get(self, path: str, **query: str) -> Json:
        return _answer(self._http.get(path, params=query or None))

    def post(self, path: str, body: Json, **headers: str) -> Json:
        return _answer(self._http.post(path, json=body, headers=headers))


def _answer(response: httpx2.Response) -> Json:
    if response.is_error:
        raise DemoFailed(f"{response.request.method} {response.request.url.path}: {response.text[:500]}")
    body: Json = response.json()
    return body


def _show_estimate(estimate: Json, console: Console) -> None:
    console.print(
        f"Estimate: {estimate['model']}, {estimate['seconds']} s, {estimate['size']}: "
        f"[bold]{estimate['cost']} credits[/], about {estimate['expected_seconds']:.0f} s; "
        f"{estimate['balance_after']} credits left afterwards."
    )


def _generate(client: Client, body: Json, console: Console) -> Json:
    """Submit and wait for the end, whatever it is, behind a progress bar."""
    video = client.post("/v1/videos", body, **{"Idempotency-Key": secrets.token_hex(16)})
    deadline = time.monotonic() + JOB_TIMEOUT_S
    columns = (TextColumn("{task.description:<12}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(video["stage"], total=100)
        while video["status"] not in FINAL:
            if time.monotonic() > deadline:
                raise DemoFailed(f"{video['id']} is still {video['stage']} after {JOB_TIMEOUT_S:.0f} s")
            time.sleep(POLL_EVERY_S)
            video = client.get(f"/v1/videos/{video['id']}")
            progress.update(bar, description=video["stage"], completed=video["progress"])
    return video


def _download(client: Client, video: str, out: Path) -> None:
    url = client.get(f"/v1/videos/{video}/content", redirect="json")["url"]
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    # Without our token: the signature in the URL is what lets in.
    with httpx2.stream("GET", url, timeout=CALL_TIMEOUT_S, trust_env=False) as response:
        if response.is_error:
            raise DemoFailed(f"the signed URL returned {response.status_code}: {response.read().decode()[:300]}")
        total = int(response.headers.get("content-length", 0)) or None
        with Progress(TextColumn("download    "), BarColumn(), DownloadColumn()) as progress, part.open("wb") as file:
            bar = progress.add_task("download", total=total)
            for chunk in response.iter_bytes():
                file.write(chunk)
                progress.advance(bar, len(chunk))
    part.replace(out)


def _show_ledger(client: Client, console: Console) -> None:
    table = Table(title="Ledger", title_justify="left")
    table.add_column("entry")
    table.add_column("description")
    table.add_column("credits", justify="right")
    table.add_column("balance", justify="right")
    for entry in reversed(client.get("/v1/account/transactions", limit="100")["data"]):
        amount = f"{entry['amount']:+d}"
        table.add_row(entry["type"], Text(entry["description"]), amount, str(entry["balance_after"]))
    console.print(table)
    console.print(f"Balance: [bold]{client.balance()} credits[/]")


def _reason(video: Json) -> str:
    error = video["error"] or {}
    return f"{error.get('code')}: {error.get('reason') or error.get('message')}"


@contextmanager
def _cloud(directory: Path, console: Console) -> Iterator[str]:
    """The local cloud, up for as long as the context lasts; its URL."""
    log = directory / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "local", "up", "--headless", "--port", "0", "--directory", str(directory)],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            start_new_session=True,
            preexec_fn=ended_with_parent,
        )
    try:
        with console.status("Starting the cloud on this laptop"):
            url = _wait_for(process, SessionFile(directory))
        console.print(f"The cloud on this laptop is up at {url}")
        yield url
    finally:
        _stop(process)


def _wait_for(process: subprocess.Popen[bytes], session: SessionFile) -> str:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise DemoFailed("the cloud did not start")
        if up := session.read():
            return str(up["url"])
        time.sleep(0.1)
    raise DemoFailed(f"the cloud didn't start within {START_TIMEOUT_S:.0f} s")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _explain(directory: Path, console: Console) -> None:
    """The ends of the logs that may explain it, and where the rest is."""
    for log in (directory / "up.log", *(directory / "logs" / f"{name}.log" for name in ("submit", "poll"))):
        if lines := tail(log, LOG_LINES):
            console.print(Text(f"{log.name}:", "bold"))
            for line in lines:
                console.print(Text(f"    {line}", "dim"), soft_wrap=True)
    console.print(f"All logs are in {directory}", soft_wrap=True)


def _own_directory() -> Path:
    """A new directory for this demo's data; those that failed demos left behind are removed."""
    parent = ROOT / ".local"
    parent.mkdir(exist_ok=True)
    for old in parent.glob("demo-*"):
        with suppress(Held), DirectoryLock(old):
            shutil.rmtree(old)
    return Path(tempfile.mkdtemp(prefix="demo-", dir=parent))
