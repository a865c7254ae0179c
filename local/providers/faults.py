"""Failures on demand: bracketed words in a prompt, such as "a red fox [503 x2] [slow 20s]".

Case does not matter and words combine. Brackets with anything else in them are ordinary prompt text.
docs/local-providers.md lists every word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

ALWAYS = 1_000_000_000
_BRACKETS = re.compile(r"\[([^\[\]]{1,40})\]")
_SLOW_S = 30.0
_DEFAULT_SUPPORT_CODE = "42237218"

WebhookFault = Literal["duplicate", "early", "lost"]


@dataclass(frozen=True)
class Refusal:
    """Answer `status` for the next `times` calls."""

    status: int
    times: int


@dataclass
class Faults:
    """What a prompt asks to go wrong. `title` is the prompt without the words that were understood."""

    title: str = ""
    create_refusals: list[Refusal] = field(default_factory=list)
    look_refusals: list[Refusal] = field(default_factory=list)
    accepted_refusals: list[Refusal] = field(default_factory=list)
    retry_after_s: float | None = None
    retired: bool = False
    retired_as_denial: bool = False
    retired_midway: bool = False
    content_blocked: bool = False
    lost_answers: int = 0
    slow_s: float | None = None
    never_finishes: bool = False
    blocked: str | None = None
    partly_blocked: bool = False
    operation_error: int | None = None
    empty: bool = False
    unnamed: bool = False
    corrupt_file: bool = False
    tiny_file: bool = False
    wrong_length: bool = False
    truncated_downloads: int = 0
    webhook: WebhookFault | None = None


def refusal_at(refusals: list[Refusal], call: int) -> int | None:
    """The status that call number `call` (0 for the first) is refused with, or None. Refusals follow each other."""
    for refusal in refusals:
        if call < refusal.times:
            return refusal.status
        call -= refusal.times
    return None


def faults_in(prompt: str) -> Faults:
    """Read the words of a prompt."""
    faults = Faults()

    def read(match: re.Match[str]) -> str:
        word = " ".join(match[1].lower().split())
        for pattern, apply in _WORDS.items():
            if found := pattern.fullmatch(word):
                apply(faults, found)
                return " "
        return match[0]

    faults.title = " ".join(_BRACKETS.sub(read, prompt).split())
    return faults


def _times(found: re.Match[str], otherwise: int) -> int:
    return int(found["times"]) if found["times"] else otherwise


def _overloaded(faults: Faults, found: re.Match[str]) -> None:
    faults.create_refusals.append(Refusal(int(found["status"]), _times(found, 1)))


def _create(faults: Faults, found: re.Match[str]) -> None:
    faults.create_refusals.append(Refusal(int(found["status"]), _times(found, ALWAYS)))


def _accepted(faults: Faults, found: re.Match[str]) -> None:
    faults.accepted_refusals.append(Refusal(int(found["status"]), _times(found, 1)))


def _retry_after(faults: Faults, found: re.Match[str]) -> None:
    faults.retry_after_s = float(found["seconds"])


def _look(faults: Faults, found: re.Match[str]) -> None:
    faults.look_refusals.append(Refusal(int(found["status"]), _times(found, 1)))


def _set(name: str, value: object = True) -> Callable[[Faults, re.Match[str]], None]:
    return lambda faults, found: setattr(faults, name, value)


def _operation_error(faults: Faults, found: re.Match[str]) -> None:
    faults.operation_error = int(found["code"] or 13)


def _blocked(faults: Faults, found: re.Match[str]) -> None:
    faults.blocked = found["code"] or _DEFAULT_SUPPORT_CODE


def _slow(faults: Faults, found: re.Match[str]) -> None:
    faults.slow_s = float(found["seconds"] or _SLOW_S)


def _lost_answer(faults: Faults, found: re.Match[str]) -> None:
    faults.lost_answers = _times(found, 1)


def _truncated(faults: Faults, found: re.Match[str]) -> None:
    faults.truncated_downloads = _times(found, 1)


def _webhook(faults: Faults, found: re.Match[str]) -> None:
    kinds: dict[str, WebhookFault] = {"duplicate": "duplicate", "early": "early", "lost": "lost"}
    faults.webhook = kinds[found["kind"]]


_TIMES = r"(?: x(?P<times>\d{1,4}))?"
_WORDS: Mapping[re.Pattern[str], Callable[[Faults, re.Match[str]], None]] = {
    re.compile(rf"(?P<status>429|503){_TIMES}"): _overloaded,
    re.compile(rf"create (?P<status>400|401|403|500|504){_TIMES}"): _create,
    re.compile(rf"accepted (?P<status>500|502|503|504){_TIMES}"): _accepted,
    re.compile(r"retry after (?P<seconds>\d{1,5}) ?s"): _retry_after,
    re.compile(rf"look (?P<status>403|404|429|500|503){_TIMES}"): _look,
    re.compile(r"retired"): _set("retired"),
    re.compile(r"retired 403"): _set("retired_as_denial"),
    re.compile(r"retired midway"): _set("retired_midway"),
    re.compile(r"content blocked"): _set("content_blocked"),
    re.compile(rf"lost answer{_TIMES}"): _lost_answer,
    re.compile(r"slow(?: (?P<seconds>\d{1,5}(?:\.\d+)?) ?s)?"): _slow,
    re.compile(r"never finishes"): _set("never_finishes"),
    re.compile(r"blocked(?: (?P<code>\d{8}))?"): _blocked,
    re.compile(r"partly blocked"): _set("partly_blocked"),
    re.compile(r"operation error(?: (?P<code>\d{1,2}))?"): _operation_error,
    re.compile(r"empty"): _set("empty"),
    re.compile(r"unnamed"): _set("unnamed"),
    re.compile(r"corrupt file"): _set("corrupt_file"),
    re.compile(r"tiny file"): _set("tiny_file"),
    re.compile(r"wrong length"): _set("wrong_length"),
    re.compile(rf"truncated download{_TIMES}"): _truncated,
    re.compile(r"(?P<kind>duplicate|early|lost) webhook"): _webhook,
}
