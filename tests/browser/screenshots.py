"""`make screenshots`: the studio's main states as pictures in docs/images, taken on a running local cloud."""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from testing.cloud import Cloud
from tests.browser.actions import VIDEO, card, ended, ready
from tests.browser.conftest import ARGUMENTS, DESK, NAMES, PHONE, Person, Screen, signed_in
from tests.browser.test_compose import png, upload

IMAGES = Path(__file__).parents[2] / "docs" / "images"
PROMPTS = (
    "A paper boat sails down a rain-filled street at dusk, slow dolly, warm window light on the water",
    "Golden hour over a lavender field, a drone rises from a stone farmhouse",
    "Macro: ink unfolds in clear water like a slow firework, black background",
    "A lighthouse in a winter storm, long lens, spray against the lamp",
)
PORTRAIT = "Night market in the rain, neon reflections, handheld, a cook tosses noodles"
BLOCKED = "A crowd fights on a square [blocked]"
RUNNING = ("A heron lifts off a frozen lake [slow 60s]", "An old tram climbs a steep street in fog [slow 60s]")
NEXT = "A kite over the dunes at noon, wide shot, strong wind"
# Fades and the first frame of a player.
SETTLE_MS = 700
COLORS = 256
MOST_BYTES = 300_000


def main() -> int:
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        print("No Chromium is installed (Debian: apt install chromium)", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        with Cloud.started(Path(directory), PROVIDERS_CACHE="", SIGNUP_CREDITS="2000") as cloud:
            take_all(browser, cloud)
        browser.close()
    return 0


def take_all(browser: Browser, cloud: Cloud) -> None:
    take(entered(browser, cloud, None, DESK).page, "sign-in")
    person = Person.new(cloud, "ada@example.com")
    desk = entered(browser, cloud, person, DESK)
    expect(desk.page.get_by_role("heading", name="No videos yet")).to_be_visible()
    take(desk.page, "empty")
    fill(person)
    take_studio(desk)
    take_player(desk)
    phone = entered(browser, cloud, person, PHONE)
    take_phone(phone)
    take_rooms(desk, entered(browser, cloud, Person.admin(cloud), DESK))


def entered(browser: Browser, cloud: Cloud, person: Person | None, window: tuple[int, int]) -> Screen:
    is_phone = window == PHONE
    context: BrowserContext = browser.new_context(
        viewport={"width": window[0], "height": window[1]},
        color_scheme="dark",
        is_mobile=is_phone,
        has_touch=is_phone,
        reduced_motion="reduce",
        storage_state=signed_in(cloud.url, person) if person else None,
    )
    screen = Screen(context.new_page())
    screen.page.goto(cloud.url)
    return screen


def fill(person: Person) -> None:
    """Some videos, one that was refused, and two in the making."""
    for prompt in PROMPTS:
        person.user.finish(prompt)
    person.user.finish(PORTRAIT, aspect_ratio="9:16")
    person.user.finish(BLOCKED)
    for prompt in RUNNING:
        person.user.create(prompt)


def take_studio(screen: Screen) -> None:
    page = screen.page
    ready(card(screen, PROMPTS[0]))
    expect(card(screen, RUNNING[1]).get_by_role("progressbar")).to_be_visible()
    screen.until("[...document.querySelectorAll('img.poster')].some((poster) => poster.naturalWidth > 0)")
    page.get_by_label("Prompt", exact=True).fill(NEXT)
    page.get_by_label("Add an image: First frame").set_input_files(upload("kite.png", png("#5b7fa6")))
    page.locator(".toast").evaluate_all("toasts => toasts.forEach((toast) => toast.remove())")
    take(page, "studio")
    page.emulate_media(color_scheme="light")
    take(page, "studio-light")
    page.emulate_media(color_scheme="dark")
    page.get_by_role("combobox", name="Show").select_option("status:in_progress")
    expect(page.locator("#grid .card")).to_have_count(len(RUNNING))
    page.get_by_role("combobox", name="Show").select_option("")


def take_player(screen: Screen) -> None:
    page = screen.page
    ready(card(screen, PROMPTS[0])).click()
    screen.until(f"{VIDEO}?.currentTime > 1")
    take(page, "player")
    page.keyboard.press("Escape")
    ended(card(screen, BLOCKED)).click()
    take(page, "failed")
    page.keyboard.press("Escape")


def take_phone(screen: Screen) -> None:
    page = screen.page
    page.get_by_label("Prompt", exact=True).fill(NEXT)
    expect(page.locator("#send")).to_be_enabled()
    take(page, "phone")
    screen.go("videos")
    ended(card(screen, BLOCKED))
    take(page, "phone-videos")


def take_rooms(desk: Screen, admin: Screen) -> None:
    desk.go("account")
    expect(desk.page.get_by_text("Videos: 8 in total")).to_be_visible()
    take(desk.page, "account")
    admin.go("admin")
    expect(admin.page.get_by_text("Time until ready, per video")).to_be_visible()
    take(admin.page, "admin")
    admin.go("admin/settings")
    expect(admin.page.get_by_role("heading", name="Prices")).to_be_visible()
    take(admin.page, "settings")


def take(page: Page, name: str) -> None:
    """As a PNG; one that would be large has fewer colors."""
    page.wait_for_timeout(SETTLE_MS)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    path = IMAGES / f"{name}.png"
    picture.save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        picture.quantize(COLORS, dither=Image.Dither.FLOYDSTEINBERG).save(path, optimize=True)
    print(f"docs/images/{name}.png {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    sys.exit(main())
