"""Documents as Firestore's messages: the same that the official client would send, and read back as they were."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from google.cloud.firestore_v1 import _helpers
from google.cloud.firestore_v1.types import Document
from hypothesis import given
from hypothesis import strategies as st

from shared.gateways.firestore_codec import fill, read

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(codec="utf-8"), max_size=50),
    st.binary(max_size=50),
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC)),
)
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(st.one_of(plain, st.dictionaries(names, inner, max_size=3)), max_size=3),
        st.dictionaries(names, inner, max_size=3),
    ),
    max_leaves=12,
)


def message(fields: dict[str, Any]) -> Any:
    document = Document.pb()()
    fill(document.fields, fields)
    return document


@given(st.dictionaries(names, values, max_size=5))
def test_encoding_matches_the_official_client(fields: dict[str, Any]) -> None:
    assert message(fields) == Document.pb(Document(fields=_helpers.encode_dict(fields)))


@given(st.dictionaries(names, values, max_size=5))
def test_decoding_reverses_encoding(fields: dict[str, Any]) -> None:
    sent = message(fields).SerializeToString(deterministic=True)
    assert read(Document.pb().FromString(sent).fields) == fields


@pytest.mark.parametrize("value", [{1, 2}, object(), 1j])
def test_unsupported_type_is_rejected(value: object) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        message({"a": value})
