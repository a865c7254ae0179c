"""Email addresses: what a proof earns, what it voids, and what waits for it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.accounts import api_keys, deletion
from shared.accounts.auth import Accounts
from shared.accounts.verification import SignupMarker, marker_id, normalized
from shared.api.api_keys import NewApiKey
from shared.api.webhooks import NewWebhookEndpoint
from shared.core.documents import Account, Transaction
from shared.core.errors import ApiError
from shared.platform.identity import Caller, Identity
from shared.webhooks import endpoints
from tests.unit.conftest import House

GOOGLE = "google.com"


class Tokens:
    """Identity Platform as far as its tokens go: a user, and tokens that say what was true when they were issued."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._issued: dict[str, Identity] = {}
        house.services = replace(house.services, verifier=self)

    async def verify(self, token: str) -> Identity:
        return self._issued[token]

    def issue(self, sub: str = "u1", email: str = "ann@example.com", verified: bool = False, **more: Any) -> str:
        now = self.house.clock()
        fields = {"provider": "password", "signed_in_at": now, "issued_at": now} | more
        token = f"token{len(self._issued)}"
        self._issued[token] = Identity("https://issuer.example", sub, "default", email, verified, **fields)
        return token

    async def call(self, token: str, accounts: Accounts | None = None) -> Caller:
        """A request to a function with an empty cache, unless `accounts` is given."""
        return await (accounts or Accounts()).caller(self.house.services, f"Bearer {token}")

    async def refused(self, token: str, accounts: Accounts | None = None) -> str:
        with pytest.raises(ApiError) as error:
            await self.call(token, accounts)
        assert error.value.code == "UNAUTHENTICATED"
        return error.value.message or ""


@pytest.fixture
def tokens(house: House) -> Tokens:
    return Tokens(house)


async def balance(house: House, caller: Caller) -> int:
    house.check()
    return (await house.account(caller.account)).balance


# --- the credits ---


async def test_first_verified_token_brings_the_signup_credits(house: House, tokens: Tokens) -> None:
    accounts = Accounts()
    caller = await tokens.call(tokens.issue(), accounts)
    assert await balance(house, caller) == 0
    # At once, also in a process that knows the account as unverified.
    verified = tokens.issue(verified=True)
    await tokens.call(verified, accounts)
    assert await balance(house, caller) == 500
    account = await house.account(caller.account)
    assert (account.email_verified, account.verified_at) == (True, house.clock())
    house.clock.advance(3600)
    await tokens.call(tokens.issue(verified=True))
    assert await balance(house, caller) == 500


async def test_new_user_with_a_known_email_gets_no_credits(house: House, tokens: Tokens) -> None:
    first = await tokens.call(tokens.issue("u1", verified=True))
    assert await balance(house, first) == 500
    for number, email in enumerate(("ann@example.com", "Ann@Example.com", "ann+2@example.com")):
        again = await tokens.call(tokens.issue(f"again{number}", email, verified=True))
        assert (again.account != first.account, await balance(house, again)) == (True, 0)
    assert len(house.store.documents(SignupMarker)) == 1


async def test_erased_account_does_not_reset_its_email(house: House, tokens: Tokens) -> None:
    caller = await tokens.call(tokens.issue("u1", verified=True))
    await deletion.start(house.services, caller)
    while await house.deliver_next() is not None:
        pass
    erased = await house.account(caller.account)
    assert (erased.email, erased.email_verified) == (None, False)
    assert "ann" not in repr(house.store.documents(SignupMarker))
    again = await tokens.call(tokens.issue("u2", verified=True))
    assert await balance(house, again) == 0


async def test_second_email_of_an_account_gets_no_credits(house: House, tokens: Tokens) -> None:
    caller = await tokens.call(tokens.issue(verified=True))
    house.clock.advance(60)
    await tokens.call(tokens.issue(email="second@example.com", verified=True))
    assert await balance(house, caller) == 500
    assert (await house.account(caller.account)).email == "second@example.com"


async def test_concurrent_first_verifications_grant_once(house: House, tokens: Tokens) -> None:
    unverified = await tokens.call(tokens.issue())
    bearers = [tokens.issue(verified=True) for _ in range(10)]
    bearers += [tokens.issue("u2", verified=True) for _ in range(10)]
    callers = await asyncio.gather(*(tokens.call(bearer) for bearer in bearers))
    balances = {caller.account: await balance(house, caller) for caller in callers}
    assert sorted(balances.values()) == [0, 500]
    assert unverified.account in balances


async def test_concurrent_marker_of_another_process_is_respected(house: House, tokens: Tokens) -> None:
    async def rival() -> None:
        await tokens.call(tokens.issue("u2", verified=True))

    house.store.before("commit", rival)
    caller = await tokens.call(tokens.issue("u1", verified=True))
    assert await balance(house, caller) == 0
    assert len(house.store.documents(Transaction)) == 1


async def test_lost_commit_answer_grants_once(house: House, tokens: Tokens) -> None:
    await tokens.call(tokens.issue())
    house.store.lose("commit")
    caller = await tokens.call(tokens.issue(verified=True))
    assert await balance(house, caller) == 500


async def test_account_granted_before_markers_gets_no_second_grant(house: House, tokens: Tokens) -> None:
    caller = await tokens.call(tokens.issue(verified=True))
    house.store.edit("accounts", caller.account, {"verified_at": None, "email_verified": False, "email_as_of": None})
    house.store.remove("signup_markers", marker_id("default", "ann@example.com"))
    await tokens.call(tokens.issue(verified=True))
    assert await balance(house, caller) == 500


async def test_zero_credits_leave_no_marker(house: House, tokens: Tokens) -> None:
    house.configure(signup_credits=0)
    caller = await tokens.call(tokens.issue(verified=True))
    assert (await house.account(caller.account)).verified_at is not None
    assert house.store.documents(SignupMarker) == []


@pytest.mark.parametrize(
    ("email", "mailbox"),
    [
        ("Ann@Example.COM", "ann@example.com"),
        ("ann+rushes+2@example.com", "ann@example.com"),
        ("a.n.n@example.com", "a.n.n@example.com"),
        ("A.n.n+x@googlemail.com", "ann@gmail.com"),
        ("+tag@example.com", "+tag@example.com"),
        ("ａｎｎ@example.com", "ann@example.com"),
    ],
)
def test_spellings_of_one_mailbox_are_one_email(email: str, mailbox: str) -> None:
    assert normalized(email) == mailbox


def test_same_email_in_another_tenant_is_new() -> None:
    assert marker_id("a", "ann@example.com") != marker_id("b", "ann@example.com")


# --- the address follows the token ---


async def test_older_token_does_not_restore_the_old_email(house: House, tokens: Tokens) -> None:
    old = tokens.issue(verified=True)
    caller = await tokens.call(old)
    house.clock.advance(10)
    await tokens.call(tokens.issue(email="new@example.com", verified=False))
    account = await house.account(caller.account)
    assert (account.email, account.email_verified) == ("new@example.com", False)
    assert "Refresh the token" in await tokens.refused(old)
    assert await house.account(caller.account) == account


async def test_verification_within_the_second_of_sign_up_counts(house: House, tokens: Tokens) -> None:
    unverified, verified = tokens.issue(), tokens.issue(verified=True)
    caller = await tokens.call(unverified)
    await tokens.call(verified)
    assert await balance(house, caller) == 500
    await tokens.refused(unverified)


async def test_closed_account_is_not_updated_by_tokens(house: House, tokens: Tokens) -> None:
    caller = await tokens.call(tokens.issue(verified=True))
    house.store.edit("accounts", caller.account, {"closed_at": house.clock(), "email": None})
    house.clock.advance(60)
    with pytest.raises(ApiError) as error:
        await tokens.call(tokens.issue(verified=True))
    assert error.value.code == "ACCOUNT_CLOSED"
    assert (await house.account(caller.account)).email is None


# --- squatters: signed up with someone else's email ---


async def test_owners_google_sign_in_ends_the_squatters_session(house: House, tokens: Tokens) -> None:
    began = house.clock()
    stranger = tokens.issue()
    caller = await tokens.call(stranger)
    house.clock.advance(600)
    # Identity Platform keeps the user, adds Google and calls the address verified.
    await tokens.call(tokens.issue(verified=True, provider=GOOGLE, federated=True))
    assert await balance(house, caller) == 500
    await tokens.refused(stranger)
    house.clock.advance(600)
    for sign_in in (began, began + timedelta(seconds=600)):
        refreshed = tokens.issue(verified=True, federated=True, signed_in_at=sign_in)
        assert "Sign in again" in await tokens.refused(refreshed)
    await tokens.call(tokens.issue(verified=True, federated=True))


async def test_squatter_cannot_use_the_owners_verification(house: House, tokens: Tokens) -> None:
    began = house.clock()
    await tokens.call(tokens.issue())
    house.clock.advance(600)
    # The owner has signed in with Google, and hasn't called us yet.
    refreshed = tokens.issue(verified=True, federated=True, signed_in_at=began)
    assert "provider" in await tokens.refused(refreshed)
    assert house.store.documents(Transaction) == []
    assert "provider" in await tokens.refused(tokens.issue("never seen", verified=True, federated=True))
    assert [account.sub for account in house.store.documents(Account)] == ["u1"]


async def test_verified_user_who_adds_google_stays_signed_in(house: House, tokens: Tokens) -> None:
    began = house.clock()
    caller = await tokens.call(tokens.issue(verified=True))
    key = (await api_keys.make(house.services, caller, NewApiKey(name="k", scope="write"))).key
    house.clock.advance(600)
    await tokens.call(tokens.issue(verified=True, provider=GOOGLE, federated=True))
    for bearer in (tokens.issue(verified=True, federated=True, signed_in_at=began), key):
        assert (await tokens.call(bearer)).account == caller.account


async def test_session_from_before_verification_continues_with_a_refreshed_token(house: House, tokens: Tokens) -> None:
    began, accounts = house.clock(), Accounts()
    old = tokens.issue()
    caller = await tokens.call(old, accounts)
    house.clock.advance(600)
    await tokens.call(tokens.issue(verified=True, signed_in_at=began), accounts)
    # After the owner resets the password, this is all a stranger still holds.
    assert "Refresh the token" in await tokens.refused(old, accounts)
    assert (await tokens.call(tokens.issue(verified=True, signed_in_at=began))).account == caller.account


# --- what waits for the proof ---


async def test_unverified_account_has_no_keys_or_webhooks(house: House, tokens: Tokens) -> None:
    caller = await tokens.call(tokens.issue())
    for attempt in (
        api_keys.make(house.services, caller, NewApiKey(name="k", scope="read")),
        endpoints.make(house.services, caller, NewWebhookEndpoint(url="https://example.com/hook")),
        endpoints.own_secret(house.services, caller),
        endpoints.rotate_secret(house.services, caller),
    ):
        with pytest.raises(ApiError) as error:
            await attempt
        assert (error.value.code, error.value.entry.status) == ("EMAIL_NOT_VERIFIED", 403)
    assert house.store.documents(api_keys.ApiKey) == house.store.documents(endpoints.WebhookEndpoint) == []
    house.clock.advance(1)
    await tokens.call(tokens.issue(verified=True))
    await api_keys.make(house.services, caller, NewApiKey(name="k", scope="read"))


async def test_key_from_before_verification_is_rejected(house: House, tokens: Tokens) -> None:
    caller = await tokens.call(tokens.issue(verified=True))
    key = await api_keys.make(house.services, caller, NewApiKey(name="k", scope="write"))
    house.store.edit("accounts", caller.account, {"verified_at": None})
    assert "before" in await tokens.refused(key.key)
    house.store.edit("accounts", caller.account, {"verified_at": house.clock() + timedelta(seconds=1)})
    assert "before" in await tokens.refused(key.key)


async def test_key_made_under_a_slow_clock_works(house: House, tokens: Tokens) -> None:
    caller = await tokens.call(tokens.issue(verified=True))
    behind = replace(house.services, clock=lambda: house.clock() - timedelta(seconds=5))
    key = await api_keys.make(behind, caller, NewApiKey(name="k", scope="write"))
    assert (await tokens.call(key.key)).key == key.id
