"""What every state of the page keeps: readable for everybody, by keyboard alone, in any light, size and direction;
small, still, and without secrets in addresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from local.identity import STS, TOOLKIT
from testing.cloud import Cloud, Json
from tests.browser.actions import card, generate, prompt_box, ready
from tests.browser.conftest import BOAT, DESK, PHONE, Open, Person, Screen

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
MOST_BYTES = 100_000
MOST_SHIFT = 0.05
# Chromium's own "Fast 3G", and a processor that is four times slower.
FAST_3G = {
    "offline": False,
    "latency": 562.5,
    "downloadThroughput": 1.44e6 / 8 * 0.9,
    "uploadThroughput": 675e3 / 8 * 0.9,
}
SHIFTS = """globalThis.shifts = [];
new PerformanceObserver((list) => {
  for (const { value, hadRecentInput, sources } of list.getEntries()) {
    const where = sources.map(({ node }) => node?.outerHTML?.slice(0, 60) ?? node?.textContent);
    if (!hadRecentInput) shifts.push({ value, where });
  }
}).observe({ type: 'layout-shift', buffered: true });"""


HEIGHTS = "(fields) => fields.map((field) => Math.round(field.getBoundingClientRect().height))"


@pytest.fixture(scope="module")
def admin(cloud: Cloud) -> Person:
    return Person.admin(cloud)


def violations(page: Page) -> list[str]:
    found = Axe().run(page, options=RULES).response["violations"]
    return [f"{each['id']}: {node['html'][:160]} {node['failureSummary']}" for each in found for node in each["nodes"]]


def settled(screen: Screen) -> None:
    """Nothing is loading."""
    expect(screen.page.locator("[aria-busy=true]:visible")).to_have_count(0)
    screen.page.evaluate("document.querySelectorAll('.toast').forEach((toast) => toast.remove())")


LIGHTS = pytest.mark.parametrize(("window", "scheme"), [(DESK, "dark"), (PHONE, "light")], ids=["desk", "phone"])


@LIGHTS
def test_studio_is_accessible_in_every_state(
    open_studio: Open, owner: Person, window: tuple[int, int], scheme: str
) -> None:
    """axe finds nothing, on a desk in the dark and on a phone by day: from the door to the player and the dialogs."""
    door = open_studio(window, color_scheme=scheme)
    expect(door.page.get_by_label("Password")).to_be_visible()
    assert violations(door.page) == []
    screen = open_studio(window, owner, "videos", color_scheme=scheme)
    page = screen.page
    ready(card(screen, BOAT))
    settled(screen)
    assert violations(page) == []
    page.get_by_role("button", name="Select", exact=True).click()
    assert violations(page) == []
    page.get_by_role("button", name="Done", exact=True).click()
    for link in (card(screen, BOAT).get_by_role("link"), page.get_by_role("link", name="Details")):
        link.click()
        expect(page.get_by_role("dialog", name="Video", exact=True)).to_be_visible()
        assert violations(page) == []
        page.keyboard.press("Escape")
    screen.go("")
    page.get_by_text("More settings").click()
    settled(screen)
    assert violations(page) == []
    page.get_by_role("button", name="Templates").click()
    assert violations(page) == []


@LIGHTS
def test_other_pages_are_accessible(
    open_studio: Open, admin: Person, owner: Person, window: tuple[int, int], scheme: str
) -> None:
    """axe finds nothing in the account's and the administrators' rooms; everything fits the window."""
    screen = open_studio(window, admin, "account", color_scheme=scheme)
    sections = {
        "account": ("overview", "ledger", "keys", "webhooks", "data"),
        "admin": ("health", "users", "videos", "projects", "settings"),
    }
    for room, names in sections.items():
        for name in names:
            screen.go(f"{room}/{name}")
            expect(screen.page.locator(f".room-nav:visible [aria-current][href$='{name}']")).to_be_visible()
            settled(screen)
            assert violations(screen.page) == [], f"{room}/{name}"
            assert screen.fits(), f"{room}/{name}"
    assert screen.complaints == []


def test_video_is_created_watched_and_deleted_by_keyboard_alone(open_studio: Open, person: Person) -> None:
    """From the top of the page with Tab, Enter, Escape and the arrows; the focus is always somewhere."""
    screen = open_studio(DESK, person)
    page = screen.page
    expect(page.locator("#send")).to_be_enabled()
    keys = page.keyboard
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    keys.press("Enter")
    tab_to(page, "document.activeElement.id === 'prompt'")
    keys.type("By keys alone")
    tab_to(page, "document.activeElement.name === 'seconds'")
    keys.press("ArrowLeft")
    keys.press("ArrowLeft")
    expect(page.get_by_role("radio", name="4 s", exact=True)).to_be_checked()
    keys.press("Control+Enter")
    ready(card(screen, "By keys alone"))
    tab_to(page, "document.activeElement.matches('.card-open')")
    keys.press("Enter")
    dialog = page.get_by_role("dialog", name="Video", exact=True)
    expect(dialog).to_be_visible()
    keys.press("Escape")
    expect(dialog).to_be_hidden()
    tab_to(page, "document.activeElement.getAttribute('aria-label')?.startsWith('Delete')")
    keys.press("Enter")
    expect(page.get_by_role("button", name="Undo")).to_be_focused()
    keys.press("Enter")
    expect(card(screen, "By keys alone")).to_be_visible()
    assert screen.complaints == []


def tab_to(page: Page, where: str) -> None:
    for _ in range(80):
        if page.evaluate(where):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"no way there by Tab: {where}")


@pytest.mark.parametrize("size", [(360, 640), (768, 1024), (3840, 2160)], ids=["360px", "tablet", "4k"])
def test_layout_fits_every_width_from_360_pixels_to_4k(open_studio: Open, owner: Person, size: tuple[int, int]) -> None:
    """Nothing is cut off, and a very large screen shows more and larger things, not a corner of them."""
    screen = open_studio(size, owner, "videos")
    ready(card(screen, BOAT))
    assert screen.fits()
    screen.go("account")
    expect(screen.page.locator(".balance-figure")).to_be_visible()
    assert screen.fits()
    if size[0] == 3840:
        assert screen.page.evaluate("getComputedStyle(document.documentElement).fontSize") == "24px"


def test_page_can_be_mirrored_for_right_to_left(open_studio: Open, owner: Person, window: tuple[int, int]) -> None:
    """The form is on the right, the library on the left, and nothing sticks out."""
    screen = open_studio(window, owner, "videos")
    page = screen.page
    ready(card(screen, BOAT))
    page.evaluate("document.documentElement.dir = 'rtl'")
    assert screen.fits()
    if not screen.is_narrow:
        form, library = (page.locator(where).bounding_box() for where in ("#compose", ".library"))
        assert form is not None
        assert library is not None
        assert form["x"] >= library["x"] + library["width"] - 1
    card(screen, BOAT).get_by_role("link").click()
    assert screen.fits()


def shifted(page: Page) -> float:
    """How far what was on the screen has moved by itself, as Chromium counts it; what moved is printed."""
    shifts = page.evaluate("shifts")
    print(shifts)
    return float(sum(shift["value"] for shift in shifts))


def fetched(page: Page, origin: str) -> Callable[[], dict[str, int]]:
    """Keeps what the browser gets from there over the wire, in bytes with the headers, by address."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    # As on the first visit.
    session.send("Network.clearBrowserCache")
    urls: dict[str, str] = {}
    sizes: dict[str, int] = {}

    def finished(event: Json) -> None:
        path = urls[event["requestId"]].removeprefix(origin)
        sizes[path] = sizes.get(path, 0) + round(event["encodedDataLength"])

    session.on("Network.requestWillBeSent", lambda event: urls.update({event["requestId"]: event["request"]["url"]}))
    session.on("Network.loadingFinished", finished)
    return lambda: {path: size for path, size in sizes.items() if path.startswith("/")}


def test_first_page_is_small_and_stable(
    open_studio: Open, cloud: Cloud, owner: Person, window: tuple[int, int], record_property: Callable[[str, int], None]
) -> None:
    """Under 100 KB over the wire, signed in or not; and the layout is stable."""
    for name, visitor in (("door", None), ("studio", owner)):
        screen = open_studio(window, visitor)
        page = screen.page
        page.add_init_script(SHIFTS)
        page.goto("about:blank")
        sizes = fetched(page, cloud.url)
        page.goto(cloud.url)
        expect(page.locator("#bar" if visitor else "#door")).to_be_visible()
        if visitor:
            expect(page.locator("#balance")).to_have_text(re.compile(r"\d"))
            expect(page.locator("#grid .card:not(.card-skeleton)")).to_have_count(3)
        page.wait_for_load_state("load")
        files = {path: size for path, size in sizes().items() if not path.startswith(("/v1/", TOOLKIT, STS))}
        size = sum(files.values())
        record_property(f"{name}_bytes", size)
        print(f"{name}: {len(files)} files, {size:,} bytes; with the API's answers {sum(sizes().values()):,}")
        assert 10_000 < size < MOST_BYTES, name
        assert shifted(page) <= MOST_SHIFT, name


def test_layout_does_not_shift_while_videos_generate(
    open_studio: Open, person: Person, window: tuple[int, int]
) -> None:
    """A card has the same size in every state, so that what one points at stays where it is."""
    screen = open_studio(window, person)
    screen.page.evaluate(SHIFTS)
    ready(generate(screen, "A still life [slow 2s]"))
    assert shifted(screen.page) <= MOST_SHIFT


def test_choices_keep_their_height_when_the_models_arrive(open_studio: Open, person: Person) -> None:
    """The reasons why something can't be chosen fit into the lines that are kept for them, on a phone too."""
    page = open_studio(PHONE, person).page
    held: list[Route] = []
    page.route("**/v1/models*", lambda route: held.append(route))
    page.reload(wait_until="commit")
    fields = page.locator("#compose fieldset.row")
    expect(page.get_by_text("Resolution", exact=True)).to_be_visible()
    before = fields.evaluate_all(HEIGHTS)
    page.unroute("**/v1/models*")
    for route in held:
        route.continue_()
    expect(page.locator("#resolution-field .reason")).not_to_be_empty()
    assert fields.evaluate_all(HEIGHTS) == before


@pytest.mark.long
def test_time_to_interactive_on_a_slow_phone_is_reported(
    open_studio: Open, cloud: Cloud, owner: Person, record_property: Callable[[str, int], None]
) -> None:
    """A report and no limit: what it says depends on this machine. The page is usable all the same."""
    for name, visitor, usable in (("door", None, "#sign-in-button"), ("studio", owner, "#prompt")):
        screen = open_studio(PHONE, visitor)
        page = screen.page
        page.goto("about:blank")
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", FAST_3G)
        session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        page.goto(cloud.url, wait_until="commit")
        expect(page.locator(usable)).to_be_visible()
        taken_ms = round(page.evaluate("performance.now()"))
        record_property(f"{name}_interactive_ms", taken_ms)
        print(f"{name}: usable after {taken_ms:,} ms at 4x CPU and Fast 3G")
        page.locator(usable).focus()


def test_no_token_in_urls_and_nothing_from_other_origins(open_studio: Open, cloud: Cloud, owner: Person) -> None:
    """Tokens travel in headers; the page is ours alone, but for the bucket's signed URLs."""
    screen = open_studio(DESK, owner)
    page = screen.page
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    page.reload()
    ready(card(screen, BOAT)).click()
    screen.until("document.querySelector('#player video')?.readyState > 1")
    screen.go("account/keys")
    expect(page.get_by_text("No API keys yet.")).to_be_visible()
    kept = page.evaluate("JSON.stringify(localStorage)")
    assert owner.refresh_token in kept
    assert "eyJ" not in kept.replace(owner.refresh_token, "")
    assert not [url for url in seen if "eyJ" in url or owner.refresh_token in url]
    origins = {url.split("/", 3)[2] for url in seen if not url.startswith(("blob:", "data:"))}
    assert origins == {cloud.url.removeprefix("http://"), cloud.session["storage"].removeprefix("http://")}
    policy = cloud.http.get(cloud.url).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'self'" in policy
    html = (ROOT / "web" / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=", html)


def test_initial_resources_load_in_parallel() -> None:
    """A module that is only found once another was read costs a journey: index.html names all of them, those of the
    studio for who is signed in."""
    html = (ROOT / "web" / "index.html").read_text()
    head, _, rest = html.partition('<template id="studio-files">')
    named, later = (set(re.findall(r'modulepreload" href="([^"]+)"', part)) for part in (head, rest))
    door = imported("js/main.js") | {"js/signin.js"}
    assert named == door
    assert later == imported("js/studio.js") - door


def imported(module: str) -> set[str]:
    """The module and all that it cannot begin without."""
    needed: set[str] = set()
    found = [module]
    while found:
        module = found.pop()
        if module not in needed:
            needed.add(module)
            text = (ROOT / "web" / module).read_text()
            found += [f"js/{name}" for name in re.findall(r"^import .*?from '\./(\w+\.js)';", text, re.M | re.S)]
    return needed


def test_prompts_are_shown_as_text(open_studio: Open, person: Person) -> None:
    """Markup in a prompt is letters, wherever it is shown."""
    prompt = "<img src=x onerror=alert(1)> [content blocked]"
    person.user.finish(prompt, seconds=4)
    screen = open_studio(DESK, person)
    card(screen, "onerror").get_by_role("link").click()
    expect(screen.page.locator("#player-prompt")).to_have_text(prompt)
    screen.page.get_by_role("button", name="Use prompt").click()
    expect(prompt_box(screen)).to_have_value(prompt)
    assert screen.complaints == []
