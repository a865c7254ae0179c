"""OIDC tokens as Google mints them for service accounts (Tasks, Scheduler, Pub/Sub push), from a local key."""

import base64
import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from shared.platform.caching import Cache

ISSUER: Final = "https://accounts.google.com"
LIFETIME_S: Final = 3600
# A cached token is handed out only while it still outlives the longest dispatch deadline (30 min).
REUSE_S: Final = 1500
CACHE_ENTRIES: Final = 256


def private_key(path: Path) -> RSAPrivateKey:
    """The RSA private key in a PEM file. Raises ValueError for any other kind of key."""
    key = load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError(f"{path} holds no RSA private key")
    return key


def public_key(path: Path) -> RSAPublicKey:
    """The RSA public key in a PEM file that holds either half. Raises ValueError for any other kind of key."""
    pem = path.read_bytes()
    if b"PRIVATE KEY" in pem:
        return private_key(path).public_key()
    key = load_pem_public_key(pem)
    if not isinstance(key, RSAPublicKey):
        raise ValueError(f"{path} holds no RSA key")
    return key


def thumbprint(key: RSAPublicKey) -> str:
    """The key's identifier as RFC 7638 defines it: base64url of the SHA-256 of its canonical JWK."""
    numbers = key.public_numbers()
    canonical = f'{{"e":"{_base64url_int(numbers.e)}","kty":"RSA","n":"{_base64url_int(numbers.n)}"}}'
    return base64.urlsafe_b64encode(hashlib.sha256(canonical.encode()).digest()).rstrip(b"=").decode()


class Minter:
    """Mints RS256 ID tokens for service accounts with one key; tokens are reused while they are fresh."""

    def __init__(self, key: RSAPrivateKey, kid: str | None = None) -> None:
        self._key = key
        self.kid = kid or thumbprint(key.public_key())
        self._cache: Cache[tuple[str, str], str] = Cache(CACHE_ENTRIES)

    @classmethod
    def from_file(cls, path: Path, kid: str | None = None) -> "Minter":
        """A minter with the RSA private key of a PEM file; without `kid` the key's RFC 7638 thumbprint names it."""
        return cls(private_key(path), kid)

    def token(self, email: str, audience: str) -> str:
        """A signed token for `email`, valid for `audience` for at least half an hour."""
        now = time.time()
        cached = self._cache.get((email, audience), datetime.fromtimestamp(now, UTC))
        if cached is not None:
            return cached
        token = self._mint(email, audience, int(now))
        self._cache.put((email, audience), token, datetime.fromtimestamp(now + REUSE_S, UTC))
        return token

    def _mint(self, email: str, audience: str, now_s: int) -> str:
        # Google's subject is a decimal account number; ours is derived so that it is the same after a restart.
        subject = str(int.from_bytes(hashlib.sha256(email.encode()).digest()[:8], "big"))
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "azp": subject,
            "sub": subject,
            "email": email,
            "email_verified": True,
            "iat": now_s,
            "exp": now_s + LIFETIME_S,
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self.kid})


def _base64url_int(value: int) -> str:
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
