"""Identity Platform on a laptop: users, their ID tokens, the mail it sends, and Google's sign-in page.

Paths follow the convention of Firebase's Auth emulator, the service's host name as first segment, so that a page needs
only another base URL: /identitytoolkit.googleapis.com/v1/accounts:signUp and so on, each with `?key=` (any value).
Error bodies are the real API's. Where the emulator is kinder than the real service, this is not: users start
unverified, codes expire, a sign-in ends with its password, sign-ups are throttled, tenants have to exist.
"""

from typing import Final

HOST_PREFIX: Final = "/identitytoolkit.googleapis.com"
TOOLKIT: Final = f"{HOST_PREFIX}/v1"
STS: Final = "/securetoken.googleapis.com/v1"
GOOGLE: Final = "/accounts.google.com"
# Where a laptop's user finds the mail; its paths are the Auth emulator's.
MAILBOX: Final = "/emulator/v1/projects"
PREFIXES: Final = (HOST_PREFIX, STS.removesuffix("/v1"), GOOGLE, "/emulator")
# The client id of the stand-in for Google.
GOOGLE_CLIENT_ID: Final = "local.apps.googleusercontent.com"
