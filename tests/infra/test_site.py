"""The studio is served in the cloud as it is on a laptop: the same types, the same headers, no file left out."""

from __future__ import annotations

import re

from local.gateway import DOCUMENT_HEADERS, TYPES, security_policy
from tests.infra.configuration import INFRA, Configuration

WEB = INFRA.parent / "web"
MEDIA = "https://storage.googleapis.com"
# On a laptop the gateway stands in for it, under the studio's own origin.
IDENTITY = "https://identitytoolkit.googleapis.com https://securetoken.googleapis.com"


def policy(configuration: Configuration) -> str:
    text = str(configuration.locals["content_security_policy"])
    return "; ".join(re.findall(r'"([a-z-]+ [^"]*)"', text))


def test_every_file_has_a_type_and_it_is_the_gateways(configuration: Configuration) -> None:
    types = configuration.locals["content_types"]
    assert {path.suffix[1:] for path in WEB.rglob("*") if path.is_file()} <= set(types)
    assert types == {suffix: TYPES[f".{suffix}"] for suffix in types}


def test_the_content_security_policy_is_the_gateways_and_signing_in(configuration: Configuration) -> None:
    expected = security_policy(MEDIA).replace("connect-src 'self'", f"connect-src 'self' {IDENTITY}")
    assert policy(configuration) == expected


def test_the_headers_are_sent(configuration: Configuration) -> None:
    (bucket,) = configuration.instances("google_compute_backend_bucket")
    values = dict(header.split(": ", 1) for header in bucket.body["custom_response_headers"])
    assert "Content-Security-Policy" in values
    assert values["X-Content-Type-Options"] == "nosniff"
    assert DOCUMENT_HEADERS.items() <= values.items()


def test_what_is_no_file_of_the_studio_is_uploaded_too(configuration: Configuration) -> None:
    """The gateway makes these two; the studio and the reference ask for them."""
    names = {each.body["name"] for each in configuration.instances("google_storage_bucket_object")}
    assert {"config.json", "openapi.json"} <= names
