"""infra/ unchanged, and copies of it with a mistake."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.infra.configuration import Configuration

Mistaken = Callable[[str, str, str], Configuration]


@pytest.fixture(scope="session")
def configuration() -> Configuration:
    return Configuration()


@pytest.fixture(scope="session")
def unchecked(configuration: Configuration) -> Configuration:
    """infra/ for an organization that forbids allUsers."""
    text, by = '"all_users"\n\n  validation', '"no_invoker_check"\n\n  validation'
    assert text in configuration.texts["variables.tf"]
    return Configuration(changed={"variables.tf": configuration.texts["variables.tf"].replace(text, by)})


@pytest.fixture(scope="session")
def mistaken(configuration: Configuration) -> Mistaken:
    """infra/ with a text of one file replaced by another."""

    def make(file: str, text: str, by: str) -> Configuration:
        assert text in configuration.texts[file], f"{file} has no {text!r} any more"
        return Configuration(changed={file: configuration.texts[file].replace(text, by, 1)})

    return make
