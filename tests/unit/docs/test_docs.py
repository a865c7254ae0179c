"""What is not documented does not exist: settings, live settings, routes, and the links between the pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.core.documents import LiveSettings
from shared.core.errors import CATALOG
from shared.http.routes import ROUTES
from shared.platform.settings import Settings

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
API = (ROOT / "docs" / "api.md").read_text()
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), ROOT / "infra" / "README.md"]
FOLDERS = ("shared", "functions", "local", "tests", "testing", "tools", "bench", "infra", "cli", "web", "docs")
DOCS = "\n".join(page.read_text() for page in PAGES)

# Addresses and keys that only the local cloud sets; shared/platform/settings.py says what they are.
LAPTOP_ONLY = {
    "cloud_tasks_emulator_host",
    "signer_email",
    "signer_key_file",
    "vertex_url",
    "vertex_token",
    "gemini_url",
    "local_outbound",
}


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name not in LAPTOP_ONLY])
def test_every_setting_is_documented(name: str) -> None:
    assert re.search(rf"`[^`]*\b{name.upper()}\b[^`]*`", DOCS)


@pytest.mark.parametrize("name", LiveSettings.model_fields)
def test_every_live_setting_is_in_the_readme(name: str) -> None:
    assert f"`{name}`" in README


def test_documented_settings_exist() -> None:
    table = README.partition("| variable | meaning |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`([A-Z_]+)`", table))
    assert named <= {name.upper() for name in Settings.model_fields}


def test_documented_live_settings_exist() -> None:
    table = README.partition("| field | default | |")[2].partition("\n\n")[0]
    named = {name for line in table.splitlines()[2:] for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])}
    assert named
    assert named <= set(LiveSettings.model_fields)


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("active_jobs_limit", "3"),
        ("generation_timeout_s", "900"),
        ("storing_timeout_s", "3,600"),
        ("queue_timeout_s", "21,600"),
        ("retention_days", "365"),
        ("credits_per_second", "10"),
        ("uncertain_policy", "`at_most_once`"),
        ("cancel_refund", "`by_model`"),
        ("rollout_percent", "100"),
    ],
)
def test_documented_defaults_are_true(name: str, default: str) -> None:
    row = next(line for line in README.splitlines() if line.startswith("|") and f"`{name}`" in line)
    cells = [cell.strip() for cell in row.split("|")[1:]]
    position = [part.strip("` ") for part in cells[0].split(",")].index(name)
    defaults = [part.strip() for part in cells[1].split(", ")]
    assert defaults[min(position, len(defaults) - 1)] == default
    assert str(getattr(LiveSettings(), name)) == default.strip("`").replace(",", "")


@pytest.mark.parametrize("route", [route for route in ROUTES if route.caller == "user"], ids=lambda route: route.name)
def test_every_api_path_is_documented(route: object) -> None:
    # Deleting is the same path as reading; the generated reference lists every method.
    assert route.path in DOCS  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_resolve(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text())
    missing = {link for link in links if not (page.parent / link).exists()}
    assert missing == set()


# The changelog names what was there at the time; the Terraform backend is copied from an example.
@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    named = set(
        re.findall(rf"(?<![\w./])(?:{'|'.join(FOLDERS)})/[\w./-]+\.(?:py|tf|md|js|sh|txt|json)\b", page.read_text())
    )
    assert {name for name in named if not (ROOT / name).exists()} <= {"infra/backend.tf"}


def test_no_page_names_this_machine() -> None:
    assert not re.search(r"/(?:home|work|root|Users)/", DOCS)


@pytest.mark.parametrize("code", CATALOG)
def test_every_error_code_is_documented(code: str) -> None:
    entry = CATALOG[code]
    row = f"| `{code}` | {entry.status} | {'yes' if entry.retryable else 'no'} | {entry.message} |"
    assert row in API.splitlines()


def test_documented_error_codes_exist() -> None:
    table = API.partition("| code | HTTP |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `([A-Z_]+)`", table, re.MULTILINE)) == set(CATALOG)
