"""The bodies that Google Cloud sends: Cloud Tasks and Pub/Sub."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from shared.api.bodies import Body
from shared.core import storable
from shared.core.storable import MAX_INTEGER


class StepBody(Body):
    """POST /tasks/step: the body of every task of a job."""

    job: Annotated[str, Field(pattern=r"^video_[A-Za-z0-9_-]{1,58}$")]
    step: Annotated[int, Field(ge=0, le=storable.MAX_INTEGER)]


class PushedMessage(BaseModel):
    attributes: dict[str, str] = Field(default_factory=dict)


class PushEnvelope(BaseModel):
    """A Pub/Sub push; only the message's attributes are read, which name the object."""

    message: PushedMessage


class DurableTaskBody(Body):
    """POST /tasks/webhook and /tasks/chore: the body of every task of a durable task."""

    id: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
    step: Annotated[int, Field(ge=0, le=MAX_INTEGER)]
