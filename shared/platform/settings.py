"""Process settings, read once from the environment: where the services are, and how we identify ourselves to them.

Settings that an administrator can change at run time are in live_settings.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field

SECURETOKEN_ISSUER = "https://securetoken.google.com/"
SECURETOKEN_JWKS = "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"


class Settings(BaseModel):
    """One field per environment variable, which has the field's name in capitals."""

    model_config = ConfigDict(frozen=True)

    google_cloud_project: str = Field(description="Project of Firestore, Cloud Tasks and the bucket.")
    region: str = Field("us-central1", description="Region of the Cloud Tasks queues.")
    queue_suffix: str = Field("", description="Suffix of the queues' names in Cloud Tasks; not stored in documents.")
    bucket: str = Field(description="Bucket of the videos.")

    oidc_issuer: str = Field("", description="Issuer of users' ID tokens. Empty: Identity Platform of the project.")
    oidc_audience: str = Field("", description="Audience of users' ID tokens. Empty: the project.")
    oidc_jwks_url: str = Field("", description="Where the issuer's keys are. Empty: Identity Platform's.")

    poll_url: str = Field("", description="Root URL of the poll function, called by Cloud Tasks.")
    deliver_url: str = Field("", description="Root URL of the deliver function, called by Cloud Tasks.")
    tasks_service_account: str = Field("", description="Email in the OIDC tokens that Cloud Tasks sends.")
    cloud_tasks_emulator_host: str = Field("", description="host:port of a local Cloud Tasks server, without TLS.")

    signer_email: str = Field("", description="Service account that signs URLs. Empty: the function's own.")
    signer_key_file: str = Field("", description="PEM key that signs URLs on a laptop. Empty: IAM signBlob.")

    vertex_project: str = Field(
        "", description="Project whose Vertex AI generates Veo and Omni videos. Empty: neither."
    )
    vertex_location: str = Field("us-central1", description="Location of Veo on Vertex AI; Omni's is global.")
    vertex_url: str = Field("", description="Vertex AI's base URL, if it isn't Google's.")
    vertex_token: str = Field("", description="Fixed access token for vertex_url. Empty: the function's own identity.")
    gemini_api_key: str = Field(
        "", description="Key of the Gemini API, Omni's other provider besides Vertex AI. Empty: not configured."
    )
    omni_offered: bool = Field(
        False, description="Whether the Gemini API serves Omni, for functions that accept requests without its key."
    )
    gemini_url: str = Field("", description="The Gemini API's base URL, if it isn't Google's.")
    gemini_webhook_secret: str = Field("", description="Secret (whsec_...) of the Gemini API's static webhook.")

    default_models: str = Field(
        "veo-3.1-fast,omni-flash", description="Comma-separated; the first available one is the default model."
    )
    signup_credits: int = Field(
        0, ge=0, le=1_000_000_000, description="Credits of a new account, unless config/video says otherwise."
    )
    requests_per_minute: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="Requests of one user per minute and process, unless config/video says otherwise.",
    )
    studio_config: str = Field(
        "", description="config.json of the studio if history serves it. Empty: a bucket serves it."
    )
    local_outbound: bool = Field(
        False, description="On a laptop: also allow http URLs of this machine for webhooks and images."
    )
    allowed_origins: str = Field("", description="Comma-separated origins of pages that may call the API.")
    log_level: str = Field("INFO", description="Lowest severity that is logged.")

    @cached_property
    def database(self) -> str:
        """The Firestore database's resource name."""
        return f"projects/{self.google_cloud_project}/databases/(default)"

    @cached_property
    def issuer(self) -> str:
        return self.oidc_issuer or SECURETOKEN_ISSUER + self.google_cloud_project

    @cached_property
    def audience(self) -> str:
        return self.oidc_audience or self.google_cloud_project

    @cached_property
    def jwks_url(self) -> str:
        return self.oidc_jwks_url or SECURETOKEN_JWKS

    @cached_property
    def origins(self) -> frozenset[str]:
        return frozenset(_list(self.allowed_origins))

    @cached_property
    def model_preference(self) -> tuple[str, ...]:
        return tuple(_list(self.default_models))

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment. Raises pydantic.ValidationError naming what is missing or wrong."""
        return cls.model_validate({name: environ[name.upper()] for name in cls.model_fields if name.upper() in environ})


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
