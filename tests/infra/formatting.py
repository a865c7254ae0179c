"""Whether a file is laid out as `terraform fmt` would: by itself where it is installed, else by its main rules."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final

_ATTRIBUTE: Final = re.compile(r'^ *("[^"]*"|[\w-]+)( *)= \S')
_STRING: Final = re.compile(r'"(?:\\.|[^"\\])*"')
_HEREDOC: Final = re.compile(r"<<-?(\w+)$")
OPENING, CLOSING = "([{", ")]}"


def problems(name: str, text: str) -> list[str]:
    """The lines that are laid out otherwise."""
    if shutil.which("terraform"):
        done = subprocess.run(["terraform", "fmt", "-"], input=text, capture_output=True, text=True, check=True)
        pairs = enumerate(zip(text.splitlines(), done.stdout.splitlines(), strict=False), 1)
        found = [f"{name}:{number}: {is_!r} should be {should!r}" for number, (is_, should) in pairs if is_ != should]
        return found or ([] if text == done.stdout else [f"{name}: its end"])
    return by_rules(name, text)


def by_rules(name: str, text: str) -> list[str]:
    """Indentation, spaces at the end, and the = of neighboring lines in one column."""
    found, depth, group = [], 0, []
    for number, (line, heredoc) in enumerate(_lines(text), 1):
        if heredoc:
            continue
        if line != line.rstrip() or "\t" in line:
            found.append(f"{name}:{number}: spaces")
        code = _STRING.sub('""', line).partition("#")[0]
        opened, closed = (sum(code.count(one) for one in each) for each in (OPENING, CLOSING))
        leading = len(code.strip()) - len(code.strip().lstrip("".join(CLOSING)))
        if line.strip() and len(line) - len(line.lstrip()) != 2 * (depth - min(leading, 1)):
            found.append(f"{name}:{number}: it begins in the wrong column")
        depth += min(max(opened - closed, -1), 1)
        if (attribute := _ATTRIBUTE.match(line)) and opened == closed and not _HEREDOC.search(line):
            group.append((number, len(attribute[1]), len(attribute[2])))
            continue
        found += _misaligned(name, group)
        group = []
    return found + _misaligned(name, group)


def _misaligned(name: str, group: list[tuple[int, int, int]]) -> list[str]:
    """Lines of a group whose = is not one space after the longest name. (number, characters, spaces after them)."""
    longest = max((characters for _, characters, _ in group), default=0)
    return [f"{name}:{number}: its =" for number, characters, spaces in group if characters + spaces != longest + 1]


def _lines(text: str) -> Iterator[tuple[str, bool]]:
    """Each line, and whether it is part of a heredoc."""
    end = ""
    for line in text.splitlines():
        yield line, bool(end)
        if end:
            end = "" if line.strip() == end else end
        elif opened := _HEREDOC.search(line):
            end = opened[1]
