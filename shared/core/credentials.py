"""What a Bearer token looks like: an API key, an ID token, or neither. Pure."""

from __future__ import annotations

import re

PREFIX = "rk_"
KEY_CHARS = 43
KEY = re.compile(rf"rk_[A-Za-z0-9_-]{{{KEY_CHARS}}}")
# Prefixes of other services' keys that people commonly have.
_FOREIGN = ("sk-", "sk_", "pk_", "AIza", "ya29.", "hf_", "ghp_", "r8_")


def mistake(token: str) -> str | None:
    """What is wrong with a bearer token that is neither an API key nor an ID token; never includes the token."""
    if KEY.fullmatch(token):
        return None
    if token.startswith(PREFIX):
        return (
            f"This is not a whole API key: {PREFIX} is followed by {KEY_CHARS} letters, digits, hyphens and "
            f"underscores, here by {len(token) - len(PREFIX):,} characters. Copy it again."
        )
    if token.startswith(_FOREIGN):
        return f"This looks like a key of another service: this API's keys begin with {PREFIX}."
    if token.count(".") != 2:
        return f"The Bearer token is neither an API key ({PREFIX} and {KEY_CHARS} characters) nor an ID token (a JWT)."
    return None
