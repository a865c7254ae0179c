"""Signing up: what a verified email enables, one-time credits, and locking out squatters."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import pytest

from local.identity import GOOGLE, GOOGLE_CLIENT_ID, TOOLKIT
from testing.cloud import IDENTITY_ADMIN, Cloud, Json, User

PASSWORD = "correct horse"


@dataclass
class SignIn:
    """One sign-in at the identity service, and the API as it lets its user in."""

    cloud: Cloud
    email: str
    tokens: Json

    @classmethod
    def up(cls, cloud: Cloud, email: str) -> SignIn:
        said = cloud.identity("signUp", email=email, password=PASSWORD, returnSecureToken=True)
        return cls(cloud, email, said)

    @classmethod
    def with_google(cls, cloud: Cloud, email: str) -> SignIn:
        """By Google's page, as the studio does it."""
        asked = {
            "client_id": GOOGLE_CLIENT_ID,
            "redirect_uri": f"{cloud.url}/",
            "response_type": "id_token",
            "scope": "openid email",
            "nonce": "n",
            "email": email,
        }
        returned = cloud.http.get(f"{cloud.url}{GOOGLE}/o/oauth2/v2/auth", params=asked, follow_redirects=False)
        token = returned.headers["location"].partition("id_token=")[2]
        body = {"postBody": f"id_token={token}&providerId=google.com&nonce=n", "requestUri": cloud.url}
        return cls(cloud, email, cloud.identity("signInWithIdp", returnSecureToken=True, **body))

    @property
    def user(self) -> User:
        """With the token that the sign-in gave."""
        return User(self.cloud, self.tokens["idToken"])

    def refreshed(self) -> User:
        return User(self.cloud, self.cloud.refreshed(self.tokens["refreshToken"]))

    def verify(self) -> User:
        """Open the link in the mail."""
        self.cloud.identity("sendOobCode", requestType="VERIFY_EMAIL", idToken=self.tokens["idToken"])
        self.cloud.identity("update", oobCode=self.cloud.mailed(self.email)["oobCode"])
        return self.refreshed()

    def remove(self) -> None:
        """The sign-in at the identity service, as an administrator of the project."""
        path = f"{self.cloud.url}{TOOLKIT}/projects/{self.cloud.session['project']}/accounts:delete"
        answer = self.cloud.http.post(path, headers=IDENTITY_ADMIN, json={"localId": self.tokens["localId"]})
        assert answer.status_code == 200, answer.text


@pytest.fixture
def email() -> str:
    return f"new-{secrets.token_hex(6)}@example.com"


def code(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


def test_credits_keys_and_webhooks_need_a_verified_email(cloud: Cloud, email: str) -> None:
    """Nothing is earned by claiming an address; the refreshed token earns all of it, at once and in every function."""
    new = SignIn.up(cloud, email)
    assert (new.user.account["balance"], new.user.account["email_verified"]) == (0, False)
    for path, body in (
        ("/v1/api-keys", {"name": "early", "scope": "write"}),
        ("/v1/webhook-endpoints", {"url": "https://example.com/hook"}),
    ):
        refused = new.user.call("POST", path, json=body)
        assert (refused.status_code, code(refused)) == (403, "EMAIL_NOT_VERIFIED")
    assert code(new.user.call("GET", "/v1/account/webhook-secret")) == "EMAIL_NOT_VERIFIED"
    user = new.verify()
    assert (user.account["balance"], user.account["email_verified"], user.ledger) == (500, True, [500])
    key = user.call("POST", "/v1/api-keys", json={"name": "now", "scope": "write"}).json()["key"]
    assert User(cloud, key).account["balance"] == 500
    # The token from before the proof is no stranger's way in.
    assert code(new.user.call("GET", "/v1/account")) == "UNAUTHENTICATED"
    assert new.refreshed().account["balance"] == 500


def test_signing_up_again_earns_no_second_credits(cloud: Cloud, email: str) -> None:
    """Neither a new sign-in for the address, nor deleting the account first, nor a +tag."""
    first = SignIn.up(cloud, email)
    assert first.verify().account["balance"] == 500
    first.remove()
    second = SignIn.up(cloud, email)
    user = second.verify()
    assert (user.account["balance"], user.ledger) == (0, [])
    assert user.call("DELETE", "/v1/account").status_code == 202
    second.remove()
    name, _, domain = email.partition("@")
    for again in (email, f"{name}+2@{domain}"):
        assert SignIn.up(cloud, again).verify().account["balance"] == 0


def test_users_cannot_delete_their_sign_in(cloud: Cloud, email: str) -> None:
    """It would leave an unreachable account: DELETE /v1/account is the way."""
    new = SignIn.up(cloud, email)
    path = f"{cloud.url}{TOOLKIT}/accounts:delete?key=local"
    answer = cloud.http.post(path, json={"idToken": new.tokens["idToken"]})
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "ADMIN_ONLY_OPERATION")


def test_owner_of_an_email_locks_out_a_squatter(cloud: Cloud, email: str) -> None:
    """The stranger's sign-in gets verified tokens from the identity service, and nothing from us."""
    stranger = SignIn.up(cloud, email)
    assert stranger.user.account["balance"] == 0
    owner = SignIn.with_google(cloud, email)
    assert owner.tokens["localId"] == stranger.tokens["localId"]
    # The stranger is first to call with the owner's proof.
    assert code(stranger.refreshed().call("GET", "/v1/account")) == "UNAUTHENTICATED"
    assert owner.user.account["balance"] == 500
    for intruder in (stranger.user, stranger.refreshed()):
        assert code(intruder.call("GET", "/v1/videos")) == "UNAUTHENTICATED"
