"""Access to Vertex AI, as the function's own service account: its clients, its tokens, and how a job is labeled."""

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
    """One project of Vertex AI. Keep the clients: a temporary one may be collected, and closed, under its own call."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def client(self, location: str, options: types.HttpOptions) -> genai.Client:
        """A new client of one location. Project and location are arguments: the SDK drops those of the environment
        where it's given another base URL."""
        return genai.Client(
            enterprise=True,
            project=self._settings.vertex_project,
            location=location,
            credentials=self._credentials,
            http_options=options.model_copy(update={"base_url": self._settings.vertex_url or None}),
        )

    def uri(self, name: str) -> str:
        """Where Vertex AI reads or writes an object of our bucket."""
        return f"gs://{self._settings.bucket}/{name}"

    async def authorize(self) -> None:
        """Have a token that outlives a create: google-auth takes one for expired some minutes before it is.

        Raises Busy while no token is to be had; a GoogleAuthError where only an operator can change that.
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
        """Have a valid token. Raises GoogleAuthError."""
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
    """The job's id as the value of a label: base32 of its UTF-8 bytes in lower case, without padding.

    Values of labels have at most 63 lower-case letters, digits, - and _, and two ids may differ in case alone. Unlike
    a hash, this can be turned back: an operator who finds an orphaned operation can name its job. Ids have 28
    characters.
    """
    return base64.b32encode(job_id.encode()).decode().rstrip("=").lower()
