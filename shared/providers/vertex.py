"""Access to Vertex AI as the function's service account: clients, access tokens and job labels."""

from __future__ import annotations

import asyncio
import base64
from functools import cached_property

import google.auth
from google import genai
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from google.genai import types
from google.oauth2.credentials import Credentials as FixedToken

from shared.platform.provider import Throttled
from shared.platform.settings import Settings
from shared.providers import errors

TOKEN_TIMEOUT_S = 8.0
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Vertex:
    """One Vertex AI project. Keep a reference to its clients: one that is garbage-collected during a call is closed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def client(self, location: str, options: types.HttpOptions) -> genai.Client:
        """A new client for one location. Project and location are passed explicitly, because the SDK ignores those of
        the environment when a base URL is set."""
        return genai.Client(
            enterprise=True,
            project=self._settings.vertex_project,
            location=location,
            credentials=self._credentials,
            http_options=options.model_copy(update={"base_url": self._settings.vertex_url or None}),
        )

    def uri(self, name: str) -> str:
        """The gs:// URI of an object in our bucket."""
        return f"gs://{self._settings.bucket}/{name}"

    async def authorize(self) -> None:
        """Ensure a token that stays valid during a create: google-auth renews it some minutes before it expires.

        Raises Throttled while no token is available, or GoogleAuthError if only an operator can fix that.
        """
        try:
            async with asyncio.timeout(TOKEN_TIMEOUT_S):
                await self.refresh()
        except (TransportError, TimeoutError) as error:
            raise Throttled(f"no access token: {error or 'timeout'}") from error
        except GoogleAuthError as error:
            if error.retryable:
                raise Throttled(f"no access token: {errors.readable(str(error))}") from error
            raise

    async def refresh(self) -> None:
        """Renew the token if needed. Raises GoogleAuthError."""
        await asyncio.to_thread(self._refresh)

    def _refresh(self) -> None:
        if not self._credentials.valid:
            self._credentials.refresh(Request())  # type: ignore[no-untyped-call]

    @cached_property
    def _credentials(self) -> Credentials:
        if self._settings.vertex_url and self._settings.vertex_token:
            return FixedToken(token=self._settings.vertex_token)  # type: ignore[no-untyped-call]
        credentials: Credentials = google.auth.default(scopes=[_SCOPE])[0]
        return credentials


def label(job_id: str) -> str:
    """The job's id as a label value: base32 of its UTF-8 bytes in lower case, without padding.

    Label values have at most 63 lower-case letters, digits, - and _, and two ids (28 characters) may differ only in
    case. Unlike a hash, this is reversible: an operator who finds an orphaned operation can identify its job.
    """
    return base64.b32encode(job_id.encode()).decode().rstrip("=").lower()
