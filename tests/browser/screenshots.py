"""`make screenshots`: the studio's main states as pictures in docs/images, taken on a running local cloud."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, NAMES, Screen
from tests.browser.test_studio import card, sign_up, write
from tests.cloud import Cloud

IMAGES = Path(__file__).parents[2] / "docs" / "images"
PROMPTS = (
    "A paper boat sails down a rain-filled street at dusk, slow dolly, warm window light on the water",
    "Golden hour over a lavender field, a drone rises from a stone farmhouse",
    "Macro: ink unfolds in clear water like a slow firework, black background",
    "A lighthouse in a winter storm, long lens, spray against the lamp",
    "Night market in the rain, neon reflections, handheld",
    "An old tram climbs a steep street in the morning fog",
)
BLOCKED = "A crowd fights on a square [blocked]"
RUNNING = "A heron lifts off a frozen lake [slow 60s]"
NEXT = "A kite over the dunes at noon, wide shot, strong wind"
SETTLE_MS = 700


def main() -> int:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        print("No Chromium is installed (Debian: apt install chromium)", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        with Cloud.started(Path(directory), PROVIDERS_CACHE="", SIGNUP_CREDITS="2000") as cloud:
            screen = Screen(browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="dark"))
            take_all(screen, cloud.url)
        browser.close()
    return 0


def take_all(screen: Screen, url: str) -> None:
    page = screen.page
    page.goto(url)
    expect(page.get_by_label("E-mail")).to_be_visible()
    take(page, "sign-in")
    sign_up(screen)
    take(page, "empty")
    for prompt in (*PROMPTS, BLOCKED):
        write(screen, prompt)
        page.get_by_role("button", name="Generate").click()
        expect(card(screen, prompt).get_by_role("link", name=re.compile("Play|Details"))).to_be_visible()
    screen.until("[...document.querySelectorAll('.card img.poster')].every(poster => poster.naturalWidth > 0)")
    write(screen, RUNNING)
    page.get_by_role("button", name="Generate").click()
    expect(card(screen, RUNNING).get_by_role("progressbar")).to_be_visible()
    write(screen, NEXT)
    page.wait_for_timeout(SETTLE_MS)
    take(page, "studio")
    page.emulate_media(color_scheme="light")
    take(page, "studio-light")
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    take(page, "phone")
    page.set_viewport_size({"width": 1280, "height": 860})
    card(screen, PROMPTS[0]).get_by_role("link", name="Play").click()
    screen.until("document.querySelector('#player video')?.currentTime > 1")
    take(page, "player")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Account", exact=True).click()
    expect(page.locator("#ledger-rows tr").first).to_be_visible()
    take(page, "account")


def take(page: Page, name: str) -> None:
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=IMAGES / f"{name}.png")
    print(f"docs/images/{name}.png")


if __name__ == "__main__":
    sys.exit(main())
