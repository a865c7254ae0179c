"""Videos from the command line: asked for, followed, fetched and removed."""

from __future__ import annotations

from pathlib import Path

import av
import pytest
from PIL import Image

from testing.cloud import User
from tests.cli.conftest import Shell

LENGTH_TOLERANCE_S = 0.2
ENDLESS = "a boat [never finishes]"
# What takes the least to make.
SMALL = ("--model", "omni-flash", "--seconds", "3", "--size", "640x360")
SMALL_BODY = {"model": "omni-flash", "seconds": 3, "size": "640x360"}


def seconds(path: Path) -> float:
    """The length of a playable video."""
    with av.open(str(path)) as film:
        assert film.duration is not None
        return film.duration / av.time_base


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "first frame.png"
    Image.new("RGB", (640, 360), "orange").save(path)
    return path


def test_one_command_creates_waits_and_downloads(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "films" / "boat.mp4"
    done = shell.call("create", "a boat", *SMALL, "-o", str(out), "--json").ok().json
    assert done["status"] == "completed"
    assert seconds(out) == pytest.approx(3, abs=LENGTH_TOLERANCE_S)
    assert done["downloaded"] == [{"index": 0, "path": str(out), "size_bytes": out.stat().st_size}]
    assert [path.name for path in out.parent.iterdir()] == ["boat.mp4"]


def test_every_option_reaches_the_api(shell: Shell, user: User, image: Path) -> None:
    user.cloud.have_project("winter")
    wished = {
        "--model": "veo-3.1",
        "--seconds": "8",
        "--size": "720x1280",
        "--negative-prompt": "people",
        "--seed": "7",
        "--people": "dont_allow",
        "--count": "2",
        "--first-frame": str(image),
        "--last-frame": str(image),
        "--project": "winter",
        "--on-limit": "fail",
        "--webhook-url": f"{user.cloud.url}/nothing",
    }
    options = [part for option in wished.items() for part in option]
    made = shell.call("create", ENDLESS, *options, "--no-audio", "--label", "a=b", "--label", "c=d=e", "--json")
    video = user.get(made.ok().json["id"])
    assert (video["model"], video["seconds"], video["size"], video["count"]) == ("veo-3.1", "8", "720x1280", 2)
    assert (video["negative_prompt"], video["seed"], video["generate_audio"]) == ("people", 7, False)
    assert [one["role"] for one in video["inputs"]] == ["first_frame", "last_frame"]
    assert (video["project"], video["labels"]) == ("winter", {"a": "b", "c": "d=e"})


def test_aspect_ratio_and_resolution_give_a_size(shell: Shell) -> None:
    said = shell.call(
        "estimate", "a boat", "--aspect-ratio", "9:16", "--resolution", "1080p", "--seconds", "8", "--json"
    )
    assert said.ok().json["size"] == "1080x1920"


def test_reference_images_are_sent_as_files(shell: Shell, image: Path) -> None:
    images = ["--reference", str(image), "--reference", str(image)]
    made = shell.call("create", ENDLESS, "--seconds", "8", *images, "--json").ok().json
    assert [one["role"] for one in made["inputs"]] == ["reference", "reference"]


def test_image_url_is_fetched_by_the_server(shell: Shell) -> None:
    told = shell.call("create", "a boat", "--first-frame", "https://127.0.0.1/boat.png", "--json")
    assert told.code == 2
    assert told.json["error"]["code"] == "IMAGE_NOT_FETCHED"


@pytest.mark.parametrize("given", ["no/such.png", "."])
def test_unreadable_image_is_reported_before_any_request(nobody: Shell, given: str) -> None:
    told = nobody.having(RUSHES_URL="http://127.0.0.1:1").call("create", "a boat", "--first-frame", given)
    assert told.code == 2
    assert given in told.err


def test_prompt_can_come_from_standard_input(shell: Shell) -> None:
    made = shell.call("create", "-", "--seconds", "4", "--json", typed=f"{ENDLESS}\nat dusk\n").ok().json
    assert made["prompt"] == f"{ENDLESS}\nat dusk"


def test_several_videos_of_one_prompt_become_several_files(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "boat.mp4"
    shell.call("create", "boats", "--seconds", "4", "--count", "2", "-o", str(out)).ok()
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["boat-2.mp4", "boat.mp4"]
    assert seconds(tmp_path / "boat-2.mp4") == pytest.approx(4, abs=LENGTH_TOLERANCE_S)


def test_video_is_extended_estimated_and_downloaded(shell: Shell, user: User, tmp_path: Path) -> None:
    first = user.finish("a boat", **SMALL_BODY)["id"]
    price = shell.call("estimate", "and on", "--seconds", "3", "--extends", first, "--json").ok().json["cost"]
    longer = shell.call("extend", first, "and on", "--seconds", "3", "--wait", "--json").ok().json
    assert (longer["extends"], longer["cost"]) == (first, price)
    film, poster = tmp_path / "film.mp4", tmp_path / "poster.jpg"
    shell.call("download", longer["id"], "-o", str(film)).ok()
    shell.call("download", longer["id"], "--thumbnail", "-o", str(poster)).ok()
    assert seconds(film) == pytest.approx(float(longer["seconds"]), abs=2 * LENGTH_TOLERANCE_S)
    with Image.open(poster) as frame:
        assert (frame.format, frame.size) == ("JPEG", (640, 360))


def test_download_needs_a_finished_video(shell: Shell, user: User, tmp_path: Path) -> None:
    unfinished = user.create(ENDLESS, seconds=4)["id"]
    assert shell.call("download", unfinished, "-o", str(tmp_path / "film.mp4")).code == 7
    assert list(tmp_path.glob("*film*")) == []
    user.wait(unfinished, lambda seen: seen["status"] == "in_progress")
    assert shell.call("estimate", ENDLESS, "--seconds", "4", "--json").ok().json["cancel_returns"] == 0
    assert shell.call("cancel", unfinished, "--min-refund", "1", "--json").code == 7
    canceled = shell.call("cancel", unfinished).ok()
    assert "Refund: 0 credits; 40 are kept. Generation has started" in canceled.err
    assert "Refunded 0 credits, kept 40" in canceled.out


def test_long_list_is_one_document(shell: Shell, user: User) -> None:
    made = [user.create(f"boat {number} [never finishes]", seconds=4)["id"] for number in range(3)]
    page = shell.call("list", "--limit", "2", "--json").ok().json
    assert [video["id"] for video in page["data"]] == made[:0:-1]
    assert page["has_more"]
    rest = shell.call("list", "--after", page["last_id"], "--json").ok().json
    assert [video["id"] for video in rest["data"]] == made[:1]
    oldest = shell.call("list", "--order", "asc", "--status", "canceled", "--since", "2026-01-01", "--json").ok().json
    assert oldest["data"] == []
    # For people: every id is whole, however narrow the terminal.
    assert all(video in shell.having(COLUMNS="60").call("list").out for video in made)


def test_markup_is_shown_as_text(shell: Shell, user: User) -> None:
    video = user.create("a [bold]boat[/bold] :ship: [never finishes]", seconds=4)["id"]
    assert "a [bold]boat[/bold] :ship:" in shell.call("get", video).ok().out
    assert "a [bold]boat[/bold] :ship:" in shell.call("list").ok().out


def test_delete_asks_and_needs_yes_when_not_interactive(shell: Shell, user: User) -> None:
    video = user.finish("a boat", **SMALL_BODY)["id"]
    assert shell.call("delete", video).code == 2
    assert user.get(video)["status"] == "completed"
    shell.call("delete", video, "--yes").ok()
    assert shell.call("get", video).code == 4


def test_failed_video_shows_reason_and_refund(shell: Shell) -> None:
    told = shell.call("create", "a boat [blocked]", "--seconds", "4", "--wait")
    assert told.code == 8
    assert told.out == ""
    assert "SAFETY_BLOCKED" in told.err
    assert "Refunded 40 of 40 credits" in told.err
    assert "Change the prompt" in told.err
