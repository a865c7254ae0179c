"""The bodies of requests and responses about webhook endpoints and deliveries."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field
from typing_extensions import TypeAliasType

from shared.api.bodies import Body, Listed, Page, PageQuery, Response, UnixSeconds
from shared.core import url_policy
from shared.core.documents import ONE_LINE

# A star means every event, including those of later versions.
WebhookEvent = TypeAliasType("WebhookEvent", Literal["*", "video.completed", "video.failed", "video.canceled"])
ALL_EVENTS: tuple[WebhookEvent, ...] = ("video.completed", "video.failed", "video.canceled")
EVERY_EVENT: tuple[WebhookEvent, ...] = ("*",)
Events = Annotated[tuple[WebhookEvent, ...], Field(min_length=1, max_length=len(ALL_EVENTS) + 1, fail_fast=True)]
Url = Annotated[str, Field(min_length=1, max_length=url_policy.MAX_URL_CHARS, description="An https URL.")]
Description = Annotated[str | None, Field(min_length=1, max_length=200, pattern=ONE_LINE)]


class NewWebhookEndpoint(Body):
    """POST /v1/webhook-endpoints."""

    url: Url
    events: Annotated[Events, Field(description='`["*"]` for all, those to come too. Left out: all there are.')] = (
        ALL_EVENTS
    )
    description: Description = None


class UpdateWebhookEndpoint(Body):
    """PATCH /v1/webhook-endpoints/{id}: omitted fields are unchanged, and null removes the description."""

    null_removes: ClassVar[frozenset[str]] = frozenset({"description"})

    url: Url | None = None
    events: Events = ALL_EVENTS
    description: Description = None
    disabled: Annotated[bool, Field(description="A disabled endpoint receives no messages, not even later.")] = False


class WebhookEndpointView(Response):
    """`disabled_reason` says why we disabled it.

    An endpoint that has failed five times in a row is paused: `failing_since` is when the failures started, and
    `paused_until` is when we will send one message to check whether it works again.
    """

    id: str
    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    url: str
    events: list[WebhookEvent]
    description: str | None
    disabled: bool
    disabled_reason: str | None
    failing_since: UnixSeconds | None
    paused_until: UnixSeconds | None
    created_at: UnixSeconds
    updated_at: UnixSeconds


class WebhookEndpointWithSecret(WebhookEndpointView):
    """A new endpoint, or one with a new secret: only these responses contain the secret."""

    secret: str


class WebhookEndpointList(Response):
    object: Literal["list"] = "list"
    data: list[WebhookEndpointView]


class DeletedWebhookEndpoint(Response):
    id: str
    object: Literal["webhook_endpoint.deleted"] = "webhook_endpoint.deleted"
    deleted: Literal[True] = True


class WebhookSecretView(Response):
    """The account's secret. After a rotation the previous one also signs until `previous_expires_at`."""

    object: Literal["webhook_secret"] = "webhook_secret"
    secret: str
    previous_expires_at: UnixSeconds | None


DELIVERY_ID = r"^msg_[A-Za-z0-9_-]{22}$"
DeliveryStatus = TypeAliasType("DeliveryStatus", Literal["pending", "delivered", "failed"])


class ListDeliveriesQuery(PageQuery):
    """GET .../deliveries."""

    after: Annotated[str | None, Field(pattern=DELIVERY_ID, description="The `last_id` of the previous page.")] = None


class DeliveryView(Listed):
    """`id` is the message's `webhook-id`. `last_status` and `last_error` are of the last attempt."""

    id: str
    object: Literal["webhook_delivery"] = "webhook_delivery"
    webhook_endpoint: str | None
    video: str | None
    event: str
    status: DeliveryStatus
    tries: int
    last_status: int | None
    last_error: str | None
    created_at: UnixSeconds
    delivered_at: UnixSeconds | None
    redelivered_at: Annotated[UnixSeconds | None, Field(description="When it was last redelivered.")]


class DeliveryPage(Page[DeliveryView]):
    pass
