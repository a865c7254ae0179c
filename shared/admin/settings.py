"""The live settings in the API: administrators can read and replace them here as well as in the Firestore console.

They apply to the whole installation. Administrators of every tenant may read them; only those of the default tenant,
who run the installation, may replace them, with the ETag of the version they replace.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, ClassVar

from pydantic import create_model

from shared.api.bodies import Body
from shared.api.settings import FIELDS, ConfigView
from shared.core import live_config
from shared.core.catalog import MODELS
from shared.core.documents import Document
from shared.core.errors import ApiError
from shared.core.live_config import OBSERVED
from shared.platform import accounts, audit, commits
from shared.platform.commits import Batch
from shared.platform.identity import DEFAULT_TENANT, Caller
from shared.platform.ports import Services

_STRONG_ETAG = re.compile(r'(?<!W/)"[^"]*"')


class _Stored(Document):
    """config/video. Fields that are None aren't stored; unknown stored fields are kept."""

    collection: ClassVar[str] = "config"
    absent_when_none: ClassVar[frozenset[str]] = frozenset(FIELDS)


# Any type, so that an invalid value written in the console can be read and replaced.
_ANY: dict[str, Any] = dict.fromkeys(FIELDS, (Any, None))
StoredFields: Any = create_model("StoredFields", __base__=_Stored, **_ANY)


async def get(services: Services) -> ConfigView:
    """Read the stored settings. Processes may use older ones for up to a minute."""
    return await _view(services, _fields(await services.firestore.get(StoredFields, "video")))


async def put(services: Services, caller: Caller, body: Body, if_match: str | None) -> ConfigView:
    """Replace config/video; fields missing from the body return to their defaults.

    `if_match` is the header: the ETag of the version to replace, or * for any. Raises ApiError FORBIDDEN,
    PRECONDITION_REQUIRED without the header, PRECONDITION_FAILED if another version is stored, or INVALID_REQUEST.
    """
    if caller.tenant != DEFAULT_TENANT:
        raise ApiError(
            "FORBIDDEN",
            "The live settings apply to every tenant; only administrators of the default tenant can change them.",
        )
    if if_match is None:
        raise ApiError("PRECONDITION_REQUIRED")
    wanted = _given(body.model_dump(exclude_unset=True))
    _check_prices(wanted)
    replaced = wanted

    async def changed(found: Any) -> Batch[Any] | None:
        nonlocal replaced
        before = _fields(found)
        if before == wanted:
            return None
        etag = etag_of(before)
        if not _matches(if_match, etag):
            raise ApiError("PRECONDITION_FAILED", details={"etag": etag})
        replaced = before
        cleared = found.changed(**dict.fromkeys(FIELDS)) if found is not None else StoredFields(id="video")
        return Batch(cleared.changed(**wanted), [await accounts.acting(services, caller)])

    if (await commits.edit(services, StoredFields, "video", changed)).written:
        audit.record("config_changed", caller, before=_differing(replaced, wanted), after=_differing(wanted, replaced))
    return await _view(services, wanted)


def _check_prices(wanted: dict[str, Any]) -> None:
    """Raises ApiError INVALID_REQUEST for a price of an unknown model, which would never apply."""
    names = [name.partition(" ")[0] for name in wanted.get("credits_per_second_by_model", {})]
    unknown = sorted(set(names) - set(MODELS))
    if unknown:
        message = f"Unknown model {unknown[0]}; prices can be set for {', '.join(MODELS)}."
        fields = [{"field": "credits_per_second_by_model", "message": message}]
        raise ApiError("INVALID_REQUEST", message, {"fields": fields})


def _fields(found: Document | None) -> dict[str, Any]:
    return _given(found.model_dump(include=set(FIELDS))) if found is not None else {}


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def etag_of(stored: dict[str, Any]) -> str:
    """A strong ETag of the stored values, the same in every process."""
    digest = hashlib.sha256(json.dumps(stored, sort_keys=True, default=str).encode()).hexdigest()
    return f'"{digest[:32]}"'


def _matches(if_match: str, etag: str) -> bool:
    """RFC 9110, 13.1.1: *, or a list that contains this strong ETag."""
    return if_match.strip() == "*" or etag in _STRONG_ETAG.findall(if_match)


def _differing(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if value != other.get(name)}


async def _view(services: Services, stored: dict[str, Any]) -> ConfigView:
    settings = services.settings
    defaults = live_config.defaults(settings.signup_credits, settings.requests_per_minute)
    in_force = await services.live_settings.get()
    whole = {**defaults.model_dump(), **stored, **in_force.model_dump(include=set(OBSERVED))}
    bad, _ = live_config.invalid(whole)
    values = live_config.merged(whole, bad, in_force)
    return ConfigView(
        values=values,
        defaults=defaults,
        stored=stored,
        in_force_within_s=int(live_config.KEPT_FOR.total_seconds()),
        etag=etag_of(stored),
    )
