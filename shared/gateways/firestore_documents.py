"""Converts stored documents to models, for Firestore and the in-memory store alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.core.documents import Document
from shared.platform import log

MAX_LOGGED = 10
D = TypeVar("D", bound=Document)


def decode(kind: type[D], id_: str, fields: Mapping[str, Any], revision: Any) -> D:
    """Build the model of a stored document. Raises ValidationError if an edit in the console made it invalid."""
    absent = dict.fromkeys(kind.absent_when_none)
    return kind.model_validate({**absent, **fields, "id": id_, "revision": revision})


def readable(kind: type[D], id_: str, fields: Mapping[str, Any], revision: Any) -> D | None:
    """Decode one document of a list. If it's invalid, log an error and return None, so that the others are returned."""
    try:
        return decode(kind, id_, fields, revision)
    except ValidationError as error:
        # Log no values: they may be user data.
        wrong = [
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_context=False, include_input=False)[:MAX_LOGGED]
        ]
        log.error("document_not_valid", collection=kind.collection, id=id_, error="; ".join(wrong))
        return None
