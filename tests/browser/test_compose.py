"""The form: what it asks for, what it says of cost and time, and what survives."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.actions import balance_becomes, card, choose, generate, prompt_box, ready, write
from tests.browser.conftest import DESK, Open, Person, Screen

pytestmark = pytest.mark.timeout(300)


def png(color: str, side_px: int = 256) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side_px, side_px), color).save(buffer, "PNG")
    return buffer.getvalue()


def upload(name: str, content: bytes) -> Any:
    return {"name": name, "mimeType": "image/png", "buffer": content}


# What a drag from the desktop, or the clipboard, hands over; there is no other way to make one.
HAND_OVER = """([target, type, name, content]) => {
  const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name, { type: 'image/png' }));
  const details = { bubbles: true, cancelable: true };
  const event = type === 'paste'
    ? new ClipboardEvent(type, { ...details, clipboardData: carried })
    : new DragEvent(type, { ...details, dataTransfer: carried });
  document.querySelector(target).dispatchEvent(event);
}"""


def hand_over(page: Page, target: str, kind: str, name: str, content: bytes) -> None:
    page.evaluate(HAND_OVER, [target, kind, name, base64.b64encode(content).decode()])


def slot(screen: Screen, name: str) -> Locator:
    return screen.page.locator(f"#slot-{name}")


def test_cost_and_time_follow_the_form(open_studio: Open, person: Person, window: tuple[int, int]) -> None:
    """The price is known before sending, the video is as asked, the balance is as was said."""
    screen = open_studio(window, person)
    page = screen.page
    balance = screen.number("#balance")
    write(screen, "A paper boat drifts down a gutter at night, neon mirrored in the water.")
    expect(page.locator("#prompt-count")).to_have_text("18 / 1,024 tokens")
    choose(screen, "Portrait")
    choose(screen, "8 s")
    dear = screen.number("#quote-cost")
    choose(screen, "4 s")
    expect(page.locator("#quote-cost")).to_have_text(f"{dear // 2} credits")
    expect(page.locator("#quote-after")).to_have_text(f"{balance - dear // 2:,}")
    assert screen.number("#quote-time") > 0
    prompt_box(screen).press("Control+Enter")
    ready(card(screen, "A paper boat drifts"))
    balance_becomes(screen, balance - dear // 2)
    [video] = person.user.call("GET", "/v1/videos").json()["data"]
    assert (video["size"], video["seconds"], video["cost"]) == ("720x1280", "4", dear // 2)
    assert screen.fits()
    assert screen.complaints == []


def test_unsupported_options_are_disabled_with_the_reason(open_studio: Open, person: Person) -> None:
    """A choice that rules others out bars them and says why; so does another model."""
    screen = open_studio(DESK, person)
    page = screen.page
    choose(screen, "4 s")
    choose(screen, "1080p")
    expect(page.get_by_role("radio", name="4 s", exact=True)).to_be_disabled()
    expect(page.get_by_role("radio", name="8 s", exact=True)).to_be_checked()
    expect(page.get_by_text("Videos in 1080p must be 8 s long.")).to_be_visible()
    page.get_by_label("Model", exact=True).select_option("omni-flash")
    expect(page.get_by_role("switch", name="Sound")).to_be_disabled()
    expect(page.get_by_text("Omni Flash videos always include sound.")).to_be_visible()
    page.get_by_text("More settings").click()
    expect(page.get_by_label("Negative prompt")).to_be_disabled()
    expect(page.get_by_text("Omni Flash has no negative prompt.")).to_be_visible()
    page.get_by_label("Model", exact=True).select_option("veo-3.1-lite")
    expect(page.get_by_text("Reference images aren’t available with Veo 3.1 Lite.")).to_be_visible()
    assert screen.complaints == []


def test_invalid_form_is_explained_at_once_and_costs_nothing(open_studio: Open, person: Person) -> None:
    """Neither an empty prompt, nor one that is too long, nor a wrong seed leaves the page."""
    screen = open_studio(DESK, person)
    page = screen.page
    notice = page.locator("#compose-notice")
    page.get_by_role("button", name="Generate").click()
    expect(notice).to_contain_text("Write a prompt first.")
    expect(prompt_box(screen)).to_be_focused()
    prompt_box(screen).fill("long " * 1000)
    page.get_by_role("button", name="Generate").click()
    expect(notice).to_contain_text("tokens too long")
    prompt_box(screen).fill("A short one")
    page.get_by_text("More settings").click()
    page.get_by_label("Seed").fill("minus one")
    page.get_by_role("button", name="Generate").click()
    expect(notice).to_contain_text("Enter a whole number")
    assert person.user.call("GET", "/v1/videos").json()["data"] == []


def test_draft_survives_a_reload_with_its_images(open_studio: Open, person: Person, window: tuple[int, int]) -> None:
    """Nothing that was written, chosen or added is lost."""
    screen = open_studio(window, person)
    page = screen.page
    prompt_box(screen).fill("Slow aerial shot over a valley")
    choose(screen, "1080p")
    page.get_by_label("Add an image: First frame").set_input_files(upload("valley.png", png("teal")))
    expect(slot(screen, "first").get_by_role("img", name="valley.png: First frame")).to_be_visible()
    page.reload()
    expect(prompt_box(screen)).to_have_value("Slow aerial shot over a valley")
    expect(page.get_by_role("radio", name="1080p")).to_be_checked()
    expect(slot(screen, "first").get_by_role("img", name="valley.png: First frame")).to_be_visible()
    assert screen.complaints == []


def test_images_can_be_dropped_and_pasted(open_studio: Open, person: Person) -> None:
    """A first frame by dropping, a last one by pasting; the video is made from both."""
    screen = open_studio(DESK, person)
    page = screen.page
    prompt_box(screen).fill("From red to blue")
    choose(screen, "4 s")
    expect(page.get_by_label("Add an image: Last frame")).to_be_disabled()
    hand_over(page, "#slot-first .slot-frame", "drop", "red.png", png("red"))
    expect(slot(screen, "first").get_by_role("img", name="red.png: First frame")).to_be_visible()
    expect(page.get_by_text("You can use either references or first/last frames, not both.")).to_be_visible()
    hand_over(page, "#prompt", "paste", "image.png", png("blue"))
    expect(slot(screen, "last").get_by_role("img", name="Pasted image: Last frame")).to_be_visible()
    ready(generate(screen, "From red to blue"))
    [video] = person.user.call("GET", "/v1/videos").json()["data"]
    assert [image["role"] for image in video["inputs"]] == ["first_frame", "last_frame"]
    page.get_by_role("button", name="Remove red.png (First frame)").click()
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#compose-notice")).to_contain_text("A last frame needs a first frame.")
    assert screen.complaints == []


def test_non_image_file_is_rejected_with_the_reason(open_studio: Open, person: Person) -> None:
    """The bytes decide, and the error for a too small image states its size."""
    screen = open_studio(DESK, person)
    page = screen.page
    chooser = page.get_by_label("Add an image: References")
    chooser.set_input_files(upload("notes.png", b"these are words"))
    fault = page.locator("#images-fault")
    expect(fault).to_have_text("notes.png isn’t a PNG, JPEG or WebP image.")
    chooser.set_input_files(upload("dot.png", png("red", 8)))
    expect(fault).to_contain_text("dot.png is 8 × 8 pixels.")
    chooser.set_input_files([upload(f"{n}.png", png("green")) for n in range(3)])
    expect(page.get_by_text("Maximum of 3 reference images reached.")).to_be_visible()
    expect(page.get_by_text("With reference images, videos must be 8 s long.")).to_be_visible()
    expect(fault).to_be_hidden()


def test_template_becomes_a_prompt(open_studio: Open, person: Person, window: tuple[int, int]) -> None:
    """Its blanks are filled in; what is left empty is as in the example."""
    screen = open_studio(window, person)
    page = screen.page
    page.get_by_role("button", name="Templates").click()
    dialog = page.get_by_role("dialog", name="Start from a template")
    dialog.get_by_role("radio", name="Time-lapse").check(force=True)
    dialog.get_by_label("subject").fill("an anthill")
    assert screen.fits()
    dialog.get_by_role("button", name="Use this prompt").click()
    expect(prompt_box(screen)).to_have_value(re.compile("^Time-lapse of an anthill from dusk to deep night"))
    expect(prompt_box(screen)).to_be_focused()


def test_video_can_be_extended(open_studio: Open, person: Person) -> None:
    """Extending says what it costs, bars what stays as it was, survives a reload, and asks for the longer video."""
    person.user.finish("The tide comes in", seconds=4)
    screen = open_studio(DESK, person)
    page = screen.page
    card(screen, "The tide comes in").get_by_role("button", name="Extend this video").click()
    expect(page.locator("#source")).to_contain_text("The tide comes in")
    expect(page.get_by_text("Same as the original video.").first).to_be_visible()
    expect(page.get_by_text("You can’t use images when extending a video.")).to_be_visible()
    prompt_box(screen).fill("and it goes out again")
    page.reload()
    expect(page.locator("#source")).to_contain_text("The tide comes in")
    expect(page.get_by_role("radio", name="+ 7 s")).to_be_checked()
    expect(page.locator("#quote-cost")).to_have_text("70 credits")
    page.get_by_role("button", name="Generate").click()
    expect(card(screen, "and it goes out again")).to_be_visible()
    [longer, _] = person.user.call("GET", "/v1/videos").json()["data"]
    assert (longer["seconds"], longer["added_seconds"]) == ("11", 7)
    assert screen.complaints == []


def test_request_with_a_lost_answer_is_made_and_charged_once(open_studio: Open, person: Person) -> None:
    """The page repeats a request of unknown outcome under the same Idempotency-Key, so nothing is doubled."""
    screen = open_studio(DESK, person)
    page = screen.page
    balance = screen.number("#balance")
    keys: list[str] = []

    def lose_the_first_answer(route) -> None:  # type: ignore[no-untyped-def]
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route(re.compile(r"/v1/videos$"), lose_the_first_answer)
    write(screen, "Rain on a tin roof, close up")
    choose(screen, "4 s")
    cost = screen.number("#quote-cost")
    page.get_by_role("button", name="Generate").click()
    # The stream may show the card before the answer is there.
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    expect(card(screen, "Rain on a tin roof")).to_have_count(1)
    balance_becomes(screen, balance - cost)
    assert len(keys) == 2
    assert len(set(keys)) == 1


def test_price_increase_is_shown_before_anything_is_created(open_studio: Open, person: Person) -> None:
    """The page agrees to the price that it shows, and to no other."""
    screen = open_studio(DESK, person)
    page = screen.page
    balance = screen.number("#balance")
    estimates = re.compile(r"/v1/videos/estimate$")

    def cheaper(route) -> None:  # type: ignore[no-untyped-def]
        said = route.fetch().json()
        route.fulfill(json=said | {"cost": 39, "balance_after": balance - 39})

    page.route(estimates, cheaper)
    write(screen, "A lantern festival, seen from the river")
    choose(screen, "4 s")
    expect(page.locator("#quote-cost")).to_have_text("39 credits")
    page.unroute(estimates)
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#compose-notice")).to_contain_text("The price changed from 39 credits to 40 credits.")
    expect(page.locator("#quote-cost")).to_have_text("40 credits")
    assert person.user.ledger == [500]
    page.get_by_role("button", name="Generate").click()
    expect(card(screen, "A lantern festival")).to_be_visible()
    balance_becomes(screen, balance - 40)
