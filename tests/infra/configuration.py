"""infra/ as data: the blocks of all its files, with `for_each` and `dynamic` unrolled where their lists are literal.

No evaluator of the language: what depends on anything but literals stays the text of its expression.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import hcl2

INFRA: Final = Path(__file__).parents[2] / "infra"
_OPTIONS: Final = hcl2.SerializationOptions(with_comments=False, strip_string_quotes=True, preserve_heredocs=False)
_TEMPLATE: Final = re.compile(r"\$\{([^${}]*)\}")
_LIST_OF: Final = re.compile(r"\b(?:toset|compact)\((\[.*\])\)", re.DOTALL)
_SET_OF: Final = re.compile(r"\$\{toset\((local\.\w+)\)\}")
_CONDITIONAL: Final = re.compile(r"\$\{([^?]+?) \? (.+) : (.+)\}", re.DOTALL)
_EQUALS: Final = re.compile(r'var\.(\w+) == "(\w*)"')
_REFERENCE: Final = re.compile(r"[A-Za-z_][\w-]*(?:\.[\w-]+)*")
_ADDRESS: Final = re.compile(r"(?<![\w.])(data\.)?([a-z][a-z0-9]*_[a-z0-9_]+)\.([a-z_]\w*)((?:\[[^\]]*\])?(?:\.\w+)?)")

Body = dict[str, Any]


@dataclass(frozen=True)
class Instance:
    """One resource as it will be made. `key` is its key of `for_each`, if that is known."""

    kind: str
    name: str
    key: str | None
    body: Body

    @property
    def address(self) -> str:
        return f"{self.kind}.{self.name}"


class Configuration:
    """All files of one folder. `changed`: other texts for some of them, by file name."""

    def __init__(self, folder: Path = INFRA, changed: Mapping[str, str] | None = None) -> None:
        self.texts = {path.name: path.read_text() for path in sorted(folder.glob("*.tf"))} | dict(changed or {})

    @cached_property
    def files(self) -> dict[str, Body]:
        """The parsed files by name. Raises lark's errors for what is not the language."""
        return {name: _parsed(text) for name, text in self.texts.items()}

    def blocks(self, kind: str) -> Iterator[Body]:
        """All top-level blocks of a kind, such as `resource`."""
        for body in self.files.values():
            yield from body.get(kind, [])

    @cached_property
    def resources(self) -> dict[str, Body]:
        """Bodies by address; those of data sources begin with `data.`."""
        found = {f"{kind}.{name}": body for kind, name, body in self._two_labels("resource")}
        return found | {f"data.{kind}.{name}": body for kind, name, body in self._two_labels("data")}

    @cached_property
    def locals(self) -> Body:
        return {name: value for block in self.blocks("locals") for name, value in block.items() if name != _MARK}

    @cached_property
    def variables(self) -> dict[str, Body]:
        return {name: body for block in self.blocks("variable") for name, body in block.items()}

    def instances(self, kind: str) -> list[Instance]:
        """Every resource of the type; one whose `for_each` is not literal comes once, with its expressions."""
        found = []
        for address, body in self.resources.items():
            if address.startswith(f"{kind}."):
                name = address.removeprefix(f"{kind}.")
                if self._chosen(body.get("count")) != "0":
                    found += [Instance(kind, name, key, made) for key, made in self._unrolled(body)]
        return found

    def _two_labels(self, kind: str) -> Iterator[tuple[str, str, Body]]:
        for block in self.blocks(kind):
            for resource, named in block.items():
                for name, body in named.items():
                    yield resource, name, body

    def _unrolled(self, body: Body) -> Iterator[tuple[str | None, Body]]:
        items = self._items(body.get("for_each"), {})
        rest = {name: value for name, value in body.items() if name not in ("for_each", _MARK)}
        if items is None:
            yield None, self.made(rest, {})
            return
        for key, value in items:
            yield str(key), self.made(rest, {"each.key": key, "each.value": value})

    def _chosen(self, value: Any) -> Any:
        """The branch that is taken of `CONDITION ? A : B` where the condition compares a variable's default."""
        found = _CONDITIONAL.fullmatch(value) if isinstance(value, str) else None
        if found is None:
            return value
        condition = found[1]
        if condition.startswith("local."):
            condition = str(self.locals.get(condition.removeprefix("local."))).removeprefix("${").removesuffix("}")
        compared = _EQUALS.fullmatch(condition)
        if compared is None:
            return value
        taken = found[2 if self.variables[compared[1]]["default"] == compared[2] else 3]
        return json.loads(taken) if taken in ("[]", '""') else taken if taken.isdigit() else f"${{{taken}}}"

    def made(self, value: Any, scope: Mapping[str, Any]) -> Any:
        """The value with what `scope`, locals and defaults of variables know put in, and dynamic blocks unrolled."""
        if isinstance(value, str):
            return self._text(value, scope)
        if isinstance(value, list):
            return [self.made(each, scope) for each in value]
        if not isinstance(value, dict):
            return value
        made = {name: self.made(each, scope) for name, each in value.items() if name not in ("dynamic", _MARK)}
        for dynamic in value.get("dynamic", []):
            for name, block in dynamic.items():
                if name != _MARK:
                    made.setdefault(name, []).extend(self._dynamic(name, block, scope))
        return made

    def _dynamic(self, name: str, block: Body, scope: Mapping[str, Any]) -> Iterator[Body]:
        items = self._items(block["for_each"], scope)
        for key, value in items if items is not None else [("?", "?")]:
            yield self.made(block["content"][0], {**scope, f"{name}.key": key, f"{name}.value": value})

    def _items(self, for_each: Any, scope: Mapping[str, Any]) -> list[tuple[Any, Any]] | None:
        if isinstance(for_each, str) and (named := _SET_OF.fullmatch(for_each)):
            return [(item, item) for item in self.made(f"${{{named[1]}}}", scope)]
        listed = self.made(for_each, scope)
        if isinstance(listed, str) and (found := _LIST_OF.search(listed)):
            listed = [self.made(item, scope) for item in _list(found[1])]
            if "compact(" in for_each:
                return list(enumerate(item for item in listed if item))
            return [(item, item) for item in listed]
        if isinstance(listed, list):
            return list(enumerate(listed))
        return list(listed.items()) if isinstance(listed, dict) else None

    def _text(self, text: str, scope: Mapping[str, Any]) -> Any:
        text = self._chosen(text)
        if not isinstance(text, str):
            return text
        whole = _TEMPLATE.fullmatch(text)
        if whole:
            known, value = self._known(whole[1].strip(), scope)
            if known:
                return value

        def put(found: re.Match[str]) -> str:
            known, value = self._known(found[1].strip(), scope)
            return str(value) if known and isinstance(value, str | int | float) else found[0]

        text = _TEMPLATE.sub(put, text)
        for name in scope:
            text = re.sub(rf"\b{re.escape(name)}(?:\.\w+)*\b", lambda found: self._literal(found[0], scope), text)
        return text

    def _literal(self, expression: str, scope: Mapping[str, Any]) -> str:
        """A scalar of the scope as it stands inside a larger expression."""
        known, value = self._known(expression, scope)
        return json.dumps(value) if known and isinstance(value, str | int | float) else expression

    def _known(self, expression: str, scope: Mapping[str, Any]) -> tuple[bool, Any]:
        if not _REFERENCE.fullmatch(expression):
            return False, None
        for prefix, value in scope.items():
            if expression == prefix:
                return True, value
            if expression.startswith(f"{prefix}."):
                return _inside(value, expression.removeprefix(f"{prefix}.").split("."))
        root, _, rest = expression.partition(".")
        name, *path = rest.split(".")
        if root == "local" and name in self.locals:
            known, value = _inside(self._chosen(self.locals[name]), path)
            return (known, self.made(value, {})) if known and not _is_expression(value) else (False, None)
        if root == "var" and "default" in self.variables.get(name, {}):
            return _inside(self.variables[name]["default"], path)
        return False, None


_MARK: Final = "__is_block__"


@cache
def _parsed(text: str) -> Body:
    """Parsing is slow, and most files of a changed copy are the same. Results must not be modified."""
    body: Body = hcl2.loads(text, serialization_options=_OPTIONS)
    return body


def references(value: Any) -> set[str]:
    """Addresses of all resources and data sources that the value, and what is in it, refers to."""
    return {f"{prefix}{kind}.{name}" for prefix, kind, name, _ in mentions(value)}


def mentions(value: Any) -> set[tuple[str, str, str, str]]:
    """(`data.` or nothing, type, name, the rest such as `["x"].id`) of everything that is referred to."""
    if isinstance(value, str):
        inside = _expressions(value)
        return {(found[1] or "", found[2], found[3], found[4]) for found in _ADDRESS.finditer(inside)}
    each = list(value.values()) + list(value) if isinstance(value, dict) else value if isinstance(value, list) else []
    return {found for one in each for found in mentions(one)}


def _expressions(text: str) -> str:
    """The parts of a template that are expressions."""
    parts, depth, start = [], 0, 0
    for at, character in enumerate(text):
        if text.startswith("${", at):
            start = at + 2 if depth == 0 else start
            depth += 1
        elif character == "{" and depth and text[at - 1] != "$":
            depth += 1
        elif character == "}" and depth:
            depth -= 1
            if depth == 0:
                parts.append(text[start:at])
    return " ".join(parts)


def _inside(value: Any, path: list[str]) -> tuple[bool, Any]:
    for name in path:
        if not isinstance(value, dict) or name not in value:
            return False, None
        value = value[name]
    return True, value


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("${") and _TEMPLATE.fullmatch(value) is None


def _list(text: str) -> list[Any]:
    """The items of a list of strings and references; of `[a.b, "c"]` they are `${a.b}` and `c`."""
    quoted = re.sub(r'(?<!["\w.$])([A-Za-z_][\w.]*)(?!["\w.])', r'"${\1}"', text)
    items: list[Any] = json.loads(quoted if quoted.count('"') >= text.count('"') else text)
    return items
