"""Web and mobile clients at Firestore itself: they read what is their user's own, and write nothing.

The emulator applies the rules to the claims of a token and checks no signature, so any user can be played.
"""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, get_args
from urllib.parse import quote

import httpx2
import pytest
from google.api_core import exceptions
from google.cloud.firestore import AsyncClient
from google.cloud.firestore_v1.types import ListenRequest, StructuredQuery, Target, TargetChange, Value
from pydantic import BaseModel

from shared.core.documents import Account, Document, Transaction
from shared.gateways.firestore import GoogleFirestore
from shared.platform.identity import DEFAULT_TENANT, Identity
from shared.platform.settings import SECURETOKEN_ISSUER, Settings
from tests.contract.servers import firestore_emulator
from tests.contract.test_store import NOON, a_job, an_entry

RULES: Final = Path(__file__).parents[2] / "infra" / "firestore.rules"
PROJECT: Final = "rushes-rules"
ISSUER: Final = SECURETOKEN_ISSUER + PROJECT
WITHIN_S: Final = 60.0
OWNER: Final = {"Authorization": "Bearer owner"}
OTHER_COLLECTIONS: Final = (
    "config",
    "api_keys",
    "projects",
    "webhook_endpoints",
    "deliveries",
    "chores",
    "signup_markers",
    "budgets",
    "tenant_days",
    "tenant_day_shards",
    "anything",
)


@dataclass(frozen=True)
class Person:
    """A user of a tenant, as a client's token says."""

    sub: str
    tenant: str = DEFAULT_TENANT
    issuer: str = ISSUER
    says_issuer: bool = True
    # How long ago the user signed in.
    signed_in_s: int = 0

    @property
    def account(self) -> str:
        return Identity(ISSUER, self.sub, self.tenant, None, True).account_id

    @property
    def token(self) -> str:
        """An unsigned ID token with Identity Platform's claims."""
        now = int(time.time())
        firebase: dict[str, Any] = {"identities": {}, "sign_in_provider": "password"}
        if self.tenant != DEFAULT_TENANT:
            firebase["tenant"] = self.tenant
        claims = {"aud": PROJECT, "sub": self.sub, "user_id": self.sub, "iat": now, "exp": now + 3600}
        claims |= {"auth_time": now - self.signed_in_s, "firebase": firebase} | (
            {"iss": self.issuer} if self.says_issuer else {}
        )
        return f"{_encoded({'alg': 'none', 'typ': 'JWT'})}.{_encoded(claims)}."

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


ANN, BOB = Person("ann"), Person("bob")
# The same subject of two tenants is two users.
ANN_OF_ACME = Person("ann", "acme")
# Disabled; deleted by its user; proven to be somebody else's since an earlier sign-in.
DORA, CLEO, EVE = Person("dora"), Person("cleo"), Person("eve", signed_in_s=3_600)
LOCKED_OUT: Final = (DORA, CLEO, EVE)
EVERYBODY: Final = (ANN, BOB, ANN_OF_ACME, *LOCKED_OUT, *(Person(f"user-{number}") for number in range(20)))


@dataclass(frozen=True)
class Database:
    """Firestore with the rules and everybody's documents, over REST."""

    address: str
    http: httpx2.Client

    @property
    def documents(self) -> str:
        return f"http://{self.address}/v1/projects/{PROJECT}/databases/(default)/documents"

    def get(self, who: Person | None, path: str) -> int:
        return self.http.get(f"{self.documents}/{path}", headers=who.headers if who else {}).status_code

    def query(
        self, who: Person | None, collection: str, where: Mapping[str, str], limit: int | None = 100, **more: Any
    ) -> tuple[int, list[str]]:
        """The status, and the ids of what was found."""
        query: dict[str, Any] = {"from": [{"collectionId": collection}], **more}
        filters = [
            {"fieldFilter": {"field": {"fieldPath": path}, "op": "EQUAL", "value": {"stringValue": value}}}
            for path, value in where.items()
        ]
        if filters:
            query["where"] = {"compositeFilter": {"op": "AND", "filters": filters}}
        if limit is not None:
            query["limit"] = limit
        headers = who.headers if who else {}
        answer = self.http.post(f"{self.documents}:runQuery", headers=headers, json={"structuredQuery": query})
        rows = answer.json() if answer.status_code == 200 else []
        return answer.status_code, [row["document"]["name"].rpartition("/")[2] for row in rows if "document" in row]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with (
        firestore_emulator(tmp_path_factory.mktemp("rules")) as address,
        httpx2.Client(trust_env=False, timeout=WITHIN_S) as http,
        pytest.MonkeyPatch.context() as environment,
    ):
        file = {"name": "firestore.rules", "content": RULES.read_text()}
        loaded = http.put(
            f"http://{address}/emulator/v1/projects/{PROJECT}:securityRules", json={"rules": {"files": [file]}}
        )
        assert loaded.status_code == 200, loaded.text
        environment.setenv("FIRESTORE_EMULATOR_HOST", address)
        asyncio.run(_fill())
        ready = Database(address, http)
        for name in OTHER_COLLECTIONS:
            document = {"fields": {"account": {"stringValue": ANN.account}, "tenant": {"stringValue": ANN.tenant}}}
            assert http.patch(f"{ready.documents}/{name}/one", headers=OWNER, json=document).status_code == 200
        yield ready


async def _fill() -> None:
    store = GoogleFirestore(Settings(google_cloud_project=PROJECT, bucket="rules"))
    documents: list[Document] = []
    for person in EVERYBODY:
        account = Account(
            id=person.account, issuer=ISSUER, sub=person.sub, tenant=person.tenant, created_at=NOON
        ).changed(
            disabled=person == DORA,
            closed_at=NOON if person == CLEO else None,
            valid_since=datetime.now(UTC) - timedelta(minutes=30) if person.sub == EVE.sub else None,
        )
        own = {"account": person.account, "tenant": person.tenant}
        documents += [account, a_job(_job(person), **own), an_entry(1, id=_entry(person), **own)]
    await store.commit(documents)


def _job(person: Person) -> str:
    return f"video_{person.account}"


def _entry(person: Person) -> str:
    return f"{person.account}-signup"


def _encoded(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _own(person: Person) -> list[str]:
    """The paths of the person's documents that the person may read."""
    return [f"accounts/{person.account}", f"credit_transactions/{_entry(person)}"]


def _all_own(person: Person) -> list[str]:
    """Those, and the person's job."""
    return [*_own(person), f"jobs/{_job(person)}"]


# --- what there is to read ---

# Every field that an owner sees at Firestore itself, each looked at once. What must stay secret (keys, signing
# secrets, other people's data) has a collection of its own.
SHOWN: Final = {
    Account: """
        id issuer sub email email_verified email_as_of verified_at valid_since tenant role plan disabled display_name
        locale balance active_jobs sequence spending_day spent_on_day refunded_starts_day
        refunded_starts webhook_endpoints closed_at created_at change_id
    """,
    Transaction: "id account tenant type amount balance_after sequence job description created_at",
}


@pytest.mark.parametrize("kind", SHOWN, ids=lambda kind: kind.__name__)
def test_shown_fields_are_no_secret_to_their_owner(kind: type[Document]) -> None:
    stored = {name for name, field in kind.model_fields.items() if not field.exclude}
    assert stored == set(SHOWN[kind].split()), "may the owner read the new field? Then name it here"


def test_no_shown_field_is_named_like_a_secret() -> None:
    shown = {name for kind in SHOWN for name in _names(kind)}
    assert not {name for name in shown if any(word in name for word in ("secret", "password", "token", "hash"))}


def _names(kind: Any) -> set[str]:
    """The names of all fields of a model, and of the models within it."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = kind.model_fields.items()
        return {name for name, _ in fields} | {name for _, field in fields for name in _names(field.annotation)}
    return {name for inner in get_args(kind) for name in _names(inner)}


# --- reading ---


@pytest.mark.parametrize(
    "person", [one for one in EVERYBODY if one not in LOCKED_OUT], ids=lambda one: f"{one.tenant}-{one.sub}"
)
def test_users_read_their_own(database: Database, person: Person) -> None:
    # Many users, because an account's id may hold the two characters in which base64url differs from base64.
    assert [database.get(person, path) for path in _own(person)] == [200, 200]


@pytest.mark.parametrize("owner", [BOB, ANN_OF_ACME, DORA], ids=lambda one: f"{one.tenant}-{one.sub}")
def test_users_cannot_read_anothers(database: Database, owner: Person) -> None:
    assert [database.get(ANN, path) for path in _all_own(owner)] == [403, 403, 403]
    assert [database.get(None, path) for path in _all_own(owner)] == [403, 403, 403]


def test_token_without_issuer_belongs_to_the_project(database: Database) -> None:
    person = Person("ann", says_issuer=False)
    assert [database.get(person, path) for path in _own(ANN)] == [200, 200]


def test_token_of_another_issuer_is_another_user(database: Database) -> None:
    stranger = Person("ann", issuer="https://issuer.example")
    assert [database.get(stranger, path) for path in _all_own(ANN)] == [403, 403, 403]


@pytest.mark.parametrize("person", LOCKED_OUT, ids=["disabled", "deleted", "signed-in-before-the-proof"])
def test_locked_out_user_can_no_longer_read(database: Database, person: Person) -> None:
    assert [database.get(person, path) for path in _all_own(person)] == [403, 403, 403]
    assert database.query(person, "credit_transactions", {"account": person.account}) == (403, [])


def test_user_signed_in_after_verification_can_read_again(database: Database) -> None:
    again = Person(EVE.sub)
    assert [database.get(again, path) for path in _own(again)] == [200, 200]


def test_job_is_hidden_from_its_owner(database: Database) -> None:
    """A rule can't hide a field, and a job has its lease, its task, its operation and its webhook's address."""
    assert database.get(ANN, f"jobs/{_job(ANN)}") == 403
    assert database.query(ANN, "jobs", {"account": ANN.account}) == (403, [])


def test_user_without_an_account_reads_nothing(database: Database) -> None:
    nobody = Person("nobody")
    assert [database.get(nobody, path) for path in (*_all_own(ANN), *_all_own(nobody))] == [403] * 6


@pytest.mark.parametrize("collection", OTHER_COLLECTIONS)
def test_everything_else_is_closed(database: Database, collection: str) -> None:
    for who in (ANN, None):
        assert database.get(who, f"{collection}/one") == 403
        assert database.query(who, collection, {"account": ANN.account}) == (403, [])


# --- lists ---


def test_listing_your_own_is_allowed(database: Database) -> None:
    collection, own = "credit_transactions", _entry(ANN)
    newest = [{"field": {"fieldPath": "created_at"}, "direction": "DESCENDING"}]
    assert database.query(ANN, collection, {"account": ANN.account}) == (200, [own])
    assert database.query(ANN, collection, {"account": ANN.account, "tenant": ANN.tenant}) == (200, [own])
    assert database.query(ANN, collection, {"account": ANN.account}, orderBy=newest) == (200, [own])


def test_filtering_your_own_is_allowed(database: Database) -> None:
    for kind, found in (("charge", []), ("grant", [_entry(ANN)])):
        where = {"account": ANN.account, "type": kind}
        assert database.query(ANN, "credit_transactions", where) == (200, found)


@pytest.mark.parametrize("collection", ["jobs", "credit_transactions"])
@pytest.mark.parametrize(
    ("who", "where"),
    [
        (ANN, {}),
        (ANN, {"tenant": ANN.tenant}),
        (ANN, {"account": BOB.account}),
        (ANN, {"account": ANN_OF_ACME.account}),
        (ANN_OF_ACME, {"account": ANN.account}),
        (None, {}),
        (None, {"account": ANN.account}),
    ],
)
def test_list_that_could_hold_anothers_is_rejected(
    database: Database, collection: str, who: Person | None, where: dict[str, str]
) -> None:
    assert database.query(who, collection, where) == (403, [])


@pytest.mark.parametrize("limit", [None, 101, 1_000_000])
def test_unlimited_list_is_rejected(database: Database, limit: int | None) -> None:
    assert database.query(ANN, "credit_transactions", {"account": ANN.account}, limit) == (403, [])


def test_accounts_cannot_be_listed(database: Database) -> None:
    assert database.query(ANN, "accounts", {}) == (403, [])
    assert database.query(ANN, "accounts", {"sub": "ann", "tenant": DEFAULT_TENANT, "issuer": ISSUER}) == (403, [])


def test_collection_groups_are_closed(database: Database) -> None:
    everywhere = [{"collectionId": "credit_transactions", "allDescendants": True}]
    where = {"account": ANN.account}
    assert database.query(ANN, "credit_transactions", where, **{"from": everywhere}) == (403, [])


# --- writing ---


@pytest.mark.parametrize("who", [ANN, BOB, None], ids=["owner", "other", "nobody"])
@pytest.mark.parametrize("path", [*_all_own(ANN), "config/video", "api_keys/mine"])
def test_writes_are_rejected(database: Database, who: Person | None, path: str) -> None:
    headers = who.headers if who else {}
    url = f"{database.documents}/{path}"
    before = database.http.get(url, headers=OWNER).text
    fields = {"fields": {"balance": {"integerValue": "1000000"}, "role": {"stringValue": "admin"}}}
    collection, _, id_ = path.partition("/")
    name = f"projects/{PROJECT}/databases/(default)/documents/{path}"
    increment = {"fieldPath": "balance", "increment": {"integerValue": "1"}}
    attempts = [
        database.http.patch(url, headers=headers, json=fields),
        database.http.patch(f"{url}?updateMask.fieldPaths=balance", headers=headers, json=fields),
        database.http.patch(url + quote("_new"), headers=headers, json=fields),
        database.http.post(f"{database.documents}/{collection}?documentId={id_}_made", headers=headers, json=fields),
        database.http.delete(url, headers=headers),
        database.http.post(
            f"{database.documents}:commit",
            headers=headers,
            json={"writes": [{"transform": {"document": name, "fieldTransforms": [increment]}}]},
        ),
    ]
    assert [answer.status_code for answer in attempts] == [403] * len(attempts)
    assert database.http.get(url, headers=OWNER).text == before


# --- listening ---


class Listener:
    """A client's Listen stream, as the web and mobile libraries open it."""

    def __init__(self, client: AsyncClient, who: Person | None) -> None:
        self._client = client
        self._who = who

    async def hear(self, **target: Any) -> AsyncIterator[Any]:
        done = asyncio.Event()

        async def requests() -> AsyncIterator[ListenRequest]:
            database = f"projects/{PROJECT}/databases/(default)"
            yield ListenRequest(database=database, add_target=Target(target_id=1, **target))
            await done.wait()

        metadata = [("google-cloud-resource-prefix", f"projects/{PROJECT}/databases/(default)")]
        metadata += [("authorization", f"Bearer {self._who.token}")] if self._who else []
        api: Any = self._client._firestore_api
        call = await api.listen(requests=requests(), retry=None, timeout=None, metadata=metadata)
        try:
            async for response in call:
                yield response
        finally:
            done.set()
            call.cancel()

    async def documents(self, **target: Any) -> list[str]:
        """The ids that a target consists of at first; raises PermissionDenied."""
        found = []
        async with asyncio.timeout(WITHIN_S):
            async for response in self.hear(**target):
                if "document_change" in response:
                    found.append(response.document_change.document.name.rpartition("/")[2])
                kind = response.target_change.target_change_type if "target_change" in response else None
                if kind == TargetChange.TargetChangeType.CURRENT:
                    return found
                if kind == TargetChange.TargetChangeType.REMOVE:
                    raise exceptions.from_grpc_status(response.target_change.cause.code, "refused")
        raise AssertionError("the stream ended")


@pytest.fixture
async def firestore(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncClient]:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", database.address)
    client = AsyncClient(project=PROJECT)
    yield client
    await client._firestore_api.transport.close()


def _document(path: str) -> dict[str, Any]:
    name = f"projects/{PROJECT}/databases/(default)/documents/{path}"
    return {"documents": Target.DocumentsTarget(documents=[name])}


def _list(collection: str, account: str | None) -> dict[str, Any]:
    q = StructuredQuery
    query = q(from_=[q.CollectionSelector(collection_id=collection)], limit={"value": 100})
    if account is not None:
        of_account = q.FieldFilter(
            field=q.FieldReference(field_path="account"), op="EQUAL", value=Value(string_value=account)
        )
        query.where = q.Filter(field_filter=of_account)
    parent = f"projects/{PROJECT}/databases/(default)/documents"
    return {"query": Target.QueryTarget(parent=parent, structured_query=query)}


async def test_users_can_listen_to_their_own(firestore: AsyncClient) -> None:
    listener = Listener(firestore, ANN)
    for path in _own(ANN):
        assert await listener.documents(**_document(path)) == [path.rpartition("/")[2]]
    assert await listener.documents(**_list("credit_transactions", ANN.account)) == [_entry(ANN)]


@pytest.mark.parametrize("who", [ANN, ANN_OF_ACME, None], ids=["other", "other-tenant", "nobody"])
async def test_users_cannot_listen_to_anothers(firestore: AsyncClient, who: Person | None) -> None:
    listener = Listener(firestore, who)
    targets = [_document(path) for path in (*_all_own(BOB), "config/video", "api_keys/one")]
    targets += [_list("jobs", BOB.account), _list("jobs", None), _list("credit_transactions", BOB.account)]
    for target in targets:
        with pytest.raises(exceptions.PermissionDenied):
            await listener.documents(**target)


async def test_jobs_cannot_be_listened_to(firestore: AsyncClient) -> None:
    for target in (_document(f"jobs/{_job(ANN)}"), _list("jobs", ANN.account)):
        with pytest.raises(exceptions.PermissionDenied):
            await Listener(firestore, ANN).documents(**target)


async def test_listener_receives_a_change(firestore: AsyncClient, database: Database) -> None:
    person = Person("user-7")
    path = f"accounts/{person.account}"
    async with asyncio.timeout(WITHIN_S):
        async for response in Listener(firestore, person).hear(**_document(path)):
            if "document_change" in response:
                balance = response.document_change.document.fields["balance"].integer_value
                if balance == 5:
                    return
                assert balance == 0
                change = {"fields": {"balance": {"integerValue": "5"}}}
                changed = database.http.patch(
                    f"{database.documents}/{path}?updateMask.fieldPaths=balance", headers=OWNER, json=change
                )
                assert changed.status_code == 200
