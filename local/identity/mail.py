"""The mail that Identity Platform sends: links with codes that work once and not forever.

Nothing leaves the laptop. The links are in the server's log and in its mailbox, a list as the Auth emulator's.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from local.files import read_json, write_json
from local.identity.errors import IdentityError
from local.identity.users import User

MODES: Final = {
    "VERIFY_EMAIL": "verifyEmail",
    "PASSWORD_RESET": "resetPassword",
    "RECOVER_EMAIL": "recoverEmail",
    "VERIFY_AND_CHANGE_EMAIL": "verifyAndChangeEmail",
}
HOUR_S: Final = 3600
LIFETIMES_S: Final = {"PASSWORD_RESET": HOUR_S}
LIFETIME_S: Final = 72 * HOUR_S
# The oldest make room.
KEPT: Final = 1_000


@dataclass(frozen=True)
class Mail:
    """One mail, sent to `to`. It is about the user's address `email`; a change makes that `new_email`."""

    code: str
    kind: str
    local_id: str
    tenant: str
    to: str
    email: str
    link: str
    sent_at_s: float
    new_email: str = ""
    used: bool = False

    @property
    def expired(self) -> bool:
        return time.time() >= self.sent_at_s + LIFETIMES_S.get(self.kind, LIFETIME_S)


@dataclass(frozen=True)
class Sender:
    """Where links lead, and what they carry: what a request for a mail says besides the user."""

    page: str
    api_key: str
    language: str = "en"
    continue_url: str = ""

    def link(self, kind: str, code: str, tenant: str) -> str:
        asked = {"mode": MODES[kind], "oobCode": code, "apiKey": self.api_key, "lang": self.language}
        asked |= {"continueUrl": self.continue_url} if self.continue_url else {}
        asked |= {"tenantId": tenant} if tenant else {}
        return f"{self.page}?{urlencode(asked)}"


class Mailbox:
    """All mail that was sent, on disk: codes outlive a restart."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        stored: list[dict[str, Any]] = read_json(path) or []
        self._mails = {mail.code: mail for mail in (Mail(**item) for item in stored)}

    def send(self, sender: Sender, kind: str, user: User, new_email: str = "") -> Mail:
        """Mail a code about the user's address: to the new one where it changes, else to the present one."""
        code = secrets.token_urlsafe(40)
        link = sender.link(kind, code, user.tenant)
        to = new_email if kind == "VERIFY_AND_CHANGE_EMAIL" else user.email
        mail = Mail(code, kind, user.local_id, user.tenant, to, user.email, link, time.time(), new_email)
        self._change(lambda: self._mails.update({code: mail}))
        print(f"No mail leaves this machine. {kind} for {to}: {link}", flush=True)
        return mail

    def open(self, code: str) -> Mail:
        """The mail of a code that is still good. Raises IdentityError."""
        if not code:
            raise IdentityError("MISSING_OOB_CODE")
        mail = self._mails.get(code)
        if mail is None or mail.used:
            raise IdentityError("INVALID_OOB_CODE")
        if mail.expired:
            raise IdentityError("EXPIRED_OOB_CODE")
        return mail

    def use(self, mail: Mail) -> None:
        """The code is good no more, nor are others of its kind for the same user."""

        def used() -> None:
            for code, other in list(self._mails.items()):
                if (other.local_id, other.kind) == (mail.local_id, mail.kind):
                    self._mails[code] = Mail(**{**asdict(other), "used": True})

        self._change(used)

    def unused(self, tenant: str) -> list[Mail]:
        """What can still be opened, the oldest first."""
        return [mail for mail in self._mails.values() if mail.tenant == tenant and not mail.used and not mail.expired]

    def _change(self, change: Callable[[], object]) -> None:
        with self._lock:
            change()
            self._mails = dict(list(self._mails.items())[-KEPT:])
            write_json(self._path, [asdict(mail) for mail in self._mails.values()])
