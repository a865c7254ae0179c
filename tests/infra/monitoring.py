"""Finds mistakes in the monitoring in infra/: metrics of entries never logged, alerts without a remedy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import promql_parser

from shared.api.routing import FUNCTIONS
from shared.core.documents import Status
from shared.core.errors import CATALOG
from tests.infra import entries
from tests.infra.configuration import INFRA, Configuration

OPERATIONS: Final = INFRA.parent / "docs" / "operations.md"
DASHBOARD: Final = INFRA / "dashboard.json.tftpl"
DASHBOARD_COLUMNS: Final = 48
MOST_EXTRACTORS: Final = 10
MOST_DOCUMENTATION_BYTES: Final = 8_192
PREFIX: Final = "logging_googleapis_com:user_"
RESOURCE: Final = "monitored_resource"
# The platform's own metrics that are used, with the labels that are: names by Google's lists of metrics.
PLATFORM: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "run_googleapis_com:request_count": ("cloud_run_revision", frozenset({"service_name", "response_code_class"})),
    "run_googleapis_com:request_latencies_bucket": ("cloud_run_revision", frozenset({"service_name", "le"})),
    "cloudtasks_googleapis_com:queue_depth": ("cloud_tasks_queue", frozenset({"queue_id"})),
    "cloudtasks_googleapis_com:queue_task_attempt_delays_bucket": ("cloud_tasks_queue", frozenset({"queue_id", "le"})),
    "storage_googleapis_com:storage_v2_total_bytes": ("gcs_bucket", frozenset({"bucket_name", "type"})),
}
# What the values of labels can be.
VALUES: Final[Mapping[str, frozenset[str]]] = {
    "status": frozenset(Status),
    "code": frozenset(CATALOG),
    "service_name": frozenset(FUNCTIONS),
    "response_code_class": frozenset({"1xx", "2xx", "3xx", "4xx", "5xx"}),
}


@dataclass(frozen=True)
class Metric:
    """A metric made of log entries: the names it has in queries, and its labels there."""

    name: str
    names: frozenset[str]
    labels: frozenset[str]
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Monitoring:
    """infra/ as it is, or with other texts for some of its files, its dashboard or the page on operations."""

    changed: Mapping[str, str] = field(default_factory=dict)
    dashboard: str = field(default_factory=DASHBOARD.read_text)
    operations: str = field(default_factory=OPERATIONS.read_text)

    @cached_property
    def configuration(self) -> Configuration:
        return Configuration(changed=self.changed)

    def local(self, name: str) -> dict[str, Any]:
        made: dict[str, Any] = plain(self.configuration.made(self.configuration.locals[name], {}))
        return made

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        found = {}
        for kind, suffixes in (("counters", ("",)), ("distributions", ("_sum", "_count", "_bucket"))):
            for name, body in self.local(kind).items():
                labels = frozenset(body["labels"]) | ({"le"} if kind == "distributions" else frozenset())
                found[name] = Metric(name, frozenset(f"{PREFIX}{name}{each}" for each in suffixes), labels, body)
        return found

    @cached_property
    def queries(self) -> dict[str, str]:
        """Every query, by where it is."""
        alerts = {f"alert {name}": alert["query"] for name, alert in self.local("alerts").items()}
        shown = {}
        for tile in json.loads(self.dashboard)["mosaicLayout"]["tiles"]:
            for series in tile["widget"]["xyChart"]["dataSets"]:
                where = f"dashboard {tile['widget']['title']} {series.get('legendTemplate', '')}".strip()
                shown[where] = series["timeSeriesQuery"]["prometheusQuery"]
        return alerts | shown

    def section(self, title: str) -> str | None:
        """The text under a heading of the chapter on alerts."""
        chapter = self.operations.partition("\n## Alerts\n")[2].partition("\n## ")[0]
        found = re.search(rf"\n### {re.escape(title)}\n\n(.+?)\n+(?=### |$)", chapter + "\n\n", re.DOTALL)
        return found[1] if found else None


def complaints(monitoring: Monitoring) -> list[str]:
    """Everything that is wrong."""
    checks: tuple[Callable[[Monitoring], Iterator[str]], ...] = (_metrics, _labels, _queries, _alerts, _digest, _layout)
    return [complaint for check in checks for complaint in check(monitoring)]


def _metrics(monitoring: Monitoring) -> Iterator[str]:
    """A metric is made of an entry that the code writes, and of fields that the entry has."""
    for metric in monitoring.metrics.values():
        entry = metric.body["entry"]
        read = set(re.findall(r"jsonPayload\.(\w+)", entry)) | set(metric.body["labels"].values())
        read |= {metric.body["field"]} if "field" in metric.body else set()
        messages = re.findall(r'jsonPayload\.message="(\w+)"', entry)
        for message in messages:
            has = entries.fields(message)
            if has is None:
                yield f"{metric.name}: nothing writes {message}"
            elif not read <= has:
                yield f"{metric.name}: {message} has no {', '.join(sorted(read - has))}"
        anywhere = {name for written in entries.written() for name in written.fields}
        if not messages and not read <= anywhere:
            yield f"{metric.name}: no entry has {', '.join(sorted(read - anywhere))}"


def _labels(monitoring: Monitoring) -> Iterator[str]:
    """Google refuses a metric whose extractors are not exactly its labels."""
    for instance in monitoring.configuration.instances("google_logging_metric"):
        described = {label["key"] for label in instance.body["metric_descriptor"][0].get("labels", [])}
        extractors = instance.body["label_extractors"]
        if isinstance(extractors, str):
            # A `for` over the same labels as the blocks are made of.
            of = re.search(r"for \w+, \w+ in each\.value\.labels :", extractors)
            extractors = monitoring.metrics[instance.key or ""].body["labels"] if of else {}
        if set(extractors) != described:
            yield f"{instance.key}: extractors {sorted(extractors)} are not the labels {sorted(described)}"


def _queries(monitoring: Monitoring) -> Iterator[str]:
    used: set[str] = set()
    for where, query in monitoring.queries.items():
        try:
            parsed = promql_parser.parse(query)
        except ValueError as error:
            yield f"{where}: {error}"
            continue
        known: set[str] = set()
        for selector in _selectors(parsed):
            used.add(str(selector.name))
            labels, complaint = _labels_of(monitoring, selector)
            known |= labels
            yield from (f"{where}: {each}" for each in complaint)
        for label in _grouped_by(parsed):
            if label not in known:
                yield f"{where}: grouped by {label}, which its metrics do not have"
    for metric in monitoring.metrics.values():
        if not metric.names & used:
            yield f"{metric.name}: neither an alert nor the dashboard uses it"


def _labels_of(monitoring: Monitoring, selector: Any) -> tuple[frozenset[str], list[str]]:
    """The labels of the selector's metric, and what is wrong with how it is selected."""
    resource, labels = PLATFORM.get(selector.name, ("cloud_run_revision", frozenset()))
    if selector.name not in PLATFORM:
        metric = next((each for each in monitoring.metrics.values() if selector.name in each.names), None)
        if metric is None:
            return labels, [f"there is no metric {selector.name}"]
        labels = metric.labels
    wrong, matched = [], {}
    for matcher in selector.matchers.matchers:
        matched[matcher.name] = matcher.value
        if matcher.name not in labels | {RESOURCE}:
            wrong.append(f"{selector.name} has no label {matcher.name}")
        if not set(matcher.value.split("|")) <= VALUES.get(matcher.name, {*matcher.value.split("|")}):
            wrong.append(f"{matcher.name} is never {matcher.value}")
    # A metric that several kinds of resources could have must say whose.
    if matched.get(RESOURCE) != resource:
        wrong.append(f"{selector.name} is of {resource}")
    return labels, wrong


def _alerts(monitoring: Monitoring) -> Iterator[str]:
    """Every alert says what to do, and everything that is said is some alert's."""
    sections = {alert["section"] for alert in monitoring.local("alerts").values()}
    for section in sorted(sections):
        text = monitoring.section(section)
        if not text:
            yield f"docs/operations.md has no section {section!r} under Alerts"
        elif len(text.encode()) > MOST_DOCUMENTATION_BYTES:
            yield f"the section {section!r} is too long for a notification"
    titles = re.findall(r"\n### (.+)", monitoring.operations.partition("\n## Alerts\n")[2].partition("\n## ")[0])
    for title in titles:
        if title not in sections | {DIGEST_SECTION}:
            yield f"the section {title!r} is of no alert"


DIGEST_SECTION: Final = "The weekly digest"


def _digest(monitoring: Monitoring) -> Iterator[str]:
    policy = plain(monitoring.configuration.resources["google_monitoring_alert_policy.digest"])
    condition = policy["conditions"][0]["condition_matched_log"][0]
    messages = re.findall(r'jsonPayload\.message="(\w+)"', condition["filter"])
    extractors = {name: text for name, text in condition["label_extractors"].items() if not name.startswith("__")}
    for message in messages:
        has = entries.fields(message) or frozenset()
        for name, extractor in extractors.items():
            of = extractor.removeprefix("EXTRACT(jsonPayload.").removesuffix(")")
            if of not in has:
                yield f"digest: {name} is {of}, which {message} has not"
    if not messages or len(extractors) > MOST_EXTRACTORS:
        yield f"digest: of {messages}, {len(extractors)} extractors"
    documentation = policy["documentation"][0]
    told = re.findall(r"log\.extracted_label\.(\w+)", documentation["subject"] + documentation["content"])
    if set(told) != set(extractors):
        yield f"digest: tells {sorted(told)}, extracts {sorted(extractors)}"
    if monitoring.section(DIGEST_SECTION) is None:
        yield f"docs/operations.md has no section {DIGEST_SECTION!r} under Alerts"


def _layout(monitoring: Monitoring) -> Iterator[str]:
    """No tile lies on another one, or outside."""
    taken: dict[tuple[int, int], str] = {}
    for tile in json.loads(monitoring.dashboard)["mosaicLayout"]["tiles"]:
        x, y, title = tile.get("xPos", 0), tile.get("yPos", 0), tile["widget"]["title"]
        if x + tile["width"] > DASHBOARD_COLUMNS:
            yield f"dashboard {title}: outside"
        for place in ((x + dx, y + dy) for dx in range(tile["width"]) for dy in range(tile["height"])):
            if taken.setdefault(place, title) != title:
                yield f"dashboard {title}: on {taken[place]}"
                break


def _selectors(expression: Any) -> list[Any]:
    found: list[Any] = []

    def visit(each: Any) -> None:
        if isinstance(each, promql_parser.MatrixSelector):
            each = each.vector_selector
        if isinstance(each, promql_parser.VectorSelector):
            found.append(each)

    promql_parser.walk(expression, visit)
    return found


def _grouped_by(expression: Any) -> set[str]:
    found: set[str] = set()

    def visit(each: Any) -> None:
        if isinstance(each, promql_parser.AggregateExpr) and each.modifier is not None:
            found.update(each.modifier.labels)

    promql_parser.walk(expression, visit)
    return found


def plain(value: Any) -> Any:
    """Parsed HCL without the escapes of its strings."""
    if isinstance(value, str):
        return value.replace('\\"', '"').replace("\\\\", "\\")
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def text(name: str) -> str:
    return Path(INFRA / name).read_text()
