"""A headless Chromium, users of the studio in it, and pages whose errors are all recorded."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from testing.cloud import Cloud, Json, User

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
DESK = (1280, 800)
PHONE = (390, 844)
WINDOWS = {"desk": DESK, "phone": PHONE}
# Narrower than this the form and the library are two rooms.
NARROW_PX = 900
WAIT_S = 60
# The videos of `owner`.
BOAT = "A paper boat sails down a street at dusk"
SWING = "A swing in the garden, and nobody on it"
CROWD = "A crowd on a square [blocked]"
POLL_MS = 50


@dataclass
class Person:
    """Somebody with an account; `user` calls the API as him, without a browser."""

    email: str
    password: str
    refresh_token: str
    user: User
    local_id: str

    @classmethod
    def new(cls, cloud: Cloud, email: str = "") -> Person:
        """With a verified address."""
        email = email or f"studio-{secrets.token_hex(5)}@example.com"
        person = cls._entered(cloud, "signUp", email, "correct horse")
        cloud.verify_email(person.local_id)
        person.user.token = cloud.refreshed(person.refresh_token)
        return person

    @classmethod
    def admin(cls, cloud: Cloud) -> Person:
        """The administrator that comes with the cloud."""
        email = "admin@example.com"
        return cls._entered(cloud, "signInWithPassword", email, cloud.session["passwords"][email])

    @classmethod
    def _entered(cls, cloud: Cloud, call: str, email: str, password: str) -> Person:
        body = {"email": email, "password": password, "returnSecureToken": True}
        tokens = cloud.identity(call, **body)
        return cls(email, password, tokens["refreshToken"], User(cloud, tokens["idToken"]), tokens["localId"])

    def change_password(self, password: str) -> None:
        """On another machine: the sessions of this one end when they are renewed."""
        self.user.cloud.identity("update", idToken=self.user.token, password=password)
        self.password = password


@dataclass
class Screen:
    """A page of the studio, and what its console said."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(WAIT_S * 1000)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.on("requestfailed", lambda request: self._miss(request.url, request.failure))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _miss(self, url: str, failure: str | None) -> None:
        # Aborted is what the page itself gave up: an estimate that typing made stale, a video that was closed.
        if failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {url}: {failure}")

    @property
    def is_narrow(self) -> bool:
        size = self.page.viewport_size
        assert size is not None
        return size["width"] <= NARROW_PX

    def go(self, room: str) -> None:
        """To a room by its address, such as "videos" or "account/keys"."""
        self.page.evaluate("room => { location.hash = `#/${room}`; }", room)

    def until(self, expression: str) -> Any:
        """The value of the expression once it is truthy. (Playwright's own waiting evaluates in the page, which the
        page's security policy forbids.)"""
        deadline = time.monotonic() + WAIT_S
        while not (value := self.page.evaluate(expression)):
            assert time.monotonic() < deadline, f"never true: {expression}; the console said {self.complaints}"
            self.page.wait_for_timeout(POLL_MS)
        return value

    def number(self, selector: str) -> int:
        """The first whole number in an element's text, which may have a sign and separators."""
        self.until(f"/\\d/.test(document.querySelector({selector!r})?.textContent)")
        text = self.page.locator(selector).inner_text().replace(",", "").replace("−", "-")
        return int(text.split()[0])

    def fits(self) -> bool:
        """Nothing makes the page wider than its window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


Open = Callable[..., Screen]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Chromium is installed (Debian: apt install chromium)")
        pytest.skip("no Chromium is installed (Debian: apt install chromium)")
    expect.set_options(timeout=WAIT_S * 1000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def cloud(local_cloud: Cloud) -> Cloud:
    return local_cloud


@pytest.fixture
def person(cloud: Cloud) -> Person:
    return Person.new(cloud)


@pytest.fixture(scope="session")
def owner(cloud: Cloud) -> Person:
    """Somebody with videos of several kinds, for tests that change none of them."""
    person = Person.new(cloud)
    wishes: tuple[Json, ...] = (
        {"prompt": BOAT, "seconds": 8},
        {"prompt": SWING, "seconds": 4, "aspect_ratio": "9:16"},
        {"prompt": CROWD, "seconds": 4},
    )
    for job in [person.user.create(**wish) for wish in wishes]:
        person.user.wait(job["id"])
    return person


@pytest.fixture(params=list(WINDOWS))
def window(request: pytest.FixtureRequest) -> tuple[int, int]:
    """A desk's and a phone's."""
    return WINDOWS[request.param]


@pytest.fixture
def open_studio(browser: Browser, cloud: Cloud) -> Iterator[Open]:
    """Opens the studio in a window of a size: as a new visitor, or signed in."""
    contexts: list[BrowserContext] = []

    def opened(
        window: tuple[int, int] = DESK, person: Person | None = None, room: str = "", url: str = "", **options: Any
    ) -> Screen:
        context = browser.new_context(
            **{
                "viewport": {"width": window[0], "height": window[1]},
                "has_touch": window[0] <= NARROW_PX,
                "is_mobile": window[0] <= NARROW_PX,
                "reduced_motion": "reduce",
                "storage_state": signed_in(url or cloud.url, person) if person else None,
                **options,
            }
        )
        contexts.append(context)
        screen = Screen(context.new_page())
        screen.page.goto(url if "?" in url else f"{url or cloud.url}/#/{room}")
        return screen

    yield opened
    for context in contexts:
        context.close()


def session_of(person: Person) -> str:
    """The browser storage of a signed-in user."""
    return json.dumps({"refreshToken": person.refresh_token, "email": person.email})


def signed_in(url: str, person: Person) -> Any:
    """A browser in which that person is signed in."""
    kept = [{"name": "rushes.session", "value": session_of(person)}]
    return {"cookies": [], "origins": [{"origin": url, "localStorage": kept}]}
