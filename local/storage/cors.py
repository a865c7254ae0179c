"""Cross-origin answers by a bucket's `cors` setting."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

# Reading from any page: on the XML API the signature is the guard, not the origin.
DEFAULT: Final[list[dict[str, Any]]] = [
    {
        "origin": ["*"],
        "method": ["GET", "HEAD"],
        "responseHeader": ["Content-Range", "Accept-Ranges", "ETag", "Content-Length", "Content-Type", "Range"],
        "maxAgeSeconds": 3600,
    }
]


def simple_headers(rules: Iterable[Mapping[str, Any]], origin: str | None, method: str) -> dict[str, str]:
    """Headers for the answer to a request from a page at `origin`; none when no rule admits it."""
    rule = _rule(rules, origin, method)
    if rule is None or origin is None:
        return {}
    return {**_allowed_origin(rule, origin), "access-control-expose-headers": ", ".join(rule.get("responseHeader", []))}


def preflight_headers(rules: Iterable[Mapping[str, Any]], request_headers: Mapping[str, str]) -> dict[str, str]:
    """Headers for the answer to OPTIONS; none when no rule admits the origin, method and headers asked for."""
    origin = request_headers.get("origin")
    method = request_headers.get("access-control-request-method", "")
    rule = _rule(rules, origin, method)
    if rule is None or origin is None:
        return {}
    allowed = rule.get("responseHeader", [])
    asked = request_headers.get("access-control-request-headers", "").lower().replace(" ", "")
    if not set(filter(None, asked.split(","))) <= {name.lower() for name in allowed}:
        return {}
    return {
        **_allowed_origin(rule, origin),
        "access-control-allow-methods": ", ".join(rule.get("method", [])),
        "access-control-allow-headers": ", ".join(allowed),
        "access-control-max-age": str(rule.get("maxAgeSeconds", 3600)),
    }


def _rule(rules: Iterable[Mapping[str, Any]], origin: str | None, method: str) -> Mapping[str, Any] | None:
    for rule in rules:
        origins, methods = rule.get("origin", []), rule.get("method", [])
        if ("*" in origins or origin in origins) and ("*" in methods or method in methods):
            return rule
    return None


def _allowed_origin(rule: Mapping[str, Any], origin: str) -> dict[str, str]:
    if "*" in rule.get("origin", []):
        return {"access-control-allow-origin": "*"}
    return {"access-control-allow-origin": origin, "vary": "Origin"}
