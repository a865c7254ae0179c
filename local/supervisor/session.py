"""The users signed in when the cloud is up, and the session file for scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from local.files import read_json, write_json
from local.identity import MAILBOX, TOOLKIT
from local.identity.keys import Signer, secret

TOKEN_LIFETIME_S: Final = 12 * 3600
DEVELOPER: Final = "developer@example.com"
ADMIN: Final = "admin@example.com"
OPERATOR: Final = "operator@example.com"
# What the laptop's operator grants to its tenant on the first start, in credits.
BUDGET: Final = 10_000_000
CALL_TIMEOUT_S: Final = 30.0
LOOK_EVERY_S: Final = 0.05
# The emulator's word for somebody whom its security rules do not bind.
CONSOLE: Final = {"Authorization": "Bearer owner"}


class NotSignedIn(Exception):  # noqa: N818 - reads as the state it names
    """The API or the identity service did not answer as it must; the message says which and what."""


@dataclass(frozen=True)
class Person:
    """A ready-made user: `token` is an ID token that lives for 12 h."""

    local_id: str
    email: str
    password: str
    token: str


async def sign_in(client: httpx2.AsyncClient, url: str, signer: Signer, passwords: Path, email: str) -> Person:
    """The user of that address, signed up on the first start with a random password and verified by mail."""
    password = secret(passwords / f"{email}.password")
    body = {"email": email, "password": password, "returnSecureToken": True}
    answer = await _call(client, url, "signInWithPassword", body)
    if answer.status_code == httpx2.codes.BAD_REQUEST:
        answer = await _call(client, url, "signUp", body)
    user = _body(answer, "the identity service")
    await _verify(client, url, signer.project, user)
    local_id = user["localId"]
    return Person(local_id, email, password, signer.id_token(local_id, email=email, lifetime_s=TOKEN_LIFETIME_S))


async def _verify(client: httpx2.AsyncClient, url: str, project: str, user: dict[str, Any]) -> None:
    """Have a verification email sent, unless the address is verified already, and do what its link does."""
    token = {"idToken": user["idToken"]}
    known = _body(await _call(client, url, "lookup", token), "the identity service")["users"][0]
    if known["emailVerified"]:
        return
    _body(await _call(client, url, "sendOobCode", {"requestType": "VERIFY_EMAIL", **token}), "the identity service")
    mails = _body(await client.get(f"{url}{MAILBOX}/{project}/oobCodes"), "the mailbox")["oobCodes"]
    code = next(mail["oobCode"] for mail in reversed(mails) if mail["email"] == known["email"])
    _body(await _call(client, url, "update", {"oobCode": code}), "the identity service")


async def _call(client: httpx2.AsyncClient, url: str, name: str, body: dict[str, Any]) -> httpx2.Response:
    return await client.post(f"{url}{TOOLKIT}/accounts:{name}?key=local", json=body)


async def give_role(
    client: httpx2.AsyncClient, url: str, firestore: str, project: str, person: Person, role: str
) -> None:
    """Give this person's account a role, as you do in the Firestore console."""
    account = await _account(client, firestore, project, person)
    if account is None:
        # The first request of a user makes the account.
        bearer = {"Authorization": f"Bearer {person.token}"}
        made = await client.post(f"{url}/v1/videos/estimate", headers=bearer, json={"prompt": "the first look"})
        _body(made, "POST /v1/videos/estimate")
        account = await _account(client, firestore, project, person)
        if account is None:
            raise NotSignedIn("the first request of a user made no account")
    wanted = {"stringValue": role}
    if account["fields"].get("role") == wanted:
        return
    mask = {"updateMask.fieldPaths": "role", "currentDocument.exists": "true"}
    document = f"{firestore}/v1/{account['name']}"
    answer = await client.patch(document, params=mask, headers=CONSOLE, json={"fields": {"role": wanted}})
    _body(answer, "the Firestore emulator")


async def fund(client: httpx2.AsyncClient, url: str, operator: Person) -> None:
    """The operator grants the laptop's tenant what its administrator may give: once, however often it starts."""
    headers = {"Authorization": f"Bearer {operator.token}", "Idempotency-Key": "first-budget"}
    body = {"amount": BUDGET, "description": "The first budget of a laptop"}
    answer = await client.post(f"{url}/v1/operator/tenants/default/grants", headers=headers, json=body)
    _body(answer, "POST /v1/operator/tenants/default/grants")


async def _account(client: httpx2.AsyncClient, firestore: str, project: str, person: Person) -> dict[str, Any] | None:
    """The account document of this person as Firestore's REST API shows it, or None."""
    subject = {"field": {"fieldPath": "sub"}, "op": "EQUAL", "value": {"stringValue": person.local_id}}
    query = {"from": [{"collectionId": "accounts"}], "where": {"fieldFilter": subject}, "limit": 1}
    documents = f"{firestore}/v1/projects/{project}/databases/(default)/documents"
    answer = await client.post(f"{documents}:runQuery", headers=CONSOLE, json={"structuredQuery": query})
    found: list[dict[str, Any]] = _body(answer, "the Firestore emulator")
    return next((row["document"] for row in found if "document" in row), None)


def _body(answer: httpx2.Response, who: str) -> Any:
    if answer.is_error:
        raise NotSignedIn(f"{who} answered {answer.status_code}: {answer.text[:500]}")
    return answer.json()


class SessionFile:
    """`session.json`, readable by its owner only: it holds tokens. It is there exactly while the cloud is up."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "session.json"

    def write(self, url: str, project: str, developer: Person, admin: Person, operator: Person, **where: Any) -> None:
        people = {person.email: person.password for person in (developer, admin, operator)}
        tokens = {"token": developer.token, "admin_token": admin.token, "operator_token": operator.token}
        write_json(self._path, {"url": url, **tokens, "project": project, **where, "passwords": people}, 0o600)

    def read(self) -> Mapping[str, Any] | None:
        session: Mapping[str, Any] | None = read_json(self._path)
        return session

    async def written(self) -> None:
        """Returns once the file is there."""
        while self.read() is None:  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(LOOK_EVERY_S)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
