"""V4 signatures of signed URLs (GOOG4-RSA-SHA256), verified as Cloud Storage does."""

import datetime
import hashlib
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from starlette.requests import Request

from local.storage import errors

ALGORITHM: Final = "GOOG4-RSA-SHA256"
MAX_EXPIRES_S: Final = 7 * 24 * 3600
CLOCK_SKEW_S: Final = 15 * 60


class Verifier:
    """Checks requests against one signer's public key; `email` None admits any name for that key."""

    def __init__(self, key: RSAPublicKey, email: str | None = None) -> None:
        self._key = key
        self._email = email

    def check(self, request: Request, now: datetime.datetime) -> None:
        """Raises 400 for a malformed or expired signature, 403 for a wrong one or one from the future.

        A second credential beside the signature is 401.
        """
        if "authorization" in request.headers:
            # Two credentials: a program that follows a redirect and keeps its own header gets nothing.
            raise errors.StorageError(401, "required", "AuthenticationRequired", "Authentication required.")
        pairs = parse_qsl(request.url.query, keep_blank_values=True)
        query = dict(pairs)
        if query.get("X-Goog-Algorithm") != ALGORITHM:
            raise _malformed("X-Goog-Algorithm")
        signed_at = _signed_at(query)
        email, _, scope = query.get("X-Goog-Credential", "").partition("/")
        date, *rest = scope.split("/")
        if len(rest) != 3 or rest[1:] != ["storage", "goog4_request"] or date != query["X-Goog-Date"][:8]:
            raise _malformed("X-Goog-Credential")
        _check_time(signed_at, _expires_s(query), now)
        canonical = _canonical_request(request, pairs, query.get("X-Goog-SignedHeaders", ""))
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = "\n".join([ALGORITHM, query["X-Goog-Date"], scope, digest])
        if self._email not in (None, email) or not self._is_signed(text, query.get("X-Goog-Signature", "")):
            raise _mismatch(text, canonical)

    def _is_signed(self, text: str, signature: str) -> bool:
        try:
            self._key.verify(bytes.fromhex(signature), text.encode(), PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


def _signed_at(query: dict[str, str]) -> datetime.datetime:
    try:
        moment = datetime.datetime.strptime(query.get("X-Goog-Date", ""), "%Y%m%dT%H%M%SZ")
    except ValueError:
        raise _malformed("X-Goog-Date") from None
    return moment.replace(tzinfo=datetime.UTC)


def _expires_s(query: dict[str, str]) -> int:
    text = query.get("X-Goog-Expires", "")
    if not text.isascii() or not text.isdigit() or int(text) > MAX_EXPIRES_S:
        raise _malformed("X-Goog-Expires")
    return int(text)


def _check_time(signed_at: datetime.datetime, expires_s: int, now: datetime.datetime) -> None:
    if signed_at > now + datetime.timedelta(seconds=CLOCK_SKEW_S):
        message = "The difference between the request time and the server's time is too large."
        raise errors.StorageError(403, "forbidden", "RequestTimeTooSkewed", message)
    expires_at = signed_at + datetime.timedelta(seconds=expires_s)
    if now > expires_at:
        details = f"The provided token has expired. Request signature expired at: {expires_at.isoformat()}"
        raise errors.StorageError(400, "invalid", "ExpiredToken", "Invalid argument.", details=details)


def _canonical_request(request: Request, pairs: list[tuple[str, str]], signed_headers: str) -> str:
    names = signed_headers.split(";")
    if "host" not in names or names != sorted(names):
        raise _malformed("X-Goog-SignedHeaders")
    unsigned = {name for name in request.headers if name.startswith("x-goog-")} - set(names)
    if unsigned:
        raise _malformed(min(unsigned), "Header was included in the request, but not in signedheaders.")
    lines = []
    for name in names:
        if name not in request.headers:
            raise _malformed(name, "Header was included in signedheaders, but not in the request.")
        values = [" ".join(value.split()) for value in request.headers.getlist(name)]
        lines.append(f"{name}:{','.join(values)}\n")
    encoded = [(_quoted(key), _quoted(value)) for key, value in pairs if key != "X-Goog-Signature"]
    return "\n".join(
        [
            request.method,
            quote(unquote(request.scope["raw_path"].decode("ascii")), safe="/~"),
            "&".join(f"{key}={value}" for key, value in sorted(encoded)),
            "".join(lines),
            signed_headers,
            request.headers.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD"),
        ]
    )


def _quoted(text: str) -> str:
    return quote(text, safe="~")


def _malformed(parameter: str, details: str = "") -> errors.StorageError:
    message = "Your request has a malformed header."
    return errors.StorageError(
        400, "invalid", "MalformedSecurityHeader", message, details=f"{parameter}: {details}".rstrip(": ")
    )


def _mismatch(text: str, canonical: str) -> errors.StorageError:
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your Google secret key and signing method."
    )
    # Like the real answer, it shows what was to be signed: that is how a wrong signer is found.
    details = f"StringToSign: {text}\nCanonicalRequest: {canonical}"
    return errors.StorageError(403, "forbidden", "SignatureDoesNotMatch", message, details=details)
