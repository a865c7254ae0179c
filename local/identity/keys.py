"""The RSA keys of the local cloud, and the ID tokens that are signed with one of them.

The users' tokens carry the claims of Identity Platform's; their issuer is the same whatever the ports are, because an
account's id is derived from it.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.files import write_atomically
from local.identity.oidc import private_key, thumbprint

ISSUER_PREFIX: Final = "https://securetoken.google.com/"
ID_TOKEN_LIFETIME_S: Final = 3600
KEY_BITS: Final = 2048


def ensure_key(path: Path) -> RSAPrivateKey:
    """The RSA private key in the PEM file `path`, made on first use and readable by its owner only."""
    if path.exists():
        return private_key(path)
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    write_atomically(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    return key


@dataclass(frozen=True)
class Signer:
    """Signs and checks tokens of one project with one key."""

    key: RSAPrivateKey
    project: str

    @classmethod
    def of(cls, directory: Path, project: str) -> Signer:
        """The signer of the identity server whose files are in `directory`; its key is made on first use."""
        return cls(ensure_key(directory / "key.pem"), project)

    @property
    def issuer(self) -> str:
        return ISSUER_PREFIX + self.project

    @property
    def kid(self) -> str:
        return thumbprint(self.key.public_key())

    def jwks(self) -> dict[str, Any]:
        """The public key as a JSON Web Key Set (RFC 7517)."""
        public = self.key.public_key().public_numbers()
        key = {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": self.kid,
            "n": _number(public.n),
            "e": _number(public.e),
        }
        return {"keys": [key]}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Any claims at all as a token with a good signature: tests forge expired, foreign and odd tokens with it."""
        return jwt.encode(dict(claims), self.key, algorithm="RS256", headers={"kid": self.kid})

    def id_token(
        self,
        sub: str,
        *,
        email: str | None = None,
        email_verified: bool = True,
        tenant: str | None = None,
        provider: str = "password",
        identities: Mapping[str, Any] | None = None,
        auth_time_s: int | None = None,
        lifetime_s: int = ID_TOKEN_LIFETIME_S,
        **more: Any,
    ) -> str:
        """An ID token with Identity Platform's claims; `more` adds claims or replaces them."""
        now_s = int(time.time())
        if identities is None:
            identities = {"email": [email]} if email else {}
        firebase: dict[str, Any] = {"identities": identities, "sign_in_provider": provider}
        if tenant:
            firebase["tenant"] = tenant
        claims: dict[str, Any] = {
            "iss": self.issuer,
            "aud": self.project,
            "auth_time": auth_time_s or now_s,
            "user_id": sub,
            "sub": sub,
            "iat": now_s,
            "exp": now_s + lifetime_s,
            "firebase": firebase,
        }
        if email:
            claims |= {"email": email, "email_verified": email_verified}
        return self.sign(claims | more)

    def verify(self, token: str, audience: str | None = None) -> dict[str, Any]:
        """The claims of a token of ours for `audience` (the project by default); raises jwt.InvalidTokenError."""
        return jwt.decode(
            token,
            self.key.public_key(),
            algorithms=["RS256"],
            audience=audience or self.project,
            issuer=self.issuer,
            options={"require": ["exp", "iat", "sub"]},
        )


def _number(value: int) -> str:
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def secret(path: Path, prefix: str = "") -> str:
    """A random secret kept in `path`, made on first use: `prefix` and the base64 of 24 random bytes."""
    if not path.exists():
        write_atomically(path, (prefix + base64.b64encode(os.urandom(24)).decode()).encode(), 0o600)
    return path.read_text().strip()
