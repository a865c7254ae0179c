"""Every query that the code can make is served by an index of infra/indexes.tf, and no index is there for nothing."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from datetime import datetime
from typing import Any, get_args

import pytest

import shared
from shared.core.documents import Document
from tests.infra import queries
from tests.infra.configuration import Configuration
from tests.infra.indexes import Need, need_of, problems, unindexed

for module in pkgutil.walk_packages(shared.__path__, "shared."):
    importlib.import_module(module.name)

NEVER_ASKED_FOR = {
    f"jobs/{name}" for name in ("request.prompt", "outputs", "error", "labels", "created_at", "repeats_taken")
}


@pytest.fixture(scope="module")
def recorded() -> queries.Recorded:
    return asyncio.run(queries.record())


@pytest.fixture(scope="module")
def needs(recorded: queries.Recorded) -> set[Need]:
    return {need_of(query, sums) for query, sums in recorded.queries}


@pytest.fixture
def configuration() -> Configuration:
    return Configuration()


def test_every_listing_query_is_checked(recorded: queries.Recorded) -> None:
    assert queries.unasked(recorded) == []


def test_queries_and_indexes_match(needs: set[Need], configuration: Configuration) -> None:
    assert problems(needs, configuration) == []


def test_missing_index_is_detected(needs: set[Need], configuration: Configuration) -> None:
    for each in configuration.instances("google_firestore_index"):
        line = next(
            text for text in configuration.texts["indexes.tf"].splitlines() if text.strip().startswith(f'"{each.key}"')
        )
        without = configuration.texts["indexes.tf"].replace(line, "")
        assert len(problems(needs, Configuration(changed={"indexes.tf": without}))) == 1, each.key


@pytest.mark.parametrize(
    ("is_", "becomes"),
    [
        ('["tenant", "-created_at"]', '["tenant", "created_at"]'),
        ('["tenant", "account", "updated_at"]', '["account", "updated_at", "tenant"]'),
        ('["account", "amount"]', '["account", "balance_after"]'),
        ('"tenant", "account", "kind", "-created_at"', '"tenant", "account", "-created_at"'),
    ],
)
def test_insufficient_index_is_detected(needs: set[Need], configuration: Configuration, is_: str, becomes: str) -> None:
    changed = configuration.texts["indexes.tf"].replace(is_, becomes)
    assert changed != configuration.texts["indexes.tf"]
    found = problems(needs, Configuration(changed={"indexes.tf": changed}))
    assert any(problem.startswith("no index") for problem in found)
    assert any(problem.endswith("is not used") for problem in found)


def test_field_queried_alone_keeps_its_index(needs: set[Need], configuration: Configuration) -> None:
    changed = configuration.texts["indexes.tf"].replace('"jobs/deleted_at"', '"jobs/due_at"')
    assert problems(needs, Configuration(changed={"indexes.tf": changed})) == [
        "jobs/due_at is asked for alone and has no index"
    ]


def test_unqueried_texts_and_timestamps_are_not_indexed(needs: set[Need], configuration: Configuration) -> None:
    alone = {name for need in needs for name in need.single_fields}
    moments = {
        f"{kind.collection}/{name}"
        for kind in _documents(Document)
        for name, field in kind.model_fields.items()
        if field.annotation is datetime or datetime in get_args(field.annotation)
    }
    assert "jobs/created_at" in moments
    assert NEVER_ASKED_FOR | (moments - alone) <= unindexed(configuration)


def test_every_exempted_field_exists(configuration: Configuration) -> None:
    for name in unindexed(configuration):
        collection, _, path = name.partition("/")
        # Several kinds may share a collection.
        assert any(kind.collection == collection and _has(kind, path) for kind in _documents(Document)), name


def _has(kind: Any, path: str) -> bool:
    for part in path.split("."):
        if part not in kind.model_fields:
            return False
        kind = kind.model_fields[part].annotation
    return True


def _documents(kind: type[Document]) -> set[type[Document]]:
    """All kinds of documents that have a collection."""
    own = {kind} if hasattr(kind, "collection") else set()
    return own.union(*(_documents(one) for one in kind.__subclasses__()))
