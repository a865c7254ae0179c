"""Words that stop a reader: `python -m tools.wording` lists each one in the documents; exit code 1 if there are any.

Code blocks and `code` are left out, since they quote what programs say.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
SKIPPED: Final = {"node_modules", "out"}
# What is written instead, by the words to avoid.
INSTEAD: Final = {
    r"anew": "again, or leave it out",
    r"beside": "next to, as well as, compared with",
    r"cancelled": "canceled",
    r"e-mail": "email",
    r"go(es)? on from": "extend(s)",
    r"goes on": "continues",
    r"in vain": "without result",
    r"mend(s|ed)?": "fix",
    r"oneself|one's": "yourself, your",
    r"puts back what fell|what fell|has fallen": "re-enqueues lost tasks",
    r"told": "notified, informed, given",
    r"what became of": "the outcome of",
    r"whoever|whomever": "anyone who",
    r"wish(es|ed)?": "request",
}
WORDS: Final = {re.compile(rf"\b(?:{words})\b", re.IGNORECASE): better for words, better in INSTEAD.items()}
CODE: Final = re.compile(r"^```.*?^```|^    .*?$|`[^`]*`", re.MULTILINE | re.DOTALL)


def texts() -> Iterator[tuple[Path, str]]:
    """What is checked of each file, with its line breaks."""
    for path in sorted(ROOT.rglob("*.md")):
        parts = path.relative_to(ROOT).parts
        if not any(part in SKIPPED or part.startswith(".") for part in parts):
            yield path, CODE.sub(lambda code: "\n" * code[0].count("\n"), path.read_text())
    sentences = (*sorted((ROOT / "web" / "js").rglob("*strings.js")), ROOT / "openapi.json")
    yield from ((path, path.read_text()) for path in sentences)


def stumbles(text: str) -> Iterator[tuple[int, str, str]]:
    """Line number, the words, and what to write instead."""
    for number, line in enumerate(text.splitlines(), start=1):
        for words, better in WORDS.items():
            for found in words.finditer(line):
                yield number, found[0], better


def main() -> int:
    found = [(path, *each) for path, text in texts() for each in stumbles(text)]
    for path, line, words, better in found:
        print(f'{path.relative_to(ROOT)}:{line}: "{words}": write {better}')
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
