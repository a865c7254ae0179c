"""The bodies of requests and responses about the live settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from shared.api.bodies import Body, Response
from shared.core.documents import LiveSettings
from shared.core.live_config import OBSERVED

# Without observed values, such as expected times, which are stored in documents of their own.
FIELDS = {name: field for name, field in LiveSettings.model_fields.items() if name not in OBSERVED}
_TYPED: dict[str, Any] = {name: (field.annotation, field) for name, field in FIELDS.items()}
PutConfig: type[Body] = create_model(
    "PutConfig", __base__=Body, __doc__="PUT /v1/admin/config: everything that differs from the defaults.", **_TYPED
)


class ConfigView(Response):
    """The live settings. `stored` has what an administrator has set; everything else is as in `defaults`."""

    object: Literal["config"] = "config"
    values: LiveSettings
    defaults: LiveSettings
    stored: dict[str, Any]
    in_force_within_s: int
    etag: Annotated[str, Field(description="ETag of `stored`, to send as If-Match when replacing it.")]
