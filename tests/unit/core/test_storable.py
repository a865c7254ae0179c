"""Text from outside is made storable, and what Firestore would reject is named. The limits: tests/contract."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import events, storable
from shared.core.errors import NotStorable

anything = st.text(st.characters(), max_size=40)


@given(anything, st.integers(4, 60))
def test_any_text_becomes_storable_and_good_text_is_kept(value: str, max_bytes: int) -> None:
    made = storable.text(value, max_bytes)
    assert len(made.encode()) <= max_bytes
    if storable.text(value) == value and len(value.encode()) <= max_bytes:
        assert made == value


@pytest.mark.parametrize(
    ("value", "made"),
    [("half \ud83d an emoji", "half � an emoji"), ("\udc00", "�"), ("whole 😀", "whole 😀"), ("nul \0", "nul \0")],
)
def test_text_without_utf8_encoding_is_replaced(value: str, made: str) -> None:
    assert storable.text(value) == made


def test_characters_are_never_split() -> None:
    assert storable.text("aä", 2) == "a"
    assert storable.text("a\ud83d", 3) == "a"


def test_all_text_of_an_event_becomes_storable() -> None:
    finished = events.GenerationFinished(3, "holder", ("gs://\ud800", "x" * 100_000) * 100, 1, "because \udfff")
    made = storable.cleaned(finished)
    assert made.uris[0] == "gs://�"
    assert len(made.uris[1]) == storable.MAX_TEXT_BYTES
    assert len(made.uris) == storable.MAX_LISTED
    assert made.reason == "because �"
    assert (made.step, made.holder, made.filtered) == (3, "holder", 1)
    storable.check("jobs/video_a", {"uris": made.uris, "reason": made.reason})


def test_event_with_good_text_is_unchanged() -> None:
    accepted = events.Accepted(1, "projects/p/operations/1")
    assert storable.cleaned(accepted) == accepted


@pytest.mark.parametrize("name", ["", "__a__", "__\n__", "\ud800", "x" * 1_501])
def test_invalid_field_name_is_rejected(name: str) -> None:
    assert storable.key_problem(name)


@pytest.mark.parametrize("name", ["___", "__a", "a__", "_a_", "a.b", "\0", "x" * 1_500])
def test_any_other_name_is_accepted(name: str) -> None:
    assert storable.key_problem(name) is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"a": {"__b__": 1}}, "a.__b__"),
        ({"a": ["\ud800"]}, "a"),
        ({"a": {"b": 2**63}}, "a.b"),
        ({"a": [[]]}, "a"),
    ],
)
def test_unstorable_value_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(NotStorable) as error:
        storable.check("things/a", fields)
    assert error.value.field == field


def test_error_about_a_bad_name_is_itself_storable() -> None:
    with pytest.raises(NotStorable) as error:
        storable.check("things/a", {"\ud800": 1})
    assert str(error.value).encode()


def test_unsupported_type_is_a_programming_error() -> None:
    with pytest.raises(TypeError):
        storable.check("things/a", {"a": {1, 2}})


def nested(depth: int, name: str = "a") -> dict[str, Any]:
    return {name: nested(depth - 1, name) if depth > 1 else 1}


@pytest.mark.parametrize(
    ("path", "document", "why"),
    [
        ("jobs/a/b", {}, "not one segment"),
        ("jobs/..", {}, "not one segment"),
        ("jobs/__a__", {}, "reserved"),
        ("jobs/a", {"": 1}, "empty"),
        ("jobs/a", {"__name__": 1}, "reserved"),
        ("jobs/a", {"\ud800": 1}, "not valid Unicode"),
        ("jobs/a", {"ä" * 751: 1}, "too long"),
        ("jobs/a", nested(4, "n" * 400), "long"),
        ("jobs/a", nested(storable.MAX_DEPTH + 2), "nested"),
        ("jobs/a", {"text": "half \ud83d"}, "not valid Unicode"),
        ("jobs/a", {"bytes": bytes(storable.MAX_VALUE_BYTES + 1)}, "bytes"),
        ("jobs/a", {"a": bytes(600_000), "b": bytes(600_000)}, "bytes"),
    ],
)
def test_what_firestore_would_reject_is_refused_with_the_reason(path: str, document: dict[str, Any], why: str) -> None:
    with pytest.raises(NotStorable, match=why):
        storable.check(path, document)


def test_the_largest_that_is_accepted_is_accepted() -> None:
    storable.check("jobs/a", nested(storable.MAX_DEPTH + 1))
    storable.check("jobs/a", {"ä" * 750: 1})
    storable.check_queried("project", "x" * storable.MAX_QUERIED_BYTES)
    with pytest.raises(NotStorable, match="bytes"):
        storable.check_queried("project", "x" * (storable.MAX_QUERIED_BYTES + 1))
