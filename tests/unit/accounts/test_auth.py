"""Who is calling: users' ID tokens, the issuer's keys, and the accounts that they make."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.accounts import auth
from shared.accounts.auth import Accounts
from shared.core import storable
from shared.core.documents import Account, Transaction
from shared.core.errors import ApiError, Conflict, Unavailable
from shared.gateways.id_tokens import JwksVerifier
from shared.platform.identity import Identity
from tests.unit.conftest import SETTINGS, Clock, House
from tests.unit.wire import Answer, Recorder

ISSUER = "https://issuer.example"
AUDIENCE = "rushes"


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


@pytest.fixture(scope="module")
def other_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


def jwks(**keys: rsa.RSAPrivateKey) -> dict[str, Any]:
    published = []
    for key_id, key in keys.items():
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
        published.append({**public, "kid": key_id, "alg": "RS256", "use": "sig"})
    return {"keys": published}


@pytest.fixture
def issuer(key: rsa.RSAPrivateKey) -> Iterator[Recorder]:
    """The issuer's server, which publishes one key as "k1"."""
    with Recorder() as server:
        server.answers(Answer(body=jwks(k1=key)))
        yield server


@pytest.fixture
def clock() -> Clock:
    # PyJWT compares `exp` and `iat` with the real time.
    return Clock(datetime.now(UTC))


@pytest.fixture
def verifier(issuer: Recorder, clock: Clock) -> JwksVerifier:
    changes = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks_url": f"{issuer.url}/jwks"}
    return JwksVerifier(SETTINGS.model_copy(update=changes), clock)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(datetime.now(UTC).timestamp())
    all_ = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": now - 10,
        "exp": now + 3_600,
        "auth_time": now - 10,
        "email": "alice@example.com",
        "email_verified": True,
    } | changes
    return {name: value for name, value in all_.items() if value is not None}


def token(key: Any, kid: str | None = "k1", algorithm: str = "RS256", **changes: Any) -> str:
    headers = {"kid": kid} if kid is not None else {}
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


async def refused(verifier: JwksVerifier, bearer: str) -> str:
    with pytest.raises(ApiError) as error:
        await verifier.verify(bearer)
    assert error.value.code == "UNAUTHENTICATED"
    assert error.value.headers == {"WWW-Authenticate": "Bearer"}
    return error.value.message or ""


# --- tokens ---


async def test_valid_token_identifies_its_user(verifier: JwksVerifier, key: rsa.RSAPrivateKey) -> None:
    now = int(datetime.now(UTC).timestamp())
    firebase = {"sign_in_provider": "password", "identities": {"email": ["a@example.com"], "google.com": ["1"]}}
    identity = await verifier.verify(token(key, iat=now - 10, auth_time=now - 900, firebase=firebase))
    signed_in_at, issued_at = (datetime.fromtimestamp(then, UTC) for then in (now - 900, now - 10))
    who = (ISSUER, "alice", "default", "alice@example.com", True)
    assert identity == Identity(*who, "password", True, signed_in_at, issued_at)


async def test_token_without_auth_time_uses_its_issue_time(verifier: JwksVerifier, key: rsa.RSAPrivateKey) -> None:
    identity = await verifier.verify(token(key, auth_time=None))
    assert (identity.signed_in_at, identity.provider, identity.federated) == (identity.issued_at, None, False)


async def test_missing_email_is_not_verified(verifier: JwksVerifier, key: rsa.RSAPrivateKey) -> None:
    assert not (await verifier.verify(token(key, email=None))).email_verified


async def test_tenant_token_identifies_the_tenant(verifier: JwksVerifier, key: rsa.RSAPrivateKey) -> None:
    identity = await verifier.verify(token(key, firebase={"tenant": "studio-7"}))
    assert identity.tenant == "studio-7"


@pytest.mark.parametrize("address", ["half \ud83d@example.com", "x" * 321, "", 7])
async def test_malformed_email_is_ignored(verifier: JwksVerifier, key: rsa.RSAPrivateKey, address: Any) -> None:
    assert (await verifier.verify(token(key, email=address))).email is None


@pytest.mark.parametrize("tenant", ["a/b", "__a__", "..", "\ud83d", "x" * 129, 7])
async def test_unstorable_tenant_is_rejected(verifier: JwksVerifier, key: rsa.RSAPrivateKey, tenant: Any) -> None:
    assert "tenant" in await refused(verifier, token(key, firebase={"tenant": tenant}))


@pytest.mark.parametrize("claim", ["yes", 1, None, False])
async def test_email_is_verified_only_if_the_issuer_says_so(
    verifier: JwksVerifier, key: rsa.RSAPrivateKey, claim: Any
) -> None:
    assert not (await verifier.verify(token(key, email_verified=claim))).email_verified


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exp": 1_000_000_000}, "expired"),
        ({"aud": "other"}, "Invalid token"),
        ({"aud": None}, "Invalid token"),
        ({"iss": "https://evil.example"}, "Invalid token"),
        ({"iss": None}, "Invalid token"),
        ({"exp": None}, "Invalid token"),
        ({"iat": None}, "Invalid token"),
        ({"iat": 99_999_999_999}, "Invalid token"),
        ({"nbf": 99_999_999_999}, "Invalid token"),
        ({"sub": None}, "Invalid token"),
        ({"sub": ""}, "has no user"),
        ({"sub": "x" * 129}, "has no user"),
        ({"sub": "half \ud83d"}, "has no user"),
        ({"auth_time": 99_999_999_999}, "sign-in time is in the future"),
        ({"auth_time": "yesterday"}, "sign-in time is in the future"),
        ({"auth_time": True}, "sign-in time is in the future"),
        ({"auth_time": -1}, "sign-in time is in the future"),
    ],
)
async def test_wrong_claims_are_rejected(
    verifier: JwksVerifier, key: rsa.RSAPrivateKey, changes: dict[str, Any], said: str
) -> None:
    assert said in await refused(verifier, token(key, **changes))


async def test_token_signed_with_another_key_is_rejected(verifier: JwksVerifier, other_key: rsa.RSAPrivateKey) -> None:
    await refused(verifier, token(other_key))


async def test_unsigned_token_is_rejected(verifier: JwksVerifier) -> None:
    await refused(verifier, token(None, algorithm="none"))


async def test_public_key_as_hmac_secret_is_rejected(verifier: JwksVerifier, key: rsa.RSAPrivateKey) -> None:
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    parts = [json.dumps({"alg": "HS256", "typ": "JWT", "kid": "k1"}), json.dumps(claims())]
    signing = b".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=") for part in parts)
    mac = base64.urlsafe_b64encode(hmac.new(public, signing, hashlib.sha256).digest()).rstrip(b"=")
    await refused(verifier, f"{signing.decode()}.{mac.decode()}")


@pytest.mark.parametrize("algorithm", ["RS512", "PS256"])
async def test_only_the_issuers_algorithm_is_accepted(
    verifier: JwksVerifier, key: rsa.RSAPrivateKey, algorithm: str
) -> None:
    await refused(verifier, token(key, algorithm=algorithm))


async def test_tampered_token_is_rejected(verifier: JwksVerifier, key: rsa.RSAPrivateKey) -> None:
    head, _, tail = token(key).split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims(sub="bob")).encode()).decode().rstrip("=")
    await refused(verifier, f"{head}.{body}.{tail}")


@pytest.mark.parametrize("junk", ["x", "a.b.c", "..", "é.é.é", "eyJhbGciOiJSUzI1NiJ9..", "." * 5_000])
async def test_malformed_token_is_rejected(verifier: JwksVerifier, junk: str) -> None:
    said = await refused(verifier, junk)
    # Who mistypes a key knows nothing of segments and padding.
    assert junk.count(".") == 2 or "API key" in said


async def test_token_without_key_id_fetches_no_keys(
    verifier: JwksVerifier, issuer: Recorder, key: rsa.RSAPrivateKey
) -> None:
    await refused(verifier, token(key, kid=None))
    assert issuer.requests == []


async def test_verified_token_is_cached_for_a_minute_but_not_past_its_expiry(
    verifier: JwksVerifier, clock: Clock, key: rsa.RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifications: list[str] = []
    decode = jwt.decode

    def counted(bearer: str, *args: Any, **options: Any) -> Any:
        verifications.append(bearer)
        return decode(bearer, *args, **options)

    monkeypatch.setattr(jwt, "decode", counted)
    long, short = token(key), token(key, exp=int(clock().timestamp()) + 30)
    for bearer, kept_s in ((long, 60), (short, 30)):
        verifications.clear()
        first = await verifier.verify(bearer)
        clock.advance(kept_s - 1)
        assert await verifier.verify(bearer) == first
        assert verifications == [bearer]
        clock.advance(1)
        await verifier.verify(bearer)
        assert verifications == [bearer, bearer]
        clock.advance(-kept_s)


async def test_cached_token_does_not_vouch_for_another(verifier: JwksVerifier, key: rsa.RSAPrivateKey) -> None:
    known = token(key)
    await verifier.verify(known)
    await refused(verifier, known[:-4] + ("AAAA" if known[-4:] != "AAAA" else "BBBB"))


# --- the issuer's keys ---


async def test_signing_keys_are_fetched_once_an_hour(
    verifier: JwksVerifier, issuer: Recorder, clock: Clock, key: rsa.RSAPrivateKey
) -> None:
    await asyncio.gather(*(verifier.verify(token(key)) for _ in range(20)))
    clock.advance(3_599)
    await verifier.verify(token(key))
    assert len(issuer.requests) == 1
    clock.advance(1)
    # Not a token that is known from a second ago.
    await verifier.verify(token(key, sub="bob"))
    assert len(issuer.requests) == 2


async def test_unknown_key_id_fetches_at_most_every_30s(
    verifier: JwksVerifier, issuer: Recorder, clock: Clock, other_key: rsa.RSAPrivateKey
) -> None:
    for number in range(20):
        await refused(verifier, token(other_key, kid=f"unknown-{number}"))
    assert len(issuer.requests) == 1
    clock.advance(30)
    for number in range(20):
        await refused(verifier, token(other_key, kid=f"unknown-{number}"))
    assert len(issuer.requests) == 2


async def test_rotation_finds_the_new_key_and_drops_the_old(
    verifier: JwksVerifier, issuer: Recorder, clock: Clock, key: rsa.RSAPrivateKey, other_key: rsa.RSAPrivateKey
) -> None:
    await verifier.verify(token(key))
    issuer.answers(Answer(body=jwks(k2=other_key)))
    clock.advance(30)
    await verifier.verify(token(other_key, kid="k2"))
    await refused(verifier, token(key))


@pytest.mark.parametrize("outage", [Answer(500), Answer(body=b"<html>"), Answer(body={"keys": []})])
async def test_cached_signing_keys_survive_an_issuer_outage(
    verifier: JwksVerifier, issuer: Recorder, clock: Clock, key: rsa.RSAPrivateKey, outage: Answer
) -> None:
    await verifier.verify(token(key))
    issuer.answers(outage)
    for _ in range(3):
        clock.advance(3_600)
        assert (await verifier.verify(token(key))).sub == "alice"


async def test_outage_without_cached_keys_is_unavailable(
    verifier: JwksVerifier, issuer: Recorder, key: rsa.RSAPrivateKey
) -> None:
    issuer.answers(Answer(500))
    with pytest.raises(Unavailable):
        await verifier.verify(token(key))
    issuer.answers(Answer(body=jwks(k1=key)))
    assert (await verifier.verify(token(key))).sub == "alice"


async def test_unknown_key_ids_during_an_outage_fetch_boundedly(
    verifier: JwksVerifier, issuer: Recorder, key: rsa.RSAPrivateKey, other_key: rsa.RSAPrivateKey, clock: Clock
) -> None:
    await verifier.verify(token(key))
    issuer.answers(Answer(500))
    clock.advance(60)
    for number in range(10):
        with pytest.raises((ApiError, Unavailable)):
            await verifier.verify(token(other_key, kid=f"unknown-{number}"))
    assert len(issuer.requests) == 2


# --- accounts ---


async def test_first_request_opens_account_with_signup_credits(house: House) -> None:
    caller = await Accounts().caller(house.services, "Bearer alice")
    account = await house.account(caller.account)
    assert (account.balance, account.email, account.sub) == (500, "alice@example.com", "alice")
    assert [entry.id for entry in house.store.documents(Transaction)] == [f"{account.id}-signup"]
    house.check()


async def test_concurrent_first_requests_open_one_account_with_one_grant(house: House) -> None:
    # As many functions: each has its own memory of accounts.
    callers = await asyncio.gather(*(Accounts().caller(house.services, "Bearer alice") for _ in range(20)))
    assert len({caller.account for caller in callers}) == 1
    assert len(house.store.documents(Account)) == len(house.store.documents(Transaction)) == 1
    house.check()


async def test_loser_of_the_account_race_gets_the_winners_account(house: House) -> None:
    async def rival() -> None:
        await Accounts().caller(house.services, "Bearer alice")

    house.store.before("commit", rival)
    caller = await Accounts().caller(house.services, "Bearer alice")
    assert (await house.account(caller.account)).balance == 500
    house.check()


async def test_account_that_cannot_be_opened_is_unavailable(house: House) -> None:
    house.store.fail("commit", 10_000, Conflict)
    with pytest.raises(Unavailable):
        await Accounts().caller(house.services, "Bearer alice")


async def test_lost_answer_opens_no_second_account(house: House) -> None:
    house.store.lose("commit")
    caller = await Accounts().caller(house.services, "Bearer alice")
    assert (await house.account(caller.account)).balance == 500
    assert len(house.store.documents(Account)) == 1
    house.check()


async def test_unverified_email_gets_no_credits(house: House) -> None:
    caller = await Accounts().caller(house.services, "Bearer alice?")
    assert (await house.account(caller.account)).balance == 0
    assert house.store.documents(Transaction) == []


async def test_zero_signup_credits_grant_nothing(house: House) -> None:
    house.configure(signup_credits=0)
    caller = await Accounts().caller(house.services, "Bearer alice")
    assert (await house.account(caller.account)).balance == 0


async def test_disabled_account_is_forbidden(house: House) -> None:
    caller = await Accounts().caller(house.services, "Bearer alice")
    house.store.edit("accounts", caller.account, {"disabled": True})
    with pytest.raises(ApiError) as error:
        await Accounts().caller(house.services, "Bearer alice")
    assert (error.value.code, error.value.entry.status) == ("ACCOUNT_DISABLED", 403)


async def test_admin_changes_apply_within_a_minute(house: House) -> None:
    accounts = Accounts()
    caller = await accounts.caller(house.services, "Bearer alice")
    house.store.edit("accounts", caller.account, {"disabled": True, "role": "admin"})
    assert (await accounts.caller(house.services, "Bearer alice")).role == "user"
    house.clock.advance(60)
    with pytest.raises(ApiError):
        await accounts.caller(house.services, "Bearer alice")


async def test_roles_in_a_token_are_ignored(house: House) -> None:
    caller = await Accounts().caller(house.services, "Bearer admin")
    assert (caller.role, caller.plan) == ("user", "default")
    house.store.edit("accounts", caller.account, {"role": "admin"})
    assert (await Accounts().caller(house.services, "Bearer admin")).role == "admin"


async def test_account_is_read_once_a_minute(house: House) -> None:
    accounts = Accounts()
    await accounts.caller(house.services, "Bearer alice")
    before = house.store.calls["get"]
    for _ in range(50):
        await accounts.caller(house.services, "Bearer alice")
    assert house.store.calls["get"] == before


async def test_account_cache_is_bounded(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "ACCOUNTS_KEPT", 3)
    accounts = Accounts()
    for number in range(10):
        await accounts.caller(house.services, f"Bearer user{number}")
    assert len(accounts._known) <= 3


def test_account_id_is_never_reserved_by_firestore(monkeypatch: pytest.MonkeyPatch) -> None:
    """One digest in 16 million would be such an id."""
    one = Identity("i", "s", "t", None, False)
    usual = one.account_id
    problems = {usual: "reserved"}
    monkeypatch.setattr(storable, "id_problem", problems.get)
    assert one.account_id not in ("", usual)
    assert len(one.account_id) == len(usual)


def test_same_subject_at_another_issuer_or_tenant_is_another_account() -> None:
    one = Identity("i", "s", "t", None, True)
    others = [replace(one, issuer="x"), replace(one, sub="x"), replace(one, tenant="x")]
    assert len({identity.account_id for identity in (one, *others)}) == 4
    assert replace(one, email="new@example.com").account_id == one.account_id


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic YTpi", "alice", "Bearer: alice"])
async def test_missing_bearer_token_is_unauthenticated(house: House, header: str | None) -> None:
    with pytest.raises(ApiError) as error:
        await Accounts().caller(house.services, header)
    assert error.value.code == "UNAUTHENTICATED"
    assert error.value.headers == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize("header", ["Bearer alice", "bearer alice", "BEARER   alice "])
async def test_bearer_scheme_is_case_insensitive(house: House, header: str) -> None:
    assert (await Accounts().caller(house.services, header)).email == "alice@example.com"
