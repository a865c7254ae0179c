"""Who may do what: every route of the table by every kind of caller, on a running cloud.

A new route needs its row in TABLE: the rule that says who is let in, what is sent, and the status that somebody who is
let in is answered with. The request should change nothing that other callers need; where it must, a thing whose name
begins with "new" is made for each of those who are let in, or a new user stands in for them.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import Any
from unittest import mock

import jwt
import pytest
from google.cloud import firestore

from local.embedded.saved import SavedStore
from local.identity.keys import Signer
from local.identity.oidc import Minter
from local.supervisor.plan import PROJECT, email
from shared.api.routing import Route
from shared.core.documents import Account
from shared.http.routes import ROUTES
from shared.platform.identity import Identity
from testing.cloud import Cloud, User

OTHER_TENANT = "studio-7"

# Callers without credentials; and the queue, which the public functions don't know.
NOBODY = (
    "nobody",
    "garbage",
    "expired token",
    "token for another audience",
    "token of another issuer",
    "unsigned token",
    "token signed with another key",
    "expired service account",
    "unknown key",
    "revoked key",
)
QUEUE = "queue"
DISABLED = ("disabled user", "key of the disabled user")
KEYS = ("read-only key", "write key", "administrator's key")
# The owner comes last: what he does to what is his must not be why the others fail.
PERSONS = ("other user", "other tenant", "other tenant's admin", "admin", "operator", *KEYS, "user")
CALLERS = (*NOBODY, QUEUE, *DISABLED, *PERSONS)


class Rule(Enum):
    """Who is let in."""

    SELF = auto()  # every user, to what is his own
    SELF_BY_TOKEN = auto()  # the same, but with no key
    OWNER = auto()  # the owner of the thing that is named; to others it does not exist
    OWNER_BY_TOKEN = auto()
    TENANT = auto()  # every user of the thing's tenant
    ADMIN = auto()  # administrators, to what is their tenant's
    TENANTS_ADMIN = auto()  # administrators of the thing's tenant
    INSTALLATION = auto()  # administrators of the default tenant
    OPERATOR = auto()  # operators, to every tenant
    MACHINE = auto()  # service accounts of the cloud
    SIGNER = auto()  # who signs the body


@dataclass(frozen=True)
class Row:
    """`let_in` is the status for those who are let in; `thing` names what stands for the path's parameter.

    {caller} in a header stands for who sends it.

    `stand_in`: a new user is sent instead of each who is let in, for what one does only once.
    """

    rule: Rule
    let_in: int
    thing: str = ""
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    stand_in: bool = False


TABLE: dict[str, Row] = {
    "create_video": Row(Rule.SELF, 400, body={}),
    "extend_video": Row(Rule.SELF, 400, body={}),
    "edit_video": Row(Rule.SELF, 400, body={}),
    "remix_video": Row(Rule.OWNER, 400, "canceled video", body={"prompt": "p"}),
    "estimate_video": Row(Rule.SELF, 400, body={}),
    "cancel_video": Row(Rule.OWNER, 409, "canceled video"),
    "estimate_cancel": Row(Rule.OWNER, 409, "canceled video"),
    "gemini_event": Row(Rule.SIGNER, 204, body={}),
    "video_content": Row(Rule.OWNER, 409, "canceled video"),
    "video_events": Row(Rule.OWNER, 200, "canceled video"),
    "account_events": Row(Rule.SELF, 200),
    "list_videos": Row(Rule.SELF, 200),
    "get_video": Row(Rule.OWNER, 200, "canceled video"),
    "delete_video": Row(Rule.OWNER, 409, "unfinished video"),
    "get_receipt": Row(Rule.OWNER, 200, "idempotency key"),
    "get_account": Row(Rule.SELF, 200),
    "update_account": Row(Rule.SELF, 200, body={}),
    "export_account": Row(Rule.SELF, 202),
    "get_export": Row(Rule.OWNER, 200, "export"),
    "delete_account": Row(Rule.SELF_BY_TOKEN, 202, stand_in=True),
    "create_webhook_endpoint": Row(Rule.SELF, 400, body={}),
    "list_webhook_endpoints": Row(Rule.SELF, 200),
    "get_webhook_endpoint": Row(Rule.OWNER, 200, "endpoint"),
    "update_webhook_endpoint": Row(Rule.OWNER, 200, "endpoint", body={}),
    "delete_webhook_endpoint": Row(Rule.OWNER, 200, "new endpoint"),
    "rotate_webhook_endpoint": Row(Rule.OWNER, 200, "endpoint"),
    "ping_webhook_endpoint": Row(Rule.OWNER, 202, "endpoint"),
    "list_endpoint_deliveries": Row(Rule.OWNER, 200, "endpoint"),
    "redeliver_webhook": Row(Rule.OWNER, 400, "ping"),
    "list_video_deliveries": Row(Rule.OWNER, 200, "canceled video"),
    "get_webhook_secret": Row(Rule.SELF_BY_TOKEN, 200),
    "rotate_webhook_secret": Row(Rule.SELF_BY_TOKEN, 200),
    "list_transactions": Row(Rule.SELF, 200),
    "list_models": Row(Rule.SELF, 200),
    "get_model": Row(Rule.SELF, 200, "model"),
    "list_agent_tools": Row(Rule.SELF, 200),
    "create_api_key": Row(Rule.SELF_BY_TOKEN, 400, body={}),
    "list_api_keys": Row(Rule.SELF, 200),
    "revoke_api_key": Row(Rule.OWNER_BY_TOKEN, 200, "new key"),
    "list_projects": Row(Rule.SELF, 200),
    "get_project": Row(Rule.TENANT, 200, "project"),
    "create_project": Row(Rule.ADMIN, 400, body={}),
    "update_project": Row(Rule.TENANTS_ADMIN, 200, "project", body={}),
    "list_users": Row(Rule.ADMIN, 200),
    "get_user": Row(Rule.TENANTS_ADMIN, 200, "account"),
    "update_user": Row(Rule.TENANTS_ADMIN, 200, "account", body={}),
    "grant_credits": Row(
        Rule.TENANTS_ADMIN,
        201,
        "account",
        body={"amount": 1, "description": "For the matrix"},
        headers={"Idempotency-Key": "matrix-{caller}"},
    ),
    "list_tenant_videos": Row(Rule.ADMIN, 200),
    "get_tenant_video": Row(Rule.TENANTS_ADMIN, 200, "canceled video"),
    "get_config": Row(Rule.ADMIN, 200),
    # The body is what is stored already.
    "put_config": Row(Rule.INSTALLATION, 200, body="config", headers={"If-Match": "*"}),
    "get_tenant_budget": Row(Rule.ADMIN, 200),
    "get_tenant": Row(Rule.OPERATOR, 200, "tenant"),
    "grant_to_tenant": Row(Rule.OPERATOR, 400, "tenant", body={}),
    "step": Row(Rule.MACHINE, 400, body={}),
    "webhook": Row(Rule.MACHINE, 400, body={}),
    "chore": Row(Rule.MACHINE, 400, body={}),
    "object_finalized": Row(Rule.MACHINE, 400, body={}),
    "sweep": Row(Rule.MACHINE, 200),
    "reconcile": Row(Rule.MACHINE, 200),
    "retain": Row(Rule.MACHINE, 200),
    "digest": Row(Rule.MACHINE, 200),
}

# Who is admitted, and the error for the others.
ADMINS = frozenset({"admin", "operator", "other tenant's admin"})
OWNERS = frozenset({"user", "read-only key", "write key"})
FOREIGN = frozenset({"other tenant", "other tenant's admin"})
ALL = frozenset(PERSONS)
LET_IN: dict[Rule, frozenset[str]] = {
    Rule.SELF: ALL,
    Rule.SELF_BY_TOKEN: ALL - set(KEYS),
    Rule.OWNER: OWNERS,
    Rule.OWNER_BY_TOKEN: OWNERS - set(KEYS),
    Rule.TENANT: ALL - FOREIGN,
    Rule.ADMIN: ADMINS,
    Rule.TENANTS_ADMIN: frozenset({"admin", "operator"}),
    Rule.INSTALLATION: frozenset({"admin", "operator"}),
    Rule.OPERATOR: frozenset({"operator"}),
}
FORBIDDEN: dict[Rule, frozenset[str]] = {
    Rule.SELF_BY_TOKEN: frozenset(KEYS),
    Rule.OWNER_BY_TOKEN: frozenset(KEYS),
    Rule.ADMIN: ALL - ADMINS,
    Rule.TENANTS_ADMIN: ALL - ADMINS,
    Rule.INSTALLATION: ALL - {"admin", "operator"},
    Rule.OPERATOR: ALL - {"operator"},
}


def expected(route: Route, caller: str) -> tuple[int, str | None]:
    """The status, and the error's code unless the caller is let in."""
    row = TABLE[route.name]
    if row.rule is Rule.MACHINE:
        return (row.let_in, None) if caller == QUEUE else (401, "UNAUTHENTICATED")
    if row.rule is Rule.SIGNER or caller in (*NOBODY, QUEUE):
        return 401, "UNAUTHENTICATED"
    if caller in DISABLED:
        return 403, "ACCOUNT_DISABLED"
    if caller in FORBIDDEN.get(row.rule, ()) or (caller == "read-only key" and route.method != "GET"):
        return 403, "FORBIDDEN"
    return (row.let_in, None) if caller in LET_IN[row.rule] else (404, "NOT_FOUND")


# --- the world that they meet ---


@dataclass
class World:
    """A cloud, a bearer for every caller, and the things that belong to the user."""

    cloud: Cloud
    bearers: dict[str, str | None]
    things: dict[str, str]
    makers: dict[str, Callable[[], str]]
    config: dict[str, Any]

    def answer(self, route: Route, caller: str, method: str | None = None) -> tuple[int, str | None]:
        """What that caller is answered: status and error code. Streams are left at once."""
        row, bearer = TABLE[route.name], self.bearers[caller]
        let_in = expected(route, caller) == (row.let_in, None)
        thing = self.makers[row.thing]() if row.thing in self.makers and let_in else self.things.get(row.thing, "")
        if row.stand_in and let_in:
            bearer = self.cloud.user().token
        path = "/".join(thing if "{" in part else part for part in route.path.split("/"))
        own = {name: value.format(caller=caller.replace(" ", "-")) for name, value in row.headers.items()}
        headers = {**own, **({"Authorization": f"Bearer {bearer}"} if bearer is not None else {})}
        body = self.config if row.body == "config" else row.body
        sent = {"json": body} if body is not None else {}
        with self.cloud.http.stream(
            method or route.method, f"{self.cloud.url}{path}", headers=headers, **sent
        ) as response:
            if response.status_code < 400 or method == "HEAD":
                return response.status_code, None
            response.read()
            code = response.json()["error"]["code"]
            return response.status_code, None if response.status_code == row.let_in else code


@dataclass(frozen=True)
class Stranger:
    """Somebody whose account is made in the console before he ever called."""

    sub: str
    tenant: str
    changes: dict[str, Any]

    def account(self, issuer: str) -> Account:
        id_ = Identity(issuer, self.sub, self.tenant, None, True).account_id
        now = datetime.now(UTC)
        return Account(id=id_, issuer=issuer, sub=self.sub, tenant=self.tenant, created_at=now, **self.changes)


OTHER_ADMIN = Stranger(secrets.token_hex(8), OTHER_TENANT, {"role": "admin"})


@pytest.fixture(scope="module", params=["local", "embedded"])
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    if request.param == "local":
        cloud: Cloud = request.getfixturevalue("local_cloud")
        _write(cloud, [OTHER_ADMIN.account(_signer(cloud.directory).issuer)])
        with peopled(cloud) as made:
            yield made
        return
    directory = tmp_path_factory.mktemp("access")
    asyncio.run(_save(directory, [OTHER_ADMIN.account(_signer(directory).issuer)]))
    with Cloud.started(directory, embedded=True) as cloud, peopled(cloud) as made:
        yield made


def _signer(directory: Path) -> Signer:
    return Signer.of(directory / "identity", PROJECT)


def _write(cloud: Cloud, accounts: list[Account]) -> None:
    host = cloud.session["firestore"].removeprefix("http://")
    with mock.patch.dict(os.environ, {"FIRESTORE_EMULATOR_HOST": host}):
        client = firestore.Client(project=cloud.session["project"])
    try:
        for account in accounts:
            client.collection(Account.collection).document(account.id).set(account.model_dump(exclude={"id"}))
    finally:
        client.close()


async def _save(directory: Path, accounts: list[Account]) -> None:
    saved = SavedStore(directory)
    await saved.store.commit(accounts)
    await saved.save()


@contextmanager
def peopled(cloud: Cloud) -> Iterator[World]:
    """Everybody signed in; the unfinished video is canceled in the end."""
    user, other, admin = cloud.user(), cloud.user(), User(cloud, _renewed(cloud, cloud.session["admin_token"]))
    disabled = cloud.user()
    disabled_key = _key(disabled)["key"]
    # Known to the history function only, which forgets whom it disables: to all others the account is new.
    answer = admin.call("PATCH", f"/v1/admin/users/{disabled.account['id']}", json={"disabled": True})
    assert answer.json()["disabled"], answer.text
    revoked = _key(user)
    assert user.call("DELETE", f"/v1/api-keys/{revoked['id']}").status_code == 200
    made = user.call(
        "POST",
        "/v1/videos",
        json={"prompt": "a gate [never finishes]", "seconds": 4},
        headers={"Idempotency-Key": "matrix-video"},
    )
    canceled = made.json()["id"]
    assert user.call("POST", f"/v1/videos/{canceled}/cancel").status_code == 200
    unfinished = user.create("a door [never finishes]", seconds=4)["id"]
    project = f"matrix-{secrets.token_hex(4)}"
    made = admin.call("POST", "/v1/projects", json={"id": project, "title": "Matrix"})
    assert made.status_code == 201, made.text
    tokens = {
        "user": user.token,
        "other user": other.token,
        "other tenant": _elsewhere(cloud, secrets.token_hex(8)),
        "other tenant's admin": _elsewhere(cloud, OTHER_ADMIN.sub),
        "admin": admin.token,
        "operator": _renewed(cloud, cloud.session["operator_token"]),
        "disabled user": disabled.token,
        "key of the disabled user": disabled_key,
        "read-only key": _key(user, "read")["key"],
        "write key": _key(user)["key"],
        "administrator's key": _key(admin)["key"],
        "revoked key": revoked["key"],
    }
    makers = {"new key": lambda: str(_key(user)["id"]), "new endpoint": lambda: _endpoint(user)}
    endpoint = _endpoint(user)
    things = {
        **{name: make() for name, make in makers.items()},
        "canceled video": canceled,
        "unfinished video": unfinished,
        "idempotency key": "matrix-video",
        "endpoint": endpoint,
        # A ping is found, and not sent again.
        "ping": user.call("POST", f"/v1/webhook-endpoints/{endpoint}/test").json()["id"],
        "export": user.call("POST", "/v1/account/export").json()["id"],
        "account": user.account["id"],
        "project": project,
        "tenant": "default",
        "model": user.call("GET", "/v1/models").json()["data"][0]["id"],
    }
    config = admin.call("GET", "/v1/admin/config").json()["stored"]
    yield World(cloud, {**_worthless(cloud), **tokens}, things, makers, config)
    user.call("DELETE", f"/v1/webhook-endpoints/{things['endpoint']}")
    user.call("POST", f"/v1/videos/{unfinished}/cancel")
    admin.call("PATCH", f"/v1/projects/{project}", json={"archived": True})


def _renewed(cloud: Cloud, token: str) -> str:
    """The token of a user who has just signed in again: the session's are as old as the cloud."""
    claims = jwt.decode(token, options={"verify_signature": False})
    return _signer(cloud.directory).id_token(claims["sub"], email=claims["email"])


def _elsewhere(cloud: Cloud, sub: str) -> str:
    """The token of a user of another tenant, whose address is verified."""
    return _signer(cloud.directory).id_token(sub, email=f"{sub}@example.com", tenant=OTHER_TENANT)


def _key(user: User, scope: str = "write") -> dict[str, Any]:
    answer = user.call("POST", "/v1/api-keys", json={"name": "matrix", "scope": scope})
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


def _endpoint(user: User) -> str:
    # Pings go to the gateway itself, which answers that there is nothing there.
    answer = user.call("POST", "/v1/webhook-endpoints", json={"url": f"{user.cloud.url}/nothing"})
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["id"])


def _worthless(cloud: Cloud) -> dict[str, str | None]:
    """Bearers that prove nothing; the queue's, which proves the queue."""
    signer, now = _signer(cloud.directory), int(time.time())
    minter = Minter.from_file(cloud.directory / "keys" / "oidc.pem")
    good = jwt.decode(signer.id_token("somebody"), options={"verify_signature": False})
    forger = Signer.of(cloud.directory / "forger", PROJECT)
    return {
        "nobody": None,
        "garbage": "garbage.of.somebody",
        "expired token": signer.sign({**good, "iat": now - 7_200, "auth_time": now - 7_200, "exp": now - 3_600}),
        "token for another audience": signer.sign({**good, "aud": "another-project"}),
        "token of another issuer": signer.sign({**good, "iss": "https://securetoken.google.com/another-project"}),
        "unsigned token": jwt.encode(good, None, algorithm="none", headers={"kid": signer.kid}),
        "token signed with another key": jwt.encode(good, forger.key, algorithm="RS256", headers={"kid": signer.kid}),
        "expired service account": jwt.encode(
            {"aud": cloud.url, "email": email("tasks"), "email_verified": True, "iat": now - 7_200, "exp": now - 3_600},
            forger.key,
            algorithm="RS256",
        ),
        "unknown key": "rk_" + secrets.token_urlsafe(32),
        QUEUE: minter.token(email("tasks"), cloud.url),
    }


# --- the matrix ---


def test_every_route_has_a_row() -> None:
    assert set(TABLE) == {route.name for route in ROUTES}


def test_every_kind_of_caller_is_covered(world: World) -> None:
    assert set(world.bearers) == set(CALLERS)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_routes_admit_callers_by_the_table(world: World, route: Route) -> None:
    told = {caller: world.answer(route, caller) for caller in CALLERS}
    assert told == {caller: expected(route, caller) for caller in CALLERS}


@pytest.mark.parametrize("name", ["get_video", "get_user", "get_account"])
def test_head_is_answered_like_get(world: World, name: str) -> None:
    route = next(route for route in ROUTES if route.name == name)
    told = {caller: world.answer(route, caller, "HEAD")[0] for caller in CALLERS}
    assert told == {caller: expected(route, caller)[0] for caller in CALLERS}
