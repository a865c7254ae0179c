"""The load balancer sends each request where shared/http/routes.py says, as the local gateway does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from local.gateway.server import EVENTS_PER_MINUTE, LIMITED_PREFIX, REQUESTS_PER_MINUTE, RoutingTable
from shared.http.routes import ROUTES
from tests.infra.configuration import Body, Configuration
from tests.infra.conftest import Mistaken

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PRIVATE = ("queue", "scheduler", "bucket")
# Segments that stand for a parameter: among them those that are words of other paths.
SEGMENTS = ("video_AbC-123", "estimate", "extensions", "edits", "remix", "cancel", "a.b~c", "%20")
UNKNOWN = ("/v1/nothing", "/v1/videos/", "/v1/videos/a/b/c", "/v1/videos/a/cancel/b", "/v1/account/export/x")


@dataclass(frozen=True)
class Rule:
    """One rule of the map: the paths and the method that it takes, and the function that it leads to."""

    priority: int
    path: re.Pattern[str]
    method: str | None
    function: str


def rules(configuration: Configuration) -> list[Rule]:
    """The rules in the order in which the load balancer tries them. Raises ValueError for what is not understood."""
    (matcher,) = configuration_map(configuration)["path_matcher"]
    found = [_rule(block, match) for block in matcher["route_rules"] for match in block["match_rules"]]
    if len({rule.priority for rule in found}) != len(found):
        raise ValueError("two rules have one priority")
    return sorted(found, key=lambda rule: rule.priority)


def configuration_map(configuration: Configuration) -> Body:
    return next(each.body for each in configuration.instances("google_compute_url_map") if each.name == "https")


def _rule(block: Body, match: Body) -> Rule:
    priority = re.fullmatch(r"\$\{(\d+) \+ 1\}", str(block["priority"]))
    service = re.fullmatch(r'\$\{google_compute_backend_service\.function\["(\w+)"\]\.id\}', block["service"])
    methods = [header["exact_match"] for header in match["header_matches"] if header["header_name"] == ":method"]
    if priority is None or service is None or len(methods) != len(match["header_matches"]) or len(methods) > 1:
        raise ValueError(f"not understood: {block}")
    return Rule(int(priority[1]) + 1, _template(match["path_template_match"]), next(iter(methods), None), service[1])


def _template(template: str) -> re.Pattern[str]:
    """* is one segment, ** any number of them at the end."""
    parts = {"**": ".*", "*": "[^/]+"}
    return re.compile("/".join(parts.get(part) or re.escape(part) for part in template.split("/")))


def function(found: list[Rule], method: str, path: str) -> str | None:
    """The function that the request is sent to; None for the studio's bucket."""
    for rule in found:
        if rule.method in (None, method) and rule.path.fullmatch(path):
            return rule.function
    return None


def problems(configuration: Configuration) -> Iterator[str]:
    """Requests that are answered otherwise than routes.py says."""
    try:
        found, table = rules(configuration), RoutingTable()
    except ValueError as error:
        yield str(error)
        return
    public = [route for route in ROUTES if route.caller not in PRIVATE]
    for route in public:
        for path in examples(route.path):
            wanted = table.function(route.method, path)
            for method in (route.method, "HEAD") if route.method == "GET" else (route.method,):
                if function(found, method, path) != wanted:
                    yield f"{method} {path} goes to {function(found, method, path)}"
    for path in {path for route in public for path in examples(route.path)}:
        owners = {route.function for route in public if _template(_starred(route.path)).fullmatch(path)}
        for method in METHODS:
            # A method that the path does not have is answered 405 by any function that knows the path.
            if function(found, method, path) not in owners:
                yield f"{method} {path} goes to {function(found, method, path)}, which does not know it"
    for path in UNKNOWN:
        if function(found, "GET", path) is None:
            yield f"GET {path} is not answered by the API"
    for route in ROUTES:
        if route.caller in PRIVATE and function(found, route.method, route.path) is not None:
            yield f"{route.path} can be reached from outside"


def examples(path: str) -> list[str]:
    return [re.sub(r"\{\w+\}", lambda _, segment=segment: segment, path) for segment in SEGMENTS]


def _starred(path: str) -> str:
    return re.sub(r"\{\w+\}", "*", path)


def test_rows_are_routed_by_the_table(configuration: Configuration) -> None:
    assert list(problems(configuration)) == []


def test_every_rule_belongs_to_a_row(configuration: Configuration) -> None:
    """But for the last, which leaves everything else of the API to history."""
    *own, rest = configuration.locals["routes"]
    rows = {(_starred(route.path), route.function): route.method for route in ROUTES}
    for row in own:
        assert (row["path"], row["function"]) in rows
        assert row["method"] in ("", rows[row["path"], row["function"]])
    assert (rest["path"], rest["function"]) == ("/v1/**", "history")


def test_everything_else_is_the_studio(configuration: Configuration) -> None:
    body = configuration_map(configuration)
    site = "${google_compute_backend_bucket.site[0].id}"
    assert body["default_service"] == body["path_matcher"][0]["default_service"] == site
    assert [function(rules(configuration), "GET", path) for path in ("/", "/js/main.js", "/docs/", "/tasks/step")] == (
        [None] * 4
    )


def test_without_all_users_history_is_the_studio(unchecked: Configuration) -> None:
    body = configuration_map(unchecked)
    history = '${google_compute_backend_service.function["history"].id}'
    assert body["default_service"] == body["path_matcher"][0]["default_service"] == history
    assert list(problems(unchecked)) == []


def test_rate_limit_per_address_matches_the_local_one(configuration: Configuration) -> None:
    """Everything the load balancer routes to a function: each public route, and an unknown path."""
    (policy,) = configuration.instances("google_compute_security_policy")
    for service in configuration.instances("google_compute_backend_service"):
        assert service.body["security_policy"] == "${google_compute_security_policy.edge.id}"
    rules = sorted(policy.body["rule"], key=lambda rule: int(rule["priority"]))
    for path in {*(route.path for route in ROUTES if route.caller not in PRIVATE), "/v1/nothing", "/new"}:
        rule = next(rule for rule in rules if _applies(rule, path))
        (options,) = rule["rate_limit_options"]
        (threshold,) = options["rate_limit_threshold"]
        expected = REQUESTS_PER_MINUTE if path.startswith(f"{LIMITED_PREFIX}/") else EVENTS_PER_MINUTE
        assert (rule["action"], options["exceed_action"], options["enforce_on_key"]) == ("throttle", "deny(429)", "IP")
        assert (threshold["count"], threshold["interval_sec"]) == (expected, 60), path


def _applies(rule: Body, path: str) -> bool:
    (match,) = rule["match"]
    if "expr" not in match:
        return bool(match["config"][0]["src_ip_ranges"] == ["*"])
    found = re.fullmatch(r"request\.path\.startsWith\('(.+)'\)", match["expr"][0]["expression"])
    assert found is not None
    return path.startswith(found[1])


@pytest.mark.parametrize("missing", [row.path for row in ROUTES if row.function in ("submit", "stream")])
def test_route_missing_from_the_map_is_detected(configuration: Configuration, mistaken: Mistaken, missing: str) -> None:
    path = _starred(missing)
    (line,) = [line for line in configuration.texts["edge.tf"].splitlines(True) if f'path = "{path}"' in line]
    assert any(re.search(" goes to (history|submit|None)", one) for one in problems(mistaken("edge.tf", line, "")))


@pytest.mark.parametrize(
    ("text", "by"),
    [
        ('{ path = "/v1/videos", method = "POST", function = "submit" }', '{ path = "/v1/videos", method = "", function = "submit" }'),  # noqa: E501
        ('method = "DELETE"', 'method = "GET"'),
        ('"/v1/videos/*/events"', '"/v1/videos/events"'),
        ('path = "/v1/**"', 'path = "/**"'),
        ('header_name = ":method"', 'header_name = ":path"'),
        ("priority = route_rules.key + 1", "priority = 1"),
    ],
)  # fmt: skip
def test_wrong_rule_is_detected(mistaken: Mistaken, text: str, by: str) -> None:
    assert list(problems(mistaken("edge.tf", text, by)))
