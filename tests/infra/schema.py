"""What the providers' resources look like, as far as infra/ uses them: schema.json, and the check against it.

`python -m tests.infra.schema` writes the file anew, from the providers' bindings on PyPI (50 MB each, read and not
installed). It is to be run when infra/ takes a resource into use that is not in the file.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.infra.configuration import Body, Configuration, mentions

FILE: Final = Path(__file__).with_name("schema.json")
DOWNLOADS: Final = Path(__file__).parents[2] / ".build" / "bindings"
# By the prefix of a type, or by the `provider` argument: its bindings and the provider's version that they describe.
BINDINGS: Final = {
    "google": ("cdktf-cdktf-provider-google", "16.12.1", "6.50.0"),
    "google-beta": ("cdktf-cdktf-provider-google-beta", "16.12.1", "6.50.0"),
    "time": ("cdktf-cdktf-provider-time", "11.0.1", "0.13.1"),
}
META: Final = frozenset({"count", "depends_on", "for_each", "lifecycle", "provider", "provisioner", "connection"})
_MARK: Final = "__is_block__"
_DOCUMENTED: Final = re.compile(r":param (\w+):[^\n]*#(\w+) \w+#\2\}")

Schema = dict[str, Any]


def load() -> Schema:
    """{"versions": ..., "resources": {type: block}, "data": {type: block}}; a block is as `_block` makes it."""
    schema: Schema = json.loads(FILE.read_text())
    return schema


# --- the check ---


def problems(configuration: Configuration, schema: Schema) -> list[str]:
    """Everything in the resources and data sources that the providers would not take."""
    found = []
    for address, body in configuration.resources.items():
        kinds = schema["data"] if address.startswith("data.") else schema["resources"]
        kind = address.removeprefix("data.").partition(".")[0]
        if kind not in kinds:
            found.append(f"{address}: there is no such type")
            continue
        found += [f"{address}{problem}" for problem in _wrong(body, kinds[kind], META)]
    return found + list(_dangling(configuration, schema))


def _wrong(body: Body, block: Schema, also: frozenset[str] = frozenset()) -> Iterator[str]:
    given = {name: value for name, value in body.items() if name not in also and name not in (_MARK, "dynamic")}
    nested = list(_nested(body, given))
    for name in given:
        if name not in block["arguments"] and name not in block["blocks"]:
            yield f": there is no {name}"
        elif (name in block["blocks"]) != any(name == one for one, _, _ in nested):
            yield f": {name} is {'a block' if name in block['blocks'] else 'an argument'}"
    for name, inside, count in nested:
        if name in block["blocks"]:
            if block["blocks"][name]["single"] and count > 1:
                yield f": there is more than one {name}"
            yield from (f".{name}{problem}" for problem in _wrong(inside, block["blocks"][name]))
        elif name not in given:
            yield f": there is no {name}"
    there = {*given, *(name for name, _, _ in nested)}
    required = [name for name, need in block["arguments"].items() if need == "required"]
    required += [name for name, inner in block["blocks"].items() if inner["required"]]
    yield from (f": {name} is missing" for name in required if name not in there)


def _nested(body: Body, given: Body) -> Iterator[tuple[str, Body, int]]:
    """(name, body, how many of the name) of every block inside, those of `dynamic` included."""
    for name, value in given.items():
        if isinstance(value, list) and value and all(isinstance(one, dict) and _MARK in one for one in value):
            yield from ((name, one, len(value)) for one in value)
    for dynamic in body.get("dynamic", []):
        for name, block in dynamic.items():
            if name != _MARK:
                yield name, block["content"][0], 1


def _dangling(configuration: Configuration, schema: Schema) -> Iterator[str]:
    """References to what is not there."""
    for name, body in configuration.files.items():
        for prefix, kind, resource, rest in sorted(mentions(body)):
            if kind.partition("_")[0] not in BINDINGS:
                continue
            address, block = f"{prefix}{kind}.{resource}", schema["data" if prefix else "resources"].get(kind)
            if block is None or address not in configuration.resources:
                yield f"{name}: there is no {address}"
                continue
            attribute = rest.rpartition(".")[2]
            if attribute and not attribute.startswith("[") and attribute not in block["attributes"]:
                yield f"{name}: {address} has no {attribute}"
        text = json.dumps(body)
        for root, known in (("var", configuration.variables), ("local", configuration.locals)):
            for found in sorted(set(re.findall(rf"\b{root}\.(\w+)", text))):
                if found not in known:
                    yield f"{name}: there is no {root}.{found}"


# --- making the file ---


def used(configuration: Configuration) -> set[tuple[str, str, str]]:
    """(bindings, `resource` or `data`, type) of everything in the configuration."""
    found = set()
    for address, body in configuration.resources.items():
        kind = address.removeprefix("data.").partition(".")[0]
        provider = re.sub(r"[${}]", "", str(body.get("provider", kind.partition("_")[0])))
        found.add((provider, "data" if address.startswith("data.") else "resource", kind))
    return found


@dataclass(frozen=True)
class _Module:
    """One resource's module of the bindings: the text of each of its classes."""

    classes: Mapping[str, str]

    @classmethod
    def of(cls, wheel: Path, name: str) -> _Module:
        package = wheel.name.partition("-")[0]
        _, _, version = next(one for one in BINDINGS.values() if one[0].replace("-", "_") == package)
        with zipfile.ZipFile(wheel) as archive:
            source = archive.read(f"{package}/{name}/__init__.py").decode()
        if f"/{version}/docs/" not in source:
            raise ValueError(f"{wheel.name} is not of the provider's version {version}")
        parts = re.split(r"^class (?=\w)", source, flags=re.MULTILINE)[1:]
        return cls({re.split(r"[(:]", part, maxsplit=1)[0]: part for part in parts})

    @property
    def main(self) -> str:
        bases = re.compile(r"\w+\(\s*\w+\.Terraform(Resource|DataSource),")
        return next(name for name, text in self.classes.items() if bases.match(text))

    def block(self, name: str) -> Schema:
        """{"arguments": {name: "required" | "optional"}, "blocks": {name: block with "required" and "single"}}."""
        init = self._init(name)
        names = dict(_DOCUMENTED.findall(ast.get_docstring(init) or ""))
        arguments, blocks = {}, {}
        for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
            given, hint = names.get(argument.arg, argument.arg), ast.unparse(argument.annotation or ast.Constant(None))
            inner = next((one for one in re.findall(r"\w+", hint) if one in self.classes), None)
            if name == self.main and (argument.arg in META or argument.arg == "provisioners"):
                continue
            if inner is None:
                arguments[given] = "required" if default is None else "optional"
            else:
                single = "Sequence" not in hint
                blocks[given] = {"required": default is None, "single": single, **self.block(inner)}
        return {"arguments": dict(sorted(arguments.items())), "blocks": dict(sorted(blocks.items()))}

    def _init(self, name: str) -> ast.FunctionDef:
        """The constructor with its documentation; all that follows is left out, since parsing is slow."""
        after = self.classes[name].split("    def __init__(", 1)[1]
        # A block without arguments has no documentation.
        signature, documentation, *_ = after.split("'''", 2) if "'''" in after else ("self):\n        ", "")
        (holder,) = ast.parse(f"class _:\n    def __init__({signature}'''{documentation}'''\n").body
        assert isinstance(holder, ast.ClassDef)
        (init,) = holder.body
        assert isinstance(init, ast.FunctionDef)
        return init

    @property
    def attributes(self) -> list[str]:
        found = re.findall(r"@builtins\.property\n[^\n]*\n    def (\w+)\(", self.classes[self.main])
        return sorted(name for name in found if not name.endswith("_input"))


def build(configuration: Configuration) -> Schema:
    """The schema of what the configuration uses. Downloads the bindings that are not there yet."""
    schema: Schema = {
        "versions": {name: version for name, (_, _, version) in BINDINGS.items()},
        "resources": {},
        "data": {},
    }
    for provider, sort, kind in sorted(used(configuration)):
        module = _Module.of(_wheel(provider), _module_name(provider, sort, kind))
        block = {**module.block(module.main), "attributes": module.attributes}
        schema["data" if sort == "data" else "resources"][kind] = block
    return schema


def _module_name(provider: str, sort: str, kind: str) -> str:
    """Of the beta provider all modules bear the whole type's name."""
    if sort == "data":
        return f"data_{kind}"
    return kind if provider == "google-beta" else kind.partition("_")[2]


def _wheel(provider: str) -> Path:
    package, version, _ = BINDINGS[provider]
    pattern = f"{package.replace('-', '_')}-{version}-*.whl"
    if not (found := list(DOWNLOADS.glob(pattern))):
        download = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", DOWNLOADS]
        subprocess.run([sys.executable, *download, f"{package}=={version}"], check=True)
        found = list(DOWNLOADS.glob(pattern))
    return found[0]


def written(schema: Schema) -> str:
    """The text of the file: a line for each resource."""

    def lines(kinds: Schema) -> str:
        return ",\n".join(
            f"{json.dumps(name)}: {json.dumps(block, separators=(',', ':'))}" for name, block in kinds.items()
        )

    parts = [f'"versions": {json.dumps(schema["versions"])}']
    parts += [f'"{sort}": {{\n{lines(schema[sort])}\n}}' for sort in ("resources", "data")]
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(written(build(Configuration())))
