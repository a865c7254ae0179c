"""Grants match the table in docs/operations.md, and no function has more than its code can use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shared.api.routing import FUNCTIONS
from tests.infra import grants, reach
from tests.infra.configuration import Configuration
from tests.infra.conftest import Mistaken
from tests.infra.grants import Grant

PUBLIC = {Grant("allUsers", "roles/run.invoker", f"function {name}") for name in ("submit", "stream", "history")} | {
    Grant("allUsers", "roles/storage.legacyObjectReader", "bucket site")
}
BASIC = ("roles/owner", "roles/editor", "roles/viewer")
WRITES = {("objects", "write"), ("objects", "delete")}


def function_problems(configuration: Configuration) -> Iterator[str]:
    """Where a function's roles differ from what its code needs. Which queue gets which task is not checked."""
    granted = grants.of_code(configuration)
    for name in FUNCTIONS:
        has = {(grant.role, grant.on) for grant in granted if grant.who == name}
        calls = reach.of(name).calls
        needs = set(_needs(name, calls))
        has_on_any = {(role, "queue" if on.startswith("queue ") else on) for role, on in has}
        for role, on in sorted(has_on_any ^ needs):
            yield f"{name}: {role} on {on} is {'missing' if (role, on) in needs else 'not needed'}"


def _needs(name: str, calls: frozenset[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    yield "roles/datastore.user", "project"
    if any(gateway == "objects" for gateway, _ in calls):
        yield f"roles/storage.object{'User' if calls & WRITES else 'Viewer'}", "bucket videos"
    if ("objects", "sign") in calls:
        yield "roles/iam.serviceAccountTokenCreator", f"account {name}"
    if ("tasks", "create") in calls:
        yield "roles/cloudtasks.enqueuer", "queue"
        yield "roles/iam.serviceAccountUser", "account tasks"
    if ("tasks", "delete") in calls:
        yield "roles/cloudtasks.taskDeleter", "queue"
    if ("tasks", "exists") in calls:
        yield "roles/cloudtasks.viewer", "queue"
    if ("providers", "of") in calls:
        yield "roles/aiplatform.user", "project"
        yield "roles/secretmanager.secretAccessor", "secret gemini_api_key"
    if "gemini_webhook_secret" in reach.of(name).settings:
        yield "roles/secretmanager.secretAccessor", "secret gemini_webhook_secret"


def public_problems(configuration: Configuration) -> set[Grant]:
    """Grants to everybody that should not be, or are missing."""
    everybody = {grant for grant in grants.of_code(configuration) if grant.who.startswith("all")}
    return everybody ^ PUBLIC


def test_table_matches_the_grants(configuration: Configuration) -> None:
    assert grants.of_document(grants.document()) == grants.of_code(configuration)


def test_functions_have_exactly_the_roles_they_need(configuration: Configuration) -> None:
    assert list(function_problems(configuration)) == []


def test_public_functions_and_page_are_open_to_all(configuration: Configuration) -> None:
    assert public_problems(configuration) == set()


def test_without_all_users_nothing_is_granted_to_them(configuration: Configuration, unchecked: Configuration) -> None:
    assert grants.of_code(configuration) - grants.of_code(unchecked) == PUBLIC | {
        Grant("planner", "roles/storage.objectViewer", "bucket site")
    }
    assert grants.of_code(unchecked) <= grants.of_code(configuration)


@pytest.mark.parametrize(
    "text", ['local.granted_to_all ? toset(["submit", "stream", "history"]) : []', "local.granted_to_all ? 1 : 0"]
)
def test_remaining_all_users_grant_is_detected(unchecked: Configuration, text: str) -> None:
    granted = unchecked.texts["iam.tf"].replace(text, text.partition(" ? ")[2].rpartition(" : ")[0], 1)
    still = grants.of_code(Configuration(changed=unchecked.texts | {"iam.tf": granted}))
    assert {grant for grant in still if grant.who.startswith("all")} <= PUBLIC
    assert any(grant.who.startswith("all") for grant in still)


def test_there_are_no_basic_roles_or_keys(configuration: Configuration) -> None:
    assert {grant for grant in grants.of_code(configuration) if grant.role in BASIC} == set()
    assert configuration.instances("google_service_account_key") == []


@pytest.mark.parametrize(
    ("text", "by", "problem"),
    [
        ('history = "roles/storage.objectViewer"', 'history = "roles/storage.objectUser"', "history: roles/storage.objectUser on bucket videos is not needed"),  # noqa: E501
        ('toset(["stream", "history"])', 'toset(["stream", "history", "poll"])', "poll: roles/iam.serviceAccountTokenCreator on account poll is not needed"),  # noqa: E501
        ('role   = "roles/datastore.user"', 'role   = "roles/datastore.owner"', "submit: roles/datastore.owner on project is not needed"),  # noqa: E501
        ('member    = google_service_account.function["poll"].member', 'member    = google_service_account.function["history"].member', "history: roles/secretmanager.secretAccessor on secret gemini_api_key is not needed"),  # noqa: E501
        ('toset(["submit", "poll", "deliver", "history", "cleanup"])', 'toset(["submit", "poll", "deliver", "cleanup"])', "history: roles/iam.serviceAccountUser on account tasks is missing"),  # noqa: E501
    ],
)  # fmt: skip
def test_extra_or_missing_role_is_detected(mistaken: Mistaken, text: str, by: str, problem: str) -> None:
    wrong = mistaken("iam.tf", text, by)
    assert problem in set(function_problems(wrong))
    assert grants.of_code(wrong) != grants.of_document(grants.document())


def test_grant_to_everybody_is_detected(mistaken: Mistaken) -> None:
    opened = mistaken(
        "iam.tf", 'toset(["submit", "stream", "history"])', 'toset(["submit", "stream", "history", "poll"])'
    )
    assert public_problems(opened) == {Grant("allUsers", "roles/run.invoker", "function poll")}
    opened = mistaken("iam.tf", "member = google_project_service_identity.vertex.member", 'member = "allUsers"')
    assert public_problems(opened) == {Grant("allUsers", "roles/storage.objectUser", "bucket videos")}


def test_row_missing_from_the_table_is_detected(configuration: Configuration) -> None:
    text = grants.document()
    rows = [line for line in text.splitlines(True) if line.startswith("| `") and "`roles/" in line]
    for row in rows:
        assert grants.of_document(text.replace(row, "")) != grants.of_code(configuration)
