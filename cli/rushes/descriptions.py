"""Sentences for assistants about videos, prices and credits."""

from __future__ import annotations

from typing import Final

from rushes.failure import Json

# Of what a user or a provider wrote, in a sentence of ours; all of it is in the structured result.
MAX_QUOTED_CHARS: Final = 500


def short(text: str, limit: int = MAX_QUOTED_CHARS) -> str:
    """The text on one line, cut off where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def price(one: Json) -> str:
    """What an estimate says."""
    accepted = "It would be accepted now." if one["accepted"] else f"It would be rejected now: {one['refusal']}."
    what = f"{one['cost']} credits for {one['count']} x {one['seconds']} s with {one['model']}, {one['size']}"
    balance = f"The balance is {one['balance']}, and {one['balance_after']} afterwards."
    return f"{what}; typically {one['expected_seconds']:.0f} s. {balance} {cancel_returns(one)} {accepted}"


def cancel_returns(one: Json) -> str:
    """What an estimate says of canceling."""
    return f"Canceling after it has started refunds {one['cancel_returns']} of {one['cost']} credits."


def offer_to_make(estimate: Json, arguments: Json) -> str:
    """What to ask the user before a video is made."""
    many = f"{estimate['count']} videos" if estimate["count"] > 1 else "a video"
    images = [arguments[name] for name in ("first_frame", "last_frame") if name in arguments]
    images += arguments.get("reference_images", [])
    sentences = [
        f"Create {many} of {estimate['seconds']} s ({estimate['model']}, {estimate['size']}) for {estimate['cost']} "
        "credits?",
        f"It typically takes about {estimate['expected_seconds']:.0f} s.",
        f"The balance is {estimate['balance']} credits, and {estimate['balance_after']} afterwards.",
        cancel_returns(estimate),
        *(warning["message"] for warning in estimate["warnings"]),
        f"Prompt: {arguments['prompt']}",
        *([f"Images: {', '.join(images)}"] if images else []),
    ]
    return " ".join(sentences)


def deletion(video: Json) -> str:
    """What to ask the user before a video is deleted."""
    return (
        f"Delete {video['id']} ({video['status']}, {short(video['prompt'], 100)}) and its files permanently? "
        "This can't be undone, and no credits are refunded."
    )


def standing(video: Json) -> str:
    """How a video is, in a sentence."""
    if video["status"] == "failed":
        error = video["error"]
        reason = f"{error['code']}: {short(error['reason'] or error['message'])} {error['suggested_action']}"
        return f"{video['id']} has failed. {reason} Refunded {video['refunded']} of {video['cost']} credits."
    if video["status"] == "canceled":
        return f"{video['id']} was canceled. Refunded {video['refunded']} of {video['cost']} credits."
    if video["status"] == "completed":
        return f"{video['id']} is completed: {video['seconds']} s, {video['size']}. These links work for some minutes:"
    return (
        f"{video['id']} is {video['stage']}, {video['progress']} %; about {video['expected_seconds']:.0f} s in total."
    )


def line(video: Json) -> str:
    """A video in a list."""
    return f"{video['id']} {video['status']}: {short(video['prompt'])}"


def account(one: Json) -> str:
    """An account, as far as it matters in a conversation."""
    who = one["email"] or one["id"]
    active = f"{len(one['active_jobs'])} of {one['active_jobs_limit']} videos are generating."
    return f"{who} has {one['balance']} credits (plan {one['plan']}). {active}"


def transaction(one: Json) -> str:
    """An entry of the ledger in a list."""
    about = f" {one['video']}" if one["video"] else ""
    return f"{one['type']} {one['amount']:+d}, balance {one['balance_after']}:{about} {short(one['description'])}"


def page(lines: list[str], one: Json) -> str:
    """A page of a list, and how to get the next one."""
    if not lines:
        return "None."
    more = [f"More: call it again with after={one['last_id']}."] if one["has_more"] else []
    return "\n".join([*lines, *more])
