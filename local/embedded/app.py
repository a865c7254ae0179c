"""The embedded form: all of Rushes in one process, for machines without Java or Google's emulator.

The same handlers, page and API as everywhere, on gateways in memory: documents are saved to one file every other
second, videos are files from the start. What was under way goes on after a restart; a provider's generations do not,
as with the real stand-in.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import httpx2
import jwt
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from local.embedded.saved import SAVE_EVERY_S, STORAGE, SavedStore
from local.gateway.admission import Admission
from local.gateway.server import REQUESTS_PER_MINUTE, Gateway, under
from local.identity.keys import Signer, ensure_key, secret
from local.identity.oidc import Minter
from local.identity.server import create_app
from local.memory.generator import MediaBuckets, MemoryGenerator
from local.memory.live import MemoryChangeFeed
from local.memory.media import PATH as MEDIA_PATH
from local.memory.media import DiskFiles, MemoryObjectStore
from local.memory.queue import Dispatcher, MemoryTaskQueue, limits_of
from local.ports import HOST, KEEP_ALIVE_S
from local.providers.durations import Durations
from local.providers.engine import Engine
from local.providers.pool import RenderPool
from local.providers.webhooks import Webhooks
from local.scheduler import Scheduler, timetable
from local.storage.notify import Notifier
from local.supervisor.console import Console
from local.supervisor.live_settings import preferred_providers, stand_in_times
from local.supervisor.plan import BUCKET, PROJECT, ROOT, SIGNUP_CREDITS, email
from local.supervisor.session import ADMIN, DEVELOPER, OPERATOR, Person, SessionFile, fund, sign_in
from shared.accounts.auth import Accounts
from shared.accounts.chores import Chore
from shared.api.routing import FUNCTIONS, Function
from shared.core import lifecycle
from shared.core.documents import Account, Job
from shared.gateways.id_tokens import JwksVerifier
from shared.gateways.live_settings import StoredLiveSettings
from shared.gateways.public_http import GuardedHttp
from shared.http import routes
from shared.http.app import application
from shared.http.routes import ROUTES
from shared.media.image_workers import ImageWorkers
from shared.platform import durable_tasks
from shared.platform.ports import Services, utc_now
from shared.platform.provider import Provider, Providers
from shared.platform.settings import Settings
from shared.webhooks.deliveries import Delivery

GRACE_S: Final = 2
# An hour of jobs at any rate that one process can take.
RESUMED_JOBS: Final = 100_000
EVER: Final = datetime.max.replace(tzinfo=UTC)
SHORTEST_S, LONGEST_S = 11.0, 360.0


class LocalVerifier(JwksVerifier):
    """Knows the identity service's keys without asking for them."""

    def __init__(self, settings: Settings, signer: Signer) -> None:
        super().__init__(settings, utc_now)
        self._signer = signer

    def _fetch(self) -> dict[str, jwt.PyJWK]:
        return {key.key_id: key for key in jwt.PyJWKSet.from_dict(self._signer.jwks()).keys if key.key_id}


@dataclass(frozen=True)
class Place:
    """Where it runs: its directory, its address, and the environment that it was given."""

    directory: Path
    url: str
    environ: Mapping[str, str]

    @cached_property
    def oidc_key(self) -> Path:
        path = self.directory / "keys" / "oidc.pem"
        ensure_key(path)
        return path

    @property
    def webhook_secret(self) -> str:
        return secret(self.directory / "keys" / "webhook-secret", "whsec_")

    def settings(self) -> Settings:
        """Those of the local cloud, as far as they mean anything without its servers."""
        own = {"GEMINI_API_KEY": "local", "SIGNUP_CREDITS": str(SIGNUP_CREDITS)}
        passed = (*own, "DEFAULT_MODELS", "REQUESTS_PER_MINUTE", "LOG_LEVEL")
        given = {name: self.environ[name] for name in passed if self.environ.get(name)}
        port = self.url.rpartition(":")[2]
        return Settings.from_environ(
            {
                "GOOGLE_CLOUD_PROJECT": PROJECT,
                "BUCKET": BUCKET,
                "VERTEX_PROJECT": PROJECT,
                "LOCAL_OUTBOUND": "1",
                "GEMINI_WEBHOOK_SECRET": self.environ.get("GEMINI_WEBHOOK_SECRET") or self.webhook_secret,
                "ALLOWED_ORIGINS": f"{self.url},http://localhost:{port}",
                **own,
                **given,
            }
        )

    def durations(self) -> Durations:
        """How long the stand-in takes, from PROVIDERS_DISTRIBUTION, PROVIDERS_MIN_SECONDS and _MAX_SECONDS."""
        default = Durations()
        drawn = self.environ.get("PROVIDERS_DISTRIBUTION", default.distribution) == "lognormal"
        shortest_s = float(self.environ.get("PROVIDERS_MIN_SECONDS") or (SHORTEST_S if drawn else default.min_seconds))
        longest_s = float(self.environ.get("PROVIDERS_MAX_SECONDS") or (LONGEST_S if drawn else shortest_s))
        return Durations(shortest_s, max(shortest_s, longest_s), "lognormal" if drawn else "fixed")


class Embedded:
    """Every part, put together. Made on a running event loop."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._minter = Minter.from_file(place.oidc_key)
        self._signer = Signer.of(place.directory / "identity", PROJECT)
        self.saved = SavedStore(place.directory)
        real = frozenset({"gemini"}) if place.environ.get("GEMINI_API_KEY") else frozenset[str]()
        self.saved.store.edit_config("expected_times", stand_in_times(place.environ, real))
        if providers := preferred_providers(place.environ):
            self.saved.store.edit("config", "video", {"providers": providers})
        self._live = MemoryChangeFeed(self.saved.store)
        starts_per_minute = int(place.environ.get("STARTS_PER_MINUTE") or 0) or None
        self._queue = MemoryTaskQueue(limits=lambda queue: limits_of(queue, starts_per_minute))
        self._notifier = Notifier(
            f"{place.url}/tasks/object-finalized", lambda: self._minter.token(email("pubsub"), place.url)
        )
        self._media = MemoryObjectStore(
            BUCKET,
            DiskFiles(place.directory / STORAGE, BUCKET),
            public_url=place.url,
            secret=secret(place.directory / "keys" / "media-secret"),
            run=asyncio.to_thread,
            finalized=lambda record: self._notifier.finalized(record, None),
        )
        self._pool = RenderPool(cache=place.environ.get("PROVIDERS_CACHE") == "1")
        self._engine = Engine(self._pool.render, MediaBuckets(self._media), durations=place.durations())
        self._webhooks = Webhooks(self._engine, f"{place.url}/hooks/gemini", place.webhook_secret)
        self.services = self._services(place.settings())
        self._apps = {name: self._function(name) for name in FUNCTIONS}
        self._private = {route.path: self._client(route.function) for route in ROUTES if route.caller == "queue"}
        self._dispatcher = Dispatcher(self._queue, self._deliver)

    @cached_property
    def app(self) -> ASGIApp:
        """The gateway of the local cloud, and the signed URLs of our own bucket."""
        accounts = [email("tasks"), email("scheduler"), email("pubsub")]
        gateway = Gateway(
            self._apps,
            create_app(self._place.directory / "identity", PROJECT, self._sign_ups_per_hour),
            ROOT / "web",
            admission=Admission(self._place.oidc_key, self._place.url, accounts),
            requests_per_minute=int(self._place.environ.get("REQUESTS_PER_MINUTE_PER_IP") or REQUESTS_PER_MINUTE),
        )
        media = Starlette(routes=list(self._media.routes()))

        async def door(scope: Scope, receive: Receive, send: Send) -> None:
            is_media = scope["type"] == "http" and under(scope["path"], MEDIA_PATH)
            await (media if is_media else gateway)(scope, receive, send)

        return door

    @property
    def _sign_ups_per_hour(self) -> int | None:
        given = self._place.environ.get("SIGN_UPS_PER_HOUR")
        return int(given) if given else None

    async def people(self) -> tuple[Person, Person, Person]:
        """The developer, the administrator and the operator, all signed in; made on the first start."""
        keys, url = self._place.directory / "keys", self._place.url
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self.app)) as client:
            developer = await sign_in(client, url, self._signer, keys, DEVELOPER)
            admin = await sign_in(client, url, self._signer, keys, ADMIN)
            operator = await sign_in(client, url, self._signer, keys, OPERATOR)
            for person, role in ((admin, "admin"), (operator, "operator")):
                caller = await Accounts().caller(self.services, f"Bearer {person.token}")
                self.saved.store.edit(Account.collection, caller.account, {"role": role})
            await fund(client, url, operator)
        return developer, admin, operator

    async def resume(self) -> None:
        """The queue isn't saved: the documents of jobs and durable tasks that are still due hold their tasks."""
        for job in await self.saved.store.due(Job, EVER, None, RESUMED_JOBS):
            await self._queue.create(lifecycle.current_task(job))
        for kind in (Chore, Delivery):
            for durable_task in await self.saved.store.due(kind, EVER, None, RESUMED_JOBS):
                await self._queue.create(durable_tasks.task(durable_task))

    async def run(self, sweep_every_s: float) -> None:
        """What goes on beside the requests. Never returns; ends by cancellation."""
        scheduler = Scheduler(self._minter, email("scheduler"), self._place.url)
        jobs = timetable(self._place.url, sweep_every_s)
        async with self._notifier:
            await asyncio.gather(self._dispatcher.run(), scheduler.run(jobs), self.saved.keep_saving())

    async def stop_generating(self) -> None:
        """End the generations under way: first of all, because what they write is announced."""
        await self._engine.close()

    async def close(self) -> None:
        """Stop the rest, and save."""
        await self._webhooks.close()
        for client in self._private.values():
            await client.aclose()
        self._pool.close()
        await self.saved.save()

    def _services(self, settings: Settings) -> Services:
        store = self.saved.store
        return Services(
            settings=settings,
            firestore=store,
            changes=self._live,
            tasks=self._queue,
            objects=self._media,
            providers=Providers(self._generators(settings)),
            live_settings=StoredLiveSettings(settings, store, utc_now),
            verifier=LocalVerifier(settings, self._signer),
            images=ImageWorkers(),
            public_http=GuardedHttp(settings.local_outbound),
        )

    def _generators(self, settings: Settings) -> dict[str, Provider]:
        gemini: Provider = MemoryGenerator(
            "gemini", self._engine, self._media, lambda generation, name: self._webhooks.watch(generation, name, (), {})
        )
        if self._place.environ.get("GEMINI_API_KEY"):
            from shared.providers.omni import Omni

            gemini = Omni(settings, self._media)
        # Vertex AI writes to a bucket of Google's, which the embedded form doesn't have: it is always the stand-in.
        return {
            "vertex": MemoryGenerator("vertex", self._engine, self._media),
            "vertex-omni": MemoryGenerator("vertex-omni", self._engine, self._media),
            "gemini": gemini,
        }

    def _function(self, name: Function) -> ASGIApp:
        main = importlib.import_module(f"functions.{name}.main")
        return application(routes.of(name), main.HANDLERS, lambda: self.services)

    def _client(self, name: Function) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(app=self._apps[name]), base_url=self._place.url)

    async def _deliver(self, path: str, body: Mapping[str, Any]) -> int:
        return (await self._private[path].post(path, json=dict(body))).status_code


async def serve(directory: Path, listener: socket.socket, sweep_every_s: float, environ: Mapping[str, str]) -> None:
    """Everything, until SIGTERM or SIGINT."""
    url = f"http://{HOST}:{listener.getsockname()[1]}"
    embedded = Embedded(Place(directory, url, environ))
    session = SessionFile(directory)
    config = uvicorn.Config(
        embedded.app,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = uvicorn.Server(config)
    working: asyncio.Future[None] | None = None
    try:
        developer, admin, operator = await embedded.people()
        await embedded.resume()
        serving = asyncio.ensure_future(server.serve(sockets=[listener]))
        working = asyncio.ensure_future(embedded.run(sweep_every_s))
        session.write(url, PROJECT, developer, admin, operator, embedded=True)
        _welcome(url, directory)
        await asyncio.wait({serving, working}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving
        if working.done():
            working.result()
    finally:
        session.remove()
        await embedded.stop_generating()
        if working is not None:
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working
        await embedded.close()


def _welcome(url: str, directory: Path) -> None:
    console = Console()
    lost = f"if it is killed, at most the last {SAVE_EVERY_S:.0f} s are lost"
    console.notice(f"Embedded: one process, its data in {directory}; {lost}.")
    console.address(url)
