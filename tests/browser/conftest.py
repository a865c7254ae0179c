"""A headless Chromium, and pages in it whose every complaint is kept."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.cloud import Cloud

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
WAIT_S = 90
POLL_MS = 50


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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Chromium is installed (Debian: apt install chromium)")
        pytest.skip("no Chromium is installed (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def cloud(local_cloud: Cloud) -> Cloud:
    return local_cloud


@pytest.fixture
def open_studio(browser: Browser, cloud: Cloud) -> Iterator[Callable[[int, int], Screen]]:
    """Opens the studio in a window of a width and a height, as somebody who was never here."""
    contexts = []

    def opened(width: int, height: int) -> Screen:
        context = browser.new_context(viewport={"width": width, "height": height}, has_touch=width < 600)
        contexts.append(context)
        screen = Screen(context.new_page())
        screen.page.goto(cloud.url)
        return screen

    yield opened
    for context in contexts:
        context.close()
