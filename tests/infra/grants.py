"""Who is granted which role on what: in infra/, and in the table of docs/operations.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.infra.configuration import INFRA, Body, Configuration

DOCUMENT: Final = INFRA.parent / "docs" / "operations.md"
# How the table calls what a grant is on, by the argument that names it and the type that this refers to.
NOUNS: Final = {
    "google_storage_bucket": "bucket",
    "google_cloud_tasks_queue": "queue",
    "google_service_account": "account",
    "google_secret_manager_secret": "secret",
    "google_pubsub_topic": "topic",
    "google_artifact_registry_repository": "repository",
    "google_cloudfunctions2_function": "function",
}
TARGETS: Final = ("bucket", "secret_id", "topic", "repository", "service_account_id", "name", "project")
_CUSTOM: Final = re.compile(r"\$\{google_project_iam_custom_role\.(\w+)\[0\]\.id\}")
_TARGET: Final = re.compile(r'\$\{(google_\w+)\.(\w+)(?:\["?([\w.]+)"?\])?\.\w+\}')
_FUNCTION: Final = re.compile(r'\$\{google_service_account\.function\["(\w+)"\]\.member\}')
_ACCOUNT: Final = re.compile(r"\$\{google_service_account\.(\w+)(?:\[0\])?\.member\}")
_AGENT: Final = re.compile(r"\$\{(?:google_project_service_identity\.(\w+)|data\.google_(storage)_\w+\.this)\.member\}")
_WORKFLOW: Final = re.compile(r"principal(?:Set)?://iam\.googleapis\.com/.*/(subject|attribute\.repository)/(.*)")


@dataclass(frozen=True, order=True)
class Grant:
    """One role of one principal on one thing, in the words of the table."""

    who: str
    role: str
    on: str


def of_code(configuration: Configuration) -> set[Grant]:
    """Every grant in infra/. Raises ValueError for a resource of IAM that this does not understand."""
    found = set()
    for kind in sorted({address.removeprefix("data.").partition(".")[0] for address in configuration.resources}):
        if not re.search(r"_iam_(member|binding|policy)$", kind):
            continue
        for each in configuration.instances(kind):
            members = each.body["members"] if kind.endswith("_binding") else [each.body.get("member")]
            for member in members:
                role = _CUSTOM.sub(r"custom role \1", str(each.body["role"]))
                found.add(Grant(_who(member), role, _on(each.body, configuration, each.name, kind)))
    return found


def _who(member: Any) -> str:
    text = str(member)
    if text == "allUsers":
        return text
    if named := _FUNCTION.fullmatch(text) or _ACCOUNT.fullmatch(text):
        return named[1]
    if agent := _AGENT.fullmatch(text):
        return f"{agent[1] or agent[2]} (Google)"
    if workflow := _WORKFLOW.fullmatch(text):
        return f"github ({'environment' if ':environment:' in workflow[2] else 'repository'})"
    raise ValueError(f"who is {member}?")


def _on(body: Body, configuration: Configuration, name: str, kind: str) -> str:
    if condition := body.get("condition"):
        # Its title says what it leaves of the project.
        return str(condition[0]["title"])
    target = str(next(body[argument] for argument in TARGETS if argument in body))
    if target == "${var.project_id}":
        return "project"
    if target == "" or target == "${var.state_bucket}":
        return "bucket state"
    if target == "${each.value.name}":
        listed = str(configuration.resources[f"{kind}.{name}"]["for_each"])
        target = f"{listed[:-1]}.name}}"
    found = _TARGET.fullmatch(target)
    if found is None or found[1] not in NOUNS:
        raise ValueError(f"what is {target}?")
    key = found[3] if found[3] and found[3] != "0" else None
    return f"{NOUNS[found[1]]} {key or found[2]}"


def of_document(text: str) -> set[Grant]:
    """Every row of the table, one for each principal and each thing that it names."""
    return {
        Grant(who, role, on)
        for whos, roles, ons in _rows(text)
        for who in _each(whos)
        for role in _each(roles)
        for on in _things(ons)
    }


def _rows(text: str) -> Iterator[tuple[str, str, str]]:
    section = text.split("## Who may do what", 1)[1].split("\n## ", 1)[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 4 and cells[1].startswith("`"):
            yield cells[0], cells[1], cells[2]


def _each(cell: str) -> list[str]:
    """The names of a cell: each in backquotes, with what stands in parentheses after it."""
    return [" ".join(part for part in found if part) for found in re.findall(r"`([^`]+)`(?: (\([^)]*\)))?", cell)]


def _things(cell: str) -> list[str]:
    """`project`, or one noun with each of its names."""
    noun, _, names = cell.partition(" ")
    return [f"{noun} {name}" for name in _each(names)] if names else [noun]


def document(path: Path = DOCUMENT) -> str:
    return path.read_text()
