"""Composition root: builds the `Services` that handlers get, lazily and from the settings, in the cloud and locally."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from typing import Any, cast

from shared.platform import log
from shared.platform.identity import Verifier
from shared.platform.ports import ChangeFeed, Images, ObjectStore, PublicHttp, Services, TaskQueue, utc_now
from shared.platform.provider import Provider, Providers
from shared.platform.settings import Settings


class _Lazy:
    """Proxy for a gateway: imports its module and creates its client on first use."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make

    @cached_property
    def _gateway(self) -> object:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)


@cache
def services() -> Services:
    """The process's services. Created on first use, because this module is imported before the server forks."""
    from shared.gateways.firestore import GoogleFirestore
    from shared.gateways.live_settings import StoredLiveSettings

    settings = Settings.from_environ()
    log.configure(settings.log_level)
    store = GoogleFirestore(settings)
    objects = cast(ObjectStore, _Lazy(lambda: _objects(settings)))
    return Services(
        settings=settings,
        firestore=store,
        changes=cast(ChangeFeed, _Lazy(lambda: _changes(settings))),
        tasks=cast(TaskQueue, _Lazy(lambda: _tasks(settings))),
        objects=objects,
        providers=_providers(settings, objects),
        live_settings=StoredLiveSettings(settings, store, utc_now),
        verifier=cast(Verifier, _Lazy(lambda: _verifier(settings))),
        images=cast(Images, _Lazy(_images)),
        public_http=cast(PublicHttp, _Lazy(lambda: _public_http(settings))),
    )


def _verifier(settings: Settings) -> Verifier:
    from shared.gateways.id_tokens import JwksVerifier

    return JwksVerifier(settings, utc_now)


def _changes(settings: Settings) -> ChangeFeed:
    from shared.gateways.firestore_listen import FirestoreChangeFeed

    return FirestoreChangeFeed(settings)


def _tasks(settings: Settings) -> TaskQueue:
    from shared.gateways.cloud_tasks import CloudTasks

    return CloudTasks(settings)


def _objects(settings: Settings) -> ObjectStore:
    from shared.gateways.cloud_storage import CloudStorage

    return CloudStorage(settings, utc_now)


def _images() -> Images:
    from shared.media.image_workers import ImageWorkers

    return ImageWorkers()


def _public_http(settings: Settings) -> PublicHttp:
    from shared.gateways.public_http import GuardedHttp

    return GuardedHttp(settings.local_outbound)


def _providers(settings: Settings, objects: ObjectStore) -> Providers:
    def veo() -> Provider:
        from shared.providers.veo import Veo

        return Veo(settings)

    def vertex_omni() -> Provider:
        from shared.providers.vertex_omni import VertexOmni

        return VertexOmni(settings)

    def omni() -> Provider:
        from shared.providers.omni import Omni

        return Omni(settings, objects)

    configured = {}
    if settings.vertex_project:
        configured["vertex"] = cast(Provider, _Lazy(veo))
        configured["vertex-omni"] = cast(Provider, _Lazy(vertex_omni))
    if settings.gemini_api_key or settings.omni_offered:
        configured["gemini"] = cast(Provider, _Lazy(omni))
    return Providers(configured)
