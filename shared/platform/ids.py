"""Ids derived from what identifies a document, so that it is created only once. Pure."""

from __future__ import annotations

import base64
import hashlib

from shared.core import storable

CHARS = 22


def derived(prefix: str, *parts: str) -> str:
    """The prefix and 22 URL-safe characters, 132 bits of a digest of the parts; always a valid document id.

    Only the last part may contain a line break: line breaks separate the parts, so ("a", "bc") and ("ab", "c") differ.
    """
    named = "\n".join(parts)
    while True:
        digest = hashlib.sha256(named.encode()).digest()
        id_ = prefix + base64.urlsafe_b64encode(digest).decode()[:CHARS]
        # Without a prefix, one digest in 16 million starts and ends with two underscores, which Firestore reserves.
        if storable.id_problem(id_) is None:
            return id_
        named += "\n"
