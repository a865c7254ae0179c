"""Derived ids: the same for the same thing, another for any other, and possible as a document's id."""

from __future__ import annotations

from shared.core import storable
from shared.platform import ids


def test_same_parts_give_the_same_id_and_others_do_not() -> None:
    assert ids.derived("msg_", "a", "bc") == ids.derived("msg_", "a", "bc")
    others = [ids.derived("msg_", "ab", "c"), ids.derived("msg_", "abc"), ids.derived("msg_", "bc", "a")]
    assert len({ids.derived("msg_", "a", "bc"), *others}) == 4


def test_id_has_22_url_safe_characters_after_its_prefix() -> None:
    """Ids of stored documents: changing how they are derived would orphan every stored document."""
    assert ids.derived("project_", "default", "summer") == "project_9Ux-FdM0IdRLBpKqmTkkcQ"
    assert storable.id_problem(ids.derived("", "x")) is None
