"""The studio is served in the cloud as it is locally: the same types, the same headers, no file left out."""

from __future__ import annotations

import re

from shared.http.site import CACHED, DOCUMENT_HEADERS, IDENTITY_ORIGINS, MEDIA_ORIGIN, TYPES, security_policy
from tests.infra.configuration import INFRA, Configuration

WEB = INFRA.parent / "web"


def policy(configuration: Configuration) -> str:
    text = str(configuration.locals["content_security_policy"])
    return "; ".join(re.findall(r'"([a-z-]+ [^"]*)"', text))


def test_every_file_has_the_gateways_type(configuration: Configuration) -> None:
    types = configuration.locals["content_types"]
    assert {path.suffix[1:] for path in WEB.rglob("*") if path.is_file()} <= set(types)
    assert types == {suffix: TYPES[f".{suffix}"] for suffix in types}


def test_content_security_policy_matches_history(configuration: Configuration) -> None:
    assert policy(configuration) == security_policy(MEDIA_ORIGIN, IDENTITY_ORIGINS)


def test_headers_are_sent(configuration: Configuration) -> None:
    (bucket,) = configuration.instances("google_compute_backend_bucket")
    values = dict(header.split(": ", 1) for header in bucket.body["custom_response_headers"])
    assert "Content-Security-Policy" in values
    assert values["X-Content-Type-Options"] == "nosniff"
    assert DOCUMENT_HEADERS.items() <= values.items()


def test_generated_files_are_uploaded_too(configuration: Configuration) -> None:
    """The gateway makes these two; the studio and the reference ask for them."""
    names = {each.body["name"] for each in configuration.instances("google_storage_bucket_object")}
    assert {"config.json", "openapi.json"} <= names


def test_without_all_users_history_serves_the_page(configuration: Configuration, unchecked: Configuration) -> None:
    for kind in ("google_compute_backend_bucket", "google_storage_bucket_object", "google_storage_bucket"):
        names = {each.name for each in configuration.instances(kind)} - {
            each.name for each in unchecked.instances(kind)
        }
        assert names == ({"site", "openapi", "config"} if kind.endswith("_object") else {"site"})
    objects = {each.name: each.body for each in configuration.instances("google_storage_bucket_object")}
    assert {objects[name]["cache_control"] for name in ("site", "openapi", "config")} == {CACHED}
    assert objects["config"]["content"] == "${local.studio_config}"
    assert unchecked.made("${local.settings}", {})["STUDIO_CONFIG"] == "${local.studio_config}"
    assert configuration.made("${local.settings}", {})["STUDIO_CONFIG"] == ""
