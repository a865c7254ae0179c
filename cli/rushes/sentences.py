"""What an assistant is told of a video and of its price, in words."""

from __future__ import annotations

from rushes.failure import Json


def price(one: Json) -> str:
    """What an estimate says."""
    accepted = "It would be accepted now." if one["accepted"] else f"It would not be accepted now: {one['refusal']}."
    what = f"{one['cost']} credits for {one['count']} x {one['seconds']} s with {one['model']}, {one['size']}"
    balance = f"The balance is {one['balance']}, afterwards {one['balance_after']}."
    return f"{what}; usually {one['expected_seconds']:.0f} s. {balance} {cancel_returns(one)} {accepted}"


def cancel_returns(one: Json) -> str:
    """What an estimate says of canceling."""
    return f"Canceled after it has begun, it gives back {one['cancel_returns']} of {one['cost']} credits."


def standing(video: Json) -> str:
    """How a video is, in a sentence."""
    if video["status"] == "failed":
        error = video["error"]
        reason = f"{error['code']}: {error['reason'] or error['message']} {error['suggested_action']}"
        return f"{video['id']} has failed. {reason} {video['refunded']} of {video['cost']} credits came back."
    if video["status"] == "canceled":
        return f"{video['id']} was canceled; {video['refunded']} of {video['cost']} credits came back."
    if video["status"] == "completed":
        return f"{video['id']} is completed: {video['seconds']} s, {video['size']}. These links work for some minutes:"
    return (
        f"{video['id']} is {video['stage']}, {video['progress']} %; usually {video['expected_seconds']:.0f} s in all."
    )
