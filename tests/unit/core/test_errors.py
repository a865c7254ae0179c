"""The one catalog of error codes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from shared.core.errors import CATALOG, ApiError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("code", CATALOG)
def test_entry_says_what_happened_and_what_to_do(code: str) -> None:
    entry = CATALOG[code]
    assert re.fullmatch(r"[A-Z]+(_[A-Z]+)*", code)
    assert 400 <= entry.status <= 599
    assert entry.message.endswith(".")
    assert entry.suggested_action.endswith(".")


@pytest.mark.parametrize("code", CATALOG)
def test_every_code_is_used(code: str) -> None:
    sources = [*ROOT.glob("shared/**/*.py"), *ROOT.glob("functions/*/*.py")]
    texts = [
        path.read_text() for path in sources if path.name != "routes.py" and path != ROOT / "shared/core/errors.py"
    ]
    assert any(f'"{code}"' in text for text in texts)


def test_only_known_codes_are_used() -> None:
    used = set()
    for path in [*ROOT.glob("shared/**/*.py"), *ROOT.glob("functions/*/*.py")]:
        used |= set(re.findall(r'(?:ApiError|fail|Refused|Broken|NotStored)\(\s*"([A-Z_]+)"', path.read_text()))
    assert used <= set(CATALOG)


# What happens to a job, by the category of what went wrong: whether it is tried again before it fails, and how a job
# that fails is settled. Categories, answers, retries and refunds are those that users were promised from the first day.
REASONS = {
    "provider": {"SAFETY_BLOCKED", "PROMPT_REJECTED", "PROVIDER_ERROR", "MODEL_RETIRED"},
    "timeout": {"GENERATION_TIMEOUT", "QUEUE_TIMEOUT"},
    "download": {"STORING_FAILED", "INVALID_VIDEO"},
    "storage": {"STORAGE_REFUSED"},
    "system": {"PROVIDER_DENIED", "START_UNCERTAIN"},
    "client": {"INPUT_GONE"},
}


@pytest.mark.parametrize("category", REASONS)
def test_each_category_has_reasons_and_all_are_refunded(category: str) -> None:
    for code in REASONS[category]:
        assert (CATALOG[code].category, CATALOG[code].refund) == (category, True)


def test_storage_refusal_is_not_retryable() -> None:
    assert not CATALOG["STORAGE_REFUSED"].retryable


def test_every_failure_reason_refunds_the_charge() -> None:
    assert all(entry.refund for entry in CATALOG.values())


@pytest.mark.parametrize("code", ["TOO_MANY_ACTIVE_JOBS", "UNAVAILABLE", "GENERATION_DISABLED", "INTERNAL"])
def test_temporary_errors_are_retryable(code: str) -> None:
    assert CATALOG[code].retryable


@pytest.mark.parametrize("code", ["INSUFFICIENT_CREDITS", "NOT_FOUND", "IDEMPOTENCY_KEY_REUSED", "SAFETY_BLOCKED"])
def test_permanent_errors_are_not_retryable(code: str) -> None:
    assert not CATALOG[code].retryable


def test_error_is_rendered_from_its_entry() -> None:
    assert ApiError("NOT_FOUND").body("req_1") == {
        "error": {
            "code": "NOT_FOUND",
            "type": "invalid_request_error",
            "message": "Not found.",
            "param": None,
            "retryable": False,
            "suggested_action": "Check the path and the id.",
            "details": {},
            "request_id": "req_1",
        }
    }


@pytest.mark.parametrize(
    ("code", "type_"),
    [
        ("INVALID_REQUEST", "invalid_request_error"),
        ("JOB_NOT_FINISHED", "invalid_request_error"),
        ("UNAUTHENTICATED", "authentication_error"),
        ("REAUTHENTICATION_REQUIRED", "authentication_error"),
        ("INSUFFICIENT_CREDITS", "insufficient_quota"),
        ("FORBIDDEN", "permission_error"),
        ("TOO_MANY_ACTIVE_JOBS", "rate_limit_error"),
        ("INTERNAL", "server_error"),
        ("UNAVAILABLE", "server_error"),
    ],
)
def test_type_matches_the_openai_api_by_status(code: str, type_: str) -> None:
    assert ApiError(code).body("r")["error"]["type"] == type_


@pytest.mark.parametrize(
    ("details", "param"),
    [
        ({}, None),
        ({"field": "seconds"}, "seconds"),
        ({"fields": [{"field": "labels.a", "message": "m"}, {"field": "seed", "message": "m"}]}, "labels.a"),
    ],
)
def test_param_is_the_first_invalid_field(details: dict[str, Any], param: str | None) -> None:
    assert ApiError("INVALID_REQUEST", details=details).body("r")["error"]["param"] == param


def test_own_message_replaces_the_catalogs() -> None:
    error = ApiError("NOT_FOUND", "Video not found.", {"video": "v"}).body("r")["error"]
    assert (error["message"], error["details"]) == ("Video not found.", {"video": "v"})


def test_unknown_code_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        _ = ApiError("NO_SUCH_CODE").entry
