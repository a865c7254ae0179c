"""Ids derived from what identifies a thing, so that its document is created only once. Pure."""

from __future__ import annotations

import base64
import hashlib

from shared.core import storable

CHARS = 22


def derived(prefix: str, *parts: str) -> str:
    """The prefix and 22 url-safe characters, 132 bits of a digest of the parts; always possible as a document's id.

    Only the last part may contain a line break: lines are what keeps ("a", "bc") apart from ("ab", "c").
    """
    named = "\n".join(parts)
    while True:
        digest = hashlib.sha256(named.encode()).digest()
        id_ = prefix + base64.urlsafe_b64encode(digest).decode()[:CHARS]
        # Without a prefix, one digest in 16 million begins and ends with two underscores, which Firestore reserves.
        if storable.id_problem(id_) is None:
            return id_
        named += "\n"
