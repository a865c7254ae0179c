"""Which processes make up the local cloud, and what each knows of the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal

from local.files import write_json
from local.identity.keys import ensure_key, secret
from local.ports import HOST
from local.supervisor.firestore import Emulator
from local.supervisor.live_settings import preferred_providers, stand_in_times
from local.supervisor.process import Spec
from shared.api.routing import FUNCTIONS
from shared.core.catalog import MODELS

ROOT: Final = Path(__file__).resolve().parents[2]
PROJECT: Final = "rushes-local"
REGION: Final = "us-central1"
BUCKET: Final = "rushes-local-videos"
SIGNUP_CREDITS: Final = 500

Account = Literal["tasks", "scheduler", "pubsub", "signer"]
# How a child is known to answer: a path that it serves, a gRPC channel that opens, or merely that it runs.
Health = Literal["http", "grpc", "running"]

# Everything else of the caller's environment stays outside, above all proxies, which would catch calls to 127.0.0.1.
INHERITED: Final = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "JAVA_HOME", "LOG_LEVEL", "VIRTUAL_ENV")
# What calls to Google itself need, where a real provider is set up.
OUTWARD: Final = (
    "HTTPS_PROXY",
    "https_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_CONFIG",
)
EMBEDDED_SETTINGS: Final = (
    "GEMINI_API_KEY",
    "GEMINI_WEBHOOK_SECRET",
    "OMNI_PROVIDER",
    "DEFAULT_MODELS",
    "SIGNUP_CREDITS",
    "REQUESTS_PER_MINUTE",
    "REQUESTS_PER_MINUTE_PER_IP",
    "SIGN_UPS_PER_HOUR",
    "STARTS_PER_MINUTE",
)
PROVIDERS_PREFIX: Final = "PROVIDERS_"
# A Unix socket's path has at most 107 bytes; gunicorn adds the name of its own.
LONGEST_RUN_DIRECTORY: Final = 90

# Retries of a laptop: quicker than in the cloud, where nobody sits and waits. Deadlines live in the job, so no queue
# ever gives up by itself.
GENERATE_RETRY: Final = {"max_attempts": -1, "min_backoff_s": 2.0, "max_backoff_s": 60.0, "max_doublings": 5}
POLL_RETRY: Final = {"max_attempts": -1, "min_backoff_s": 1.0, "max_backoff_s": 30.0, "max_doublings": 5}
POLL_RATE: Final = {"max_dispatches_per_second": 500.0, "max_concurrent_dispatches": 1000}
# No more at once than the function takes: Cloud Run would refuse the rest, which slows the whole queue.
WEBHOOKS_RATE: Final = {"max_dispatches_per_second": 500.0, "max_concurrent_dispatches": 40}
MAX_CONCURRENT_CREATES: Final = 20


@dataclass(frozen=True)
class Member:
    """One process of the cloud. A `function` is started again when it dies; without any other part nothing works."""

    spec: Spec
    health: Health
    port: int = 0
    path: str = "/"
    function: bool = False

    @property
    def name(self) -> str:
        return self.spec.name


def email(account: Account) -> str:
    """The e-mail of one of the local cloud's service accounts."""
    return f"{account}@{PROJECT}.iam.gserviceaccount.com"


class Plan:
    """The processes of one cloud in one directory, on given ports."""

    SERVERS: Final = ("firestore", "storage", "tasks", "providers", "identity", *FUNCTIONS)

    def __init__(
        self,
        directory: Path,
        ports: Mapping[str, int],
        *,
        environ: Mapping[str, str] = os.environ,
        functions: Path = ROOT / "functions",
        sweep_every_s: float | None = None,
    ) -> None:
        """`ports` names one for each of SERVERS and for the gateway; `functions` holds NAME/main.py for each."""
        self.directory = directory
        self.ports = ports
        self._environ = environ
        self._functions = functions
        self._sweep_every_s = sweep_every_s

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"

    @property
    def gateway(self) -> str:
        return self.url("gateway")

    def members(self, emulator: Emulator, imported: Path | None) -> list[Member]:
        """All processes, in any order: they start independently, and only requests need the others."""
        return [
            Member(
                self._spec("firestore", *emulator.command(self.ports["firestore"], imported)),
                "http",
                self.ports["firestore"],
            ),
            self._server("storage", self._storage_options(), health="http"),
            self._server("tasks", self._tasks_options(), health="grpc"),
            self._server("providers", self._providers_options(), health="http", path="/_stats"),
            self._server("identity", self._identity_options(), path="/healthz"),
            *(self._function(name) for name in FUNCTIONS),
            Member(self._module("scheduler", *self._scheduler_options()), "running"),
            self._server("gateway", self._gateway_options(), path="/healthz"),
        ]

    def embedded(self) -> list[Member]:
        """The one process of the embedded form. It signs its own people in and writes the session itself."""
        port = self.ports["gateway"]
        given = {name: self._environ[name] for name in EMBEDDED_SETTINGS if name in self._environ}
        outward = self._outward() if "GEMINI_API_KEY" in given else {}
        options = ["--port", port, "--directory", self.directory, *self._sweep_options()]
        return [Member(self._module("embedded", *options, **given, **outward), "http", port, "/healthz")]

    def write_queues(self) -> Path:
        """The queues of Cloud Tasks as a file: one per model, paced to its quota, and those of our own functions.

        With STARTS_PER_MINUTE in the environment every model has that quota: tests don't wait for their turn.
        """
        given = self._environ.get("STARTS_PER_MINUTE")
        queues: list[dict[str, Any]] = [
            {
                "name": model.queue,
                "max_dispatches_per_second": int(given or model.quota_per_minute) / 60,
                "max_concurrent_dispatches": MAX_CONCURRENT_CREATES,
                **GENERATE_RETRY,
            }
            for model in MODELS.values()
        ]
        queues += [{"name": "poll", **POLL_RATE, **POLL_RETRY}, {"name": "webhooks", **WEBHOOKS_RATE, **POLL_RETRY}]
        path = self.directory / "queues.json"
        write_json(path, queues)
        return path

    @cached_property
    def oidc_key(self) -> Path:
        path = self.directory / "keys" / "oidc.pem"
        ensure_key(path)
        return path

    @cached_property
    def signer_key(self) -> Path:
        path = self.directory / "keys" / "signer.pem"
        ensure_key(path)
        return path

    @cached_property
    def webhook_secret(self) -> str:
        return secret(self.directory / "keys" / "webhook-secret", "whsec_")

    @property
    def expected_times(self) -> dict[str, float]:
        """Expected seconds of the stand-in's models; a real provider's are the catalog's."""
        real = {"vertex": "VERTEX_PROJECT", "vertex-omni": "VERTEX_PROJECT", "gemini": "GEMINI_API_KEY"}
        return stand_in_times(
            self._environ, frozenset(name for name, variable in real.items() if self._environ.get(variable))
        )

    @property
    def preferred_providers(self) -> dict[str, str]:
        return preferred_providers(self._environ)

    def function_environment(self) -> dict[str, str]:
        """The settings of the functions: where everything is, and whose models they use."""
        settings = {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "REGION": REGION,
            "FIRESTORE_EMULATOR_HOST": f"{HOST}:{self.ports['firestore']}",
            "CLOUD_TASKS_EMULATOR_HOST": f"{HOST}:{self.ports['tasks']}",
            "OIDC_ISSUER": f"https://securetoken.google.com/{PROJECT}",
            "OIDC_AUDIENCE": PROJECT,
            "OIDC_JWKS_URL": f"{self.url('identity')}/.well-known/jwks.json",
            "POLL_URL": self.gateway,
            "DELIVER_URL": self.gateway,
            "TASKS_SERVICE_ACCOUNT": email("tasks"),
            "LOCAL_OUTBOUND": "1",
            "SIGNUP_CREDITS": self._environ.get("SIGNUP_CREDITS", str(SIGNUP_CREDITS)),
            "ALLOWED_ORIGINS": f"{self.gateway},http://localhost:{self.ports['gateway']}",
        }
        passed = ("DEFAULT_MODELS", "REQUESTS_PER_MINUTE")
        settings |= {name: self._environ[name] for name in passed if self._environ.get(name)}
        return settings | self._storage() | self._vertex() | self._gemini()

    @property
    def bucket(self) -> str:
        """The bucket of the videos. Real Veo writes to a real one, which must be named then."""
        return self._environ.get("BUCKET", "") if self._environ.get("VERTEX_PROJECT") else BUCKET

    @property
    def _media_origin(self) -> str:
        return "https://storage.googleapis.com" if self._environ.get("VERTEX_PROJECT") else self.url("storage")

    def _storage(self) -> dict[str, str]:
        if self._environ.get("VERTEX_PROJECT"):
            return {"BUCKET": self.bucket, "SIGNER_EMAIL": self._environ.get("SIGNER_EMAIL", "")}
        return {
            "BUCKET": self.bucket,
            "STORAGE_EMULATOR_HOST": self.url("storage"),
            "SIGNER_EMAIL": email("signer"),
            "SIGNER_KEY_FILE": str(self.signer_key),
        }

    def _vertex(self) -> dict[str, str]:
        if not self._environ.get("VERTEX_PROJECT"):
            return {"VERTEX_PROJECT": PROJECT, "VERTEX_URL": self.url("providers"), "VERTEX_TOKEN": "local"}
        real = {name: self._environ[name] for name in ("VERTEX_PROJECT", "VERTEX_LOCATION") if name in self._environ}
        return real | self._outward()

    def _gemini(self) -> dict[str, str]:
        if not self._environ.get("GEMINI_API_KEY"):
            stand_in = {"GEMINI_API_KEY": "local", "GEMINI_URL": self.url("providers")}
            return {**stand_in, "GEMINI_WEBHOOK_SECRET": self.webhook_secret}
        names = ("GEMINI_API_KEY", "GEMINI_WEBHOOK_SECRET")
        return {name: self._environ[name] for name in names if name in self._environ} | self._outward()

    def _outward(self) -> dict[str, str]:
        passed = {name: self._environ[name] for name in OUTWARD if name in self._environ}
        return {**passed, "NO_PROXY": f"{HOST},localhost"}

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        quiet = {"PYTHONUNBUFFERED": "1", "GRPC_VERBOSITY": "ERROR", "GLOG_minloglevel": "2", "PYTHONPATH": str(ROOT)}
        return {name: self._environ[name] for name in INHERITED if name in self._environ} | quiet | dict(more)

    def _spec(self, name: str, *command: Any, **more: str) -> Spec:
        log = self.directory / "logs" / f"{name}.log"
        return Spec(name, tuple(map(str, command)), self._environment(more), ROOT, log)

    def _module(self, name: str, *options: Any, **more: str) -> Spec:
        tuning = {key: value for key, value in self._environ.items() if key.startswith(PROVIDERS_PREFIX)}
        return self._spec(name, sys.executable, "-m", f"local.{name}", *options, **tuning, **more)

    def _server(self, name: str, options: list[Any], *, health: Health = "http", path: str = "/") -> Member:
        port = self.ports[name]
        return Member(self._module(name, "--port", port, *options), health, port, path)

    def _function(self, name: str) -> Member:
        port = self.ports[name]
        program = Path(sys.executable).with_name("functions-framework")
        source = self._functions / name / "main.py"
        options = ("--target", name, "--source", source, "--host", HOST, "--port", port)
        # gunicorn keeps a control socket in this directory: one each, or they would fight over it.
        runtime = {"K_SERVICE": name, "XDG_RUNTIME_DIR": str(self._run_directory(name))}
        settings = self.function_environment()
        return Member(self._spec(name, program, *options, **settings, **runtime), "http", port, function=True)

    def _run_directory(self, name: str) -> Path:
        path = self.directory / "run" / name
        if len(str(path)) > LONGEST_RUN_DIRECTORY:
            path = Path("/tmp") / f"rushes-{os.getuid()}" / f"{self.ports[name]}"  # noqa: S108 - private below
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    def _storage_options(self) -> list[Any]:
        return [
            *("--directory", self.directory / "storage", "--bucket", BUCKET),
            *("--signer-key", self.signer_key, "--signer-email", email("signer")),
            *("--notify-url", f"{self.gateway}/tasks/object-finalized", "--notify-audience", self.gateway),
            *("--notify-email", email("pubsub"), "--oidc-key", self.oidc_key),
        ]

    def _tasks_options(self) -> list[Any]:
        return ["--queues", self.write_queues(), "--oidc-key", self.oidc_key]

    def _providers_options(self) -> list[Any]:
        hook = f"{self.gateway}/hooks/gemini"
        return ["--storage-url", self.url("storage"), "--webhook-url", hook, "--webhook-secret", self.webhook_secret]

    def _identity_options(self) -> list[Any]:
        sign_ups = self._environ.get("SIGN_UPS_PER_HOUR")
        options = ["--directory", self.directory / "identity", "--project", PROJECT]
        return [*options, *(("--sign-ups-per-hour", sign_ups) if sign_ups else ())]

    def _scheduler_options(self) -> list[Any]:
        target = ["--url", self.gateway, "--audience", self.gateway, "--email", email("scheduler")]
        return [*target, "--oidc-key", self.oidc_key, *self._sweep_options()]

    def _sweep_options(self) -> list[Any]:
        return ["--sweep-every", self._sweep_every_s] if self._sweep_every_s else []

    def _gateway_options(self) -> list[Any]:
        functions = [part for name in FUNCTIONS for part in (f"--{name}-url", self.url(name))]
        per_address = self._environ.get("REQUESTS_PER_MINUTE_PER_IP")
        admitted = [part for account in ("tasks", "scheduler", "pubsub") for part in ("--admit", email(account))]
        return [
            *("--web", ROOT / "web", *functions, "--identity-url", self.url("identity")),
            *("--media-origins", self._media_origin, "--oidc-key", self.oidc_key, "--audience", self.gateway),
            *admitted,
            *(("--requests-per-minute", per_address) if per_address else ()),
        ]
