"""Process settings, from the environment."""

from __future__ import annotations

from typing import cast

import pytest
from pydantic import ValidationError

from shared.platform.ports import ObjectStore
from shared.platform.settings import SECURETOKEN_ISSUER, SECURETOKEN_JWKS, Settings
from shared.wiring import _providers

# No provider is asked for anything here.
NO_MEDIA = cast(ObjectStore, None)
LEAST = {"GOOGLE_CLOUD_PROJECT": "p", "BUCKET": "b"}


def test_only_project_and_bucket_are_required() -> None:
    settings = Settings.from_environ(LEAST)
    assert (settings.google_cloud_project, settings.bucket, settings.signup_credits) == ("p", "b", 0)


@pytest.mark.parametrize("missing", LEAST)
def test_missing_setting_is_named(missing: str) -> None:
    with pytest.raises(ValidationError, match=missing.lower()):
        Settings.from_environ({name: value for name, value in LEAST.items() if name != missing})


def test_users_default_to_identity_platform() -> None:
    settings = Settings.from_environ(LEAST)
    assert (settings.issuer, settings.audience, settings.jwks_url) == (f"{SECURETOKEN_ISSUER}p", "p", SECURETOKEN_JWKS)
    told = {"OIDC_ISSUER": "https://i", "OIDC_AUDIENCE": "a", "OIDC_JWKS_URL": "https://k"}
    settings = Settings.from_environ(LEAST | told)
    assert (settings.issuer, settings.audience, settings.jwks_url) == ("https://i", "a", "https://k")


def test_lists_may_have_spaces_and_empty_parts() -> None:
    settings = Settings.from_environ(LEAST | {"ALLOWED_ORIGINS": " https://a, ,https://b,", "DEFAULT_MODELS": "x , y"})
    assert settings.origins == {"https://a", "https://b"}
    assert settings.model_preference == ("x", "y")


@pytest.mark.parametrize(
    ("told", "offered"),
    [
        ({}, set()),
        ({"GEMINI_API_KEY": "k"}, {"gemini"}),
        ({"OMNI_OFFERED": "true"}, {"gemini"}),
        ({"OMNI_OFFERED": "false"}, set()),
        ({"VERTEX_PROJECT": "p"}, {"vertex", "vertex-omni"}),
        ({"VERTEX_PROJECT": "p", "GEMINI_API_KEY": "k"}, {"vertex", "vertex-omni", "gemini"}),
    ],
)
def test_providers_are_set_up_by_project_key_or_flag(told: dict[str, str], offered: set[str]) -> None:
    assert set(_providers(Settings.from_environ(LEAST | told), NO_MEDIA).by_provider) == offered


def test_no_origin_is_allowed_by_default() -> None:
    assert Settings.from_environ(LEAST).origins == frozenset()


def test_invalid_number_is_named() -> None:
    with pytest.raises(ValidationError, match="signup_credits"):
        Settings.from_environ(LEAST | {"SIGNUP_CREDITS": "many"})


def test_other_variables_are_not_read() -> None:
    assert Settings.from_environ(LEAST | {"google_cloud_project": "x", "PATH": "/bin"}).google_cloud_project == "p"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_description(name: str) -> None:
    assert (Settings.model_fields[name].description or "").endswith(".")
