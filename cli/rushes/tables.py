"""Answers of the API as people read them in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from rushes.failure import Json
from rushes.output import facts, moment, table

COLORS = {"completed": "green", "failed": "red", "canceled": "yellow"}


def video(one: Json) -> Table:
    error = one["error"]
    return facts(
        [
            ("id", one["id"]),
            ("status", f"{one['status']} ({one['stage']}, {one['progress']} %)"),
            ("error", f"{error['code']}: {error['reason'] or error['message']}" if error else None),
            ("what to do", error["suggested_action"] if error else None),
            ("prompt", one["prompt"]),
            ("negative prompt", one["negative_prompt"]),
            ("model", _make(one) + ("" if one["generate_audio"] else ", silent")),
            ("videos", one["count"] if one["count"] > 1 else None),
            ("seed", one["seed"]),
            ("made from", ", ".join(image["role"] for image in one["inputs"])),
            ("extends", one["extends"]),
            ("credits", f"{one['cost']}" + (f", {one['refunded']} refunded" if one["refunded"] else "")),
            ("project", one["project"]),
            ("labels", ", ".join(f"{name}={value}" for name, value in one["labels"].items())),
            ("warnings", "; ".join(warning["message"] for warning in one["warnings"])),
            ("created", moment(one["created_at"])),
            ("ended", moment(one["completed_at"])),
            ("expires", moment(one["expires_at"])),
        ]
    )


def videos(page: Sequence[Json]) -> Table:
    made = table("id", "status", "model", "s", "size", "credits", "created", "prompt", right=("s", "credits"))
    for one in page:
        status = Text(one["status"], COLORS.get(one["status"], "cyan"))
        if one["status"] == "in_progress":
            status.append(f" {one['progress']} %")
        paid = str(one["cost"] - one["refunded"])
        prompt = Text(one["prompt"].replace("\n", " "), overflow="ellipsis", no_wrap=True)
        made.add_row(
            one["id"], status, one["model"], one["seconds"], one["size"], paid, moment(one["created_at"]), prompt
        )
    return made


def estimate(one: Json) -> Table:
    return facts(
        [
            ("model", _make(one) + (f", {one['count']} of them" if one["count"] > 1 else "")),
            ("cost", f"{one['cost']} credits"),
            ("refund if canceled", f"{one['cost']} credits before it begins, {one['cancel_returns']} after that"),
            ("typical time", f"{one['expected_seconds']:.0f} s"),
            ("balance", f"{one['balance']}, afterwards {one['balance_after']}"),
            ("active jobs", f"{one['active_jobs']} of {one['active_jobs_limit']}"),
            ("accepted now", "yes" if one["accepted"] else f"no: {one['refusal']}"),
            ("warnings", "; ".join(warning["message"] for warning in one["warnings"])),
        ]
    )


def account(one: Json) -> Table:
    return facts(
        [
            ("id", one["id"]),
            ("email", one["email"]),
            ("name", one["display_name"]),
            ("balance", f"{one['balance']} credits"),
            ("active jobs", f"{len(one['active_jobs'])} of {one['active_jobs_limit']}"),
            ("role", one["role"]),
            ("plan", one["plan"]),
            ("tenant", one["tenant"]),
            ("since", moment(one["created_at"])),
        ]
    )


def ledger(entries: Sequence[Json]) -> Table:
    made = table("when", "entry", "credits", "balance", "video", "description", right=("credits", "balance"))
    for one in entries:
        amount = Text(f"{one['amount']:+d}", "green" if one["amount"] > 0 else "")
        video_id, said = one["video"] or "", Text(one["description"])
        made.add_row(moment(one["created_at"]), one["type"], amount, str(one["balance_after"]), video_id, said)
    return made


def keys(found: Sequence[Json]) -> Table:
    made = table("id", "name", "scope", "begins", "created", "expires", "last used")
    for one in found:
        times = (moment(one[name]) for name in ("created_at", "expires_at", "last_used_at"))
        made.add_row(one["id"], Text(one["name"]), one["scope"], one["prefix"], *times)
    return made


def users(found: Sequence[Json]) -> Table:
    made = table(
        "id", "email", "verified", "role", "plan", "balance", "active", "state", "since", right=("balance", "active")
    )
    for one in found:
        state = "closed" if one["closed_at"] else "disabled" if one["disabled"] else ""
        numbers = (str(one["balance"]), str(len(one["active_jobs"])))
        since = moment(one["created_at"])
        verified = "yes" if one["email_verified"] else "no"
        made.add_row(one["id"], Text(one["email"] or ""), verified, one["role"], one["plan"], *numbers, state, since)
    return made


def budget(one: Json) -> Table:
    return facts(
        [
            ("tenant", one["tenant"]),
            ("granted by operators", f"{one['granted']} credits"),
            ("given to users", f"{one['given']} credits"),
            ("left", f"{one['left']} credits"),
        ]
    )


def models(found: Sequence[Json]) -> Table:
    columns = ("id", "seconds", "sizes", "images", "extends by", "credits/s", "typical")
    made = table(*columns, right=("credits/s", "typical"))
    for one in found:
        name = Text(one["id"], "bold" if one["default"] else "")
        made.add_row(
            name + (" (default)" if one["default"] else ""),
            _numbers(one["seconds"]),
            ", ".join(one["sizes"]),
            _images(one),
            _numbers(one["extension"]["seconds"]) + " s" if one["extension"] else "",
            str(one["credits_per_second"]),
            f"{one['expected_seconds']:.0f} s",
        )
    return made


def model(one: Json) -> Table:
    features = ("negative_prompt", "seed", "silent", "person_generation")
    return facts(
        [
            ("id", one["id"] + (" (default)" if one["default"] else "")),
            ("aliases", ", ".join(one["aliases"])),
            ("serves", ", ".join(one["replaces"])),
            ("seconds", f"{_numbers(one['seconds'])}, else {one['default_seconds']}"),
            ("sizes", ", ".join(one["sizes"])),
            ("seconds at over 720p", _numbers(one["seconds_at_high_resolution"])),
            ("videos per request", one["max_count"]),
            ("can", ", ".join(name.replace("_", " ") for name in features if one[name])),
            ("images", _images(one)),
            ("extends by", _numbers(one["extension"]["seconds"]) + " s" if one["extension"] else None),
            ("price", _prices(one)),
            ("price per added second", _prices(one["extension"]) if one["extension"] else None),
            ("typical time", f"{one['expected_seconds']:.0f} s"),
        ]
    )


def _prices(one: Json) -> str:
    """Credits a second; the resolutions only where they differ."""
    prices = one["credits_per_second_by_resolution"]
    if len(set(prices.values())) == 1:
        return f"{one['credits_per_second']} credits per second"
    return "credits per second: " + ", ".join(f"{price} at {resolution}" for resolution, price in prices.items())


def _make(one: Json) -> str:
    return f"{one['model']}, {one['seconds']} s, {one['size']}"


def _images(one: Json) -> str:
    frames = [name for name, there in (("first", one["first_frame"]), ("last frame", one["last_frame"])) if there]
    references = [f"{one['max_reference_images']} references"] if one["max_reference_images"] else []
    return ", ".join(frames + references)


def _numbers(values: Sequence[Any]) -> str:
    """4, 6, 8, or 3 to 15."""
    if len(values) > 3 and list(values) == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values))
