"""File names for downloads. Pure."""

from __future__ import annotations

import re
import unicodedata
from itertools import accumulate
from urllib.parse import quote

from shared.core.documents import Job

MAX_WORDS = 8
MAX_CHARS = 60
# Letters and digits of any script, with their combining marks; an apostrophe within a word is dropped.
_WORD = re.compile(r"[^\W_]+")
_APOSTROPHES = str.maketrans("", "", "'\N{RIGHT SINGLE QUOTATION MARK}")
# Windows treats these names as devices, with any extension.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)


def stem(prompt: str, otherwise: str) -> str:
    """The prompt's first words, joined by hyphens; `otherwise` if it has none."""
    words = _WORD.findall(unicodedata.normalize("NFC", prompt[: 20 * MAX_CHARS]).translate(_APOSTROPHES))[:MAX_WORDS]
    lengths = accumulate(len(word) + 1 for word in words)
    kept = [word for word, length in zip(words, lengths, strict=True) if length <= MAX_CHARS + 1]
    name = "-".join(kept) or "".join(words)[:MAX_CHARS]
    return name if name and not _DEVICES.fullmatch(name) else otherwise


def description(job: Job, index: int) -> tuple[str, dict[str, str]]:
    """The Content-Disposition of a job's video in the bucket, and metadata for people who browse it."""
    name = stem(job.request.prompt, job.id)
    words = "" if name == job.id else name.replace("-", " ")
    facts = {"job": job.id, "kind": job.kind, "model": job.request.model, "index": str(index), "prompt": words}
    return disposition(f"{name}.mp4", download=False), facts


def disposition(filename: str, download: bool) -> str:
    """The Content-Disposition (RFC 6266): an ASCII name, and the real one if it differs."""
    kind = "attachment" if download else "inline"
    plain = unicodedata.normalize("NFKD", filename).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._ -]+", "", plain).strip("- ")
    if plain.startswith("."):
        plain = f"video{plain}"
    extended = "" if plain == filename else f"; filename*=UTF-8''{quote(filename, safe='')}"
    return f'{kind}; filename="{plain}"{extended}'
