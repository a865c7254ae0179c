"""The one place where the gateways are put together.

In the cloud and on the laptop the `Services` that handlers get are built lazily, from the settings.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property
from typing import Any, cast

from shared.platform import log
from shared.platform.identity import Verifier
from shared.platform.ports import Images, Live, Media, Outbound, Queue, Services, utc_now
from shared.platform.provider import Generator, Generators
from shared.platform.settings import Settings


class _Lazy:
    """Stands for a gateway whose module is imported, and whose client is made, when it is first used."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make

    @cached_property
    def _gateway(self) -> object:
        return self._make()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gateway, name)


@cache
def services() -> Services:
    """The process's services, made on first use: the module is imported before the server forks."""
    from shared.gateways.firestore import FirestoreStore
    from shared.gateways.live_settings import StoredConfig

    settings = Settings.from_environ()
    log.configure(settings.log_level)
    store = FirestoreStore(settings)
    media = cast(Media, _Lazy(lambda: _media(settings)))
    return Services(
        settings=settings,
        store=store,
        live=cast(Live, _Lazy(lambda: _live(settings))),
        queue=cast(Queue, _Lazy(lambda: _queue(settings))),
        media=media,
        generators=_generators(settings, media),
        config=StoredConfig(settings, store, utc_now),
        verifier=cast(Verifier, _Lazy(lambda: _verifier(settings))),
        images=cast(Images, _Lazy(_images)),
        outbound=cast(Outbound, _Lazy(lambda: _outbound(settings))),
    )


def _verifier(settings: Settings) -> Verifier:
    from shared.gateways.id_tokens import JwksVerifier

    return JwksVerifier(settings, utc_now)


def _live(settings: Settings) -> Live:
    from shared.gateways.firestore_listen import FirestoreLive

    return FirestoreLive(settings)


def _queue(settings: Settings) -> Queue:
    from shared.gateways.cloud_tasks import CloudTasks

    return CloudTasks(settings)


def _media(settings: Settings) -> Media:
    from shared.gateways.cloud_storage import CloudStorage

    return CloudStorage(settings, utc_now)


def _images() -> Images:
    from shared.media.image_workers import ImageWorkers

    return ImageWorkers()


def _outbound(settings: Settings) -> Outbound:
    from shared.gateways.public_http import Internet

    return Internet(settings.local_outbound)


def _generators(settings: Settings, media: Media) -> Generators:
    def veo() -> Generator:
        from shared.providers.veo import Veo

        return Veo(settings)

    def vertex_omni() -> Generator:
        from shared.providers.vertex_omni import VertexOmni

        return VertexOmni(settings)

    def omni() -> Generator:
        from shared.providers.omni import Omni

        return Omni(settings, media)

    configured = {}
    if settings.vertex_project:
        configured["vertex"] = cast(Generator, _Lazy(veo))
        configured["vertex-omni"] = cast(Generator, _Lazy(vertex_omni))
    if settings.gemini_api_key or settings.omni_offered:
        configured["gemini"] = cast(Generator, _Lazy(omni))
    return Generators(configured)
