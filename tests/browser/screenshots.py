"""`make screenshots`: the studio's main states as pictures in docs/images, taken on a running local cloud."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.browser.conftest import ARGUMENTS, NAMES
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
PASSWORD = "a long enough password"  # noqa: S105 - of a user that lives as long as this program


def main() -> int:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        print("No Chromium is installed (Debian: apt install chromium)", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        with Cloud.started(Path(directory), PROVIDERS_CACHE="", SIGNUP_CREDITS="2000") as cloud:
            page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme="dark")
            sign_up(page, cloud.url)
            shoot(page, "empty")
            fill_library(page, cloud)
            shoot(page, "studio")
            page.emulate_media(color_scheme="light")
            shoot(page, "studio-light")
            page.set_viewport_size({"width": 390, "height": 844})
            page.emulate_media(color_scheme="dark")
            shoot(page, "phone")
        browser.close()
    return 0


def sign_up(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_load_state("networkidle")
    shoot(page, "sign-in")
    page.get_by_role("button", name="Create an account").or_(page.get_by_text("Create an account")).first.click()
    page.get_by_label("Email").fill("somebody@example.com")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("form button[type=submit]").first.click()
    page.locator("textarea").first.wait_for()


def fill_library(page: Page, cloud: Cloud) -> None:
    """Several finished videos, one under way, one that was blocked."""
    token = page.evaluate("localStorage.length")
    assert token, "nobody is signed in"
    for prompt in (*PROMPTS, "A street fight [blocked]"):
        generate(page, prompt)
        page.wait_for_timeout(200)
        page.locator("text=/%|Queued|Starting|Storing/").first.wait_for(state="detached", timeout=60_000)
    page.wait_for_timeout(1_500)


def generate(page: Page, prompt: str) -> None:
    page.locator("textarea").first.fill(prompt)
    page.wait_for_timeout(600)
    page.locator("textarea").first.press("Control+Enter")


def shoot(page: Page, name: str) -> None:
    page.wait_for_timeout(500)
    page.screenshot(path=IMAGES / f"{name}.png")
    print(f"docs/images/{name}.png")


if __name__ == "__main__":
    sys.exit(main())
