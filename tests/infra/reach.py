"""What each function can come to use: which settings it may read, and which calls of which gateways it may make.

Found by following names, from functions/NAME/main.py through shared/: whatever mentions a definition may use it. So
nothing that can happen is left out; what cannot happen although the names say so is listed in IMPOSSIBLE, with a test.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from shared.platform.settings import Settings

ROOT: Final = Path(__file__).parents[2]
# What stands behind an attribute of Services. It is made when it is first used, so whoever makes the services does not
# come to use it yet; providers are needed only by functions that call them.
GATEWAYS: Final = {
    "firestore": "shared.gateways.firestore.GoogleFirestore",
    "changes": "shared.gateways.firestore_listen.FirestoreChangeFeed",
    "tasks": "shared.gateways.cloud_tasks.CloudTasks",
    "objects": "shared.gateways.cloud_storage.CloudStorage",
    "live_settings": "shared.gateways.live_settings.StoredLiveSettings",
    "verifier": "shared.gateways.id_tokens.JwksVerifier",
    "public_http": "shared.gateways.public_http.GuardedHttp",
}
PROVIDERS: Final = frozenset(
    {"shared.providers.veo.Veo", "shared.providers.vertex_omni.VertexOmni", "shared.providers.omni.Omni"}
)
MAKERS: Final = frozenset(
    f"shared.wiring.{name}" for name in ("_changes", "_tasks", "_objects", "_public_http", "_providers", "_Lazy")
)
# Properties of Settings that are made from a variable.
DERIVED: Final = {
    "issuer": "oidc_issuer",
    "audience": "oidc_audience",
    "jwks_url": "oidc_jwks_url",
    "origins": "allowed_origins",
    "model_preference": "default_models",
}
# (function, gateway, call): seeing a video changes it without giving it a task, and an export that was just asked for
# has no files to be signed.
IMPOSSIBLE: Final = frozenset({("stream", "tasks", "create"), ("submit", "objects", "sign")})


@dataclass(frozen=True)
class Use:
    """What one function may use: settings by field, and (gateway, call) such as ("objects", "sign")."""

    settings: frozenset[str]
    calls: frozenset[tuple[str, str]]

    @property
    def gateways(self) -> frozenset[str]:
        return frozenset(gateway for gateway, _ in self.calls)


@dataclass(frozen=True)
class _Definition:
    """A function, class or constant of a module: what it mentions."""

    names: frozenset[str]
    settings: frozenset[str]
    calls: frozenset[tuple[str, str]]


def of(function: str) -> Use:
    """What the function may use."""
    definitions = _all()
    seen: set[str] = set()
    calls: set[tuple[str, str]] = set()
    # The process's services are always created by this.
    waiting = [f"functions.{function}", "shared.wiring.services"]
    while waiting:
        name = waiting.pop()
        if name in seen or name not in definitions:
            continue
        seen.add(name)
        definition = definitions[name]
        made = {call for call in definition.calls if (function, *call) not in IMPOSSIBLE}
        calls |= made
        waiting += definition.names - MAKERS - PROVIDERS
        waiting += [GATEWAYS[gateway] for gateway, _ in made if gateway in GATEWAYS]
        if any(gateway == "providers" for gateway, _ in made):
            # The one maker that looks at what is set up before anything is used.
            waiting.append("shared.wiring._providers")
        if ("providers", "of") in made:
            waiting += PROVIDERS
    return Use(frozenset(one for name in seen for one in definitions[name].settings), frozenset(calls))


@cache
def _all() -> dict[str, _Definition]:
    """Every definition of shared/ by its dotted name; a function's main.py is one definition as a whole."""
    found = {}
    for path in sorted((ROOT / "shared").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        tree = _without_annotations(ast.parse(path.read_text()))
        imported = _imports(tree)
        for name, node in _named(tree):
            found[f"{module}.{name}"] = _definition(node, module, imported)
    for path in sorted((ROOT / "functions").glob("*/main.py")):
        tree = _without_annotations(ast.parse(path.read_text()))
        found[f"functions.{path.parent.name}"] = _definition(tree, "", _imports(tree))
    return found


def _named(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name):
                    yield target.id, node


def _imports(tree: ast.Module) -> dict[str, str]:
    """Dotted names of what is imported from shared, by the name that it has here."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "shared":
            found |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    return found


def _definition(node: ast.AST, module: str, imported: dict[str, str]) -> _Definition:
    names, settings, calls = set(), set(), set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            # A module that is mentioned is not used as a whole: its attributes are.
            names.add(imported.get(inner.id, f"{module}.{inner.id}"))
        elif isinstance(inner, ast.Attribute):
            owner = inner.value
            if isinstance(owner, ast.Name) and owner.id in imported:
                names.add(f"{imported[owner.id]}.{inner.attr}")
            last = owner.attr if isinstance(owner, ast.Attribute) else owner.id if isinstance(owner, ast.Name) else ""
            if last.lstrip("_") == "settings":
                settings.add(DERIVED.get(inner.attr, inner.attr))
            elif isinstance(owner, ast.Attribute) and last.lstrip("_") in (*GATEWAYS, "providers"):
                calls.add((last.lstrip("_"), inner.attr))
    return _Definition(frozenset(names), frozenset(settings & set(Settings.model_fields)), frozenset(calls))


def _without_annotations(tree: ast.Module) -> ast.Module:
    """They are mentioned, and never run."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return tree
