"""Who may call the private functions: what Cloud Run's IAM check does before a request reaches the container."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import jwt

from local.identity.oidc import ISSUER, public_key

CLOCK_SKEW_S: Final = 5
# Cloud Run puts this in place of the token's signature: the function reads who called and can prove nothing with it.
SIGNATURE_REMOVED: Final = "SIGNATURE_REMOVED_BY_GOOGLE"


class Refused(Exception):  # noqa: N818 - reads as the state it names
    """401: no valid token. 403: a valid token of somebody who is not let in."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Admission:
    """Checks OIDC tokens of service accounts: signature, issuer, audience, expiry, then the e-mail."""

    def __init__(self, key_file: Path, audience: str, emails: Collection[str]) -> None:
        self._key = public_key(key_file)
        self._audience = audience
        self._emails = frozenset(emails)

    def admit(self, authorization: str) -> str:
        """The Authorization header that the function gets to see; raises Refused."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(401, "The request carries no OIDC token.")
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=["RS256"],
                audience=self._audience,
                issuer=ISSUER,
                leeway=CLOCK_SKEW_S,
                options={"require": ["exp", "iat", "aud", "iss"]},
            )
        except jwt.InvalidTokenError as error:
            raise Refused(401, f"The OIDC token is not valid: {error}.") from None
        if not claims.get("email_verified") or claims.get("email") not in self._emails:
            raise Refused(403, "The caller lacks the permission run.routes.invoke.")
        return "Bearer " + ".".join([*token.split(".")[:2], SIGNATURE_REMOVED])
