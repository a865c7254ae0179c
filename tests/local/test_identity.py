"""The identity server speaks Identity Platform's language: what works there works here, word for word."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import jwt
import pytest

from local.identity import GOOGLE, GOOGLE_CLIENT_ID, HOST_PREFIX, MAILBOX, STS, TOOLKIT
from local.identity import mail as mails
from local.identity.google import Google
from local.identity.keys import Signer
from local.identity.server import create_app

PROJECT = "a-project"
KEY = {"key": "any"}
OWNER = {"Authorization": "Bearer owner"}
CONFIG = f"{HOST_PREFIX}/admin/v2/projects/{PROJECT}/config"


class Api:
    """The calls of a page."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        transport = httpx2.ASGITransport(create_app(directory, PROJECT))
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://localhost:8080")
        self.google = Google(directory)

    async def call(self, name: str, **body: Any) -> httpx2.Response:
        return await self.http.post(f"{TOOLKIT}/accounts:{name}", params=KEY, json=body)

    async def ok(self, name: str, **body: Any) -> dict[str, Any]:
        answer = await self.call(name, **body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def error(self, name: str, **body: Any) -> str:
        answer = await self.call(name, **body)
        assert answer.status_code == 400, answer.text
        error = answer.json()["error"]
        assert error["code"] == 400
        assert error["errors"] == [{"message": error["message"], "domain": "global", "reason": "invalid"}]
        return str(error["message"])

    async def sign_up(self, **more: Any) -> dict[str, Any]:
        email = f"user-{secrets.token_hex(4)}@example.com"
        return await self.ok("signUp", email=email, password="correct horse", returnSecureToken=True, **more)

    async def admin(self, name: str, tenant: str = "", **body: Any) -> dict[str, Any]:
        where = f"/tenants/{tenant}" if tenant else ""
        path = f"{TOOLKIT}/projects/{PROJECT}{where}/accounts{name}"
        answer = await self.http.post(path, headers=OWNER, json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def configure(self, mask: str, **body: Any) -> None:
        answer = await self.http.patch(CONFIG, params={"updateMask": mask}, headers=OWNER, json=body)
        assert answer.status_code == 200, answer.text

    async def tenant(self) -> str:
        path = f"{HOST_PREFIX}/v2/projects/{PROJECT}/tenants"
        made = (await self.http.post(path, headers=OWNER, json={"displayName": "studio"})).json()
        return str(made["name"]).rpartition("/")[2]

    async def mailed(self, kind: str, **body: Any) -> dict[str, str]:
        """The mail that a call of sendOobCode has sent."""
        await self.ok("sendOobCode", requestType=kind, **body)
        mail: dict[str, str] = (await self.mailbox())[-1]
        assert mail["requestType"] == kind
        return mail

    async def mailbox(self) -> list[dict[str, str]]:
        return list((await self.http.get(f"{MAILBOX}/{PROJECT}/oobCodes")).json()["oobCodes"])

    async def with_google(self, email: str, **more: Any) -> dict[str, Any]:
        post = f"id_token={self.google.id_token(email)}&providerId=google.com"
        return await self.ok("signInWithIdp", postBody=post, requestUri="http://localhost:8080", **more)

    async def refused(self, refresh_token: str) -> str:
        return str((await self.token(refresh_token)).json()["error"]["message"])

    async def token(self, refresh_token: str, **more: str) -> httpx2.Response:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **more}
        return await self.http.post(f"{STS}/token", params=KEY, data=form)


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    api = Api(tmp_path)
    yield api
    await api.http.aclose()


async def test_id_token_verifies_with_the_published_key(api: Api) -> None:
    """What signUp answers passes a standard check with the key of the JWKS, and carries the real service's claims."""
    user = await api.sign_up(displayName="Ada")
    published = jwt.PyJWKSet.from_dict((await api.http.get("/.well-known/jwks.json")).json())
    header = jwt.get_unverified_header(user["idToken"])
    key = published[header["kid"]]
    issuer = f"https://securetoken.google.com/{PROJECT}"
    claims = jwt.decode(user["idToken"], key, algorithms=["RS256"], audience=PROJECT, issuer=issuer)
    assert claims["sub"] == claims["user_id"] == user["localId"]
    assert claims["exp"] - claims["iat"] == 3600 == int(user["expiresIn"])
    assert claims["auth_time"] <= claims["iat"]
    assert (claims["email"], claims["email_verified"], claims["name"]) == (user["email"], False, "Ada")
    assert claims["firebase"] == {"identities": {"email": [user["email"]]}, "sign_in_provider": "password"}


async def test_discovery_document_leads_to_the_keys(api: Api) -> None:
    """An OpenID Connect client finds the keys by the discovery document."""
    described = (await api.http.get("/.well-known/openid-configuration")).json()
    assert described["issuer"] == f"https://securetoken.google.com/{PROJECT}"
    assert (await api.http.get(described["jwks_uri"])).json()["keys"][0]["kty"] == "RSA"


async def test_tenants_are_isolated(api: Api) -> None:
    """The tenant is in the token, and one address may be two users in two tenants."""
    here, there = await api.tenant(), await api.tenant()
    one = await api.sign_up(tenantId=here)
    other = await api.ok("signUp", email=one["email"], password="another one", tenantId=there)
    assert one["localId"] != other["localId"]
    assert claims_of(one["idToken"])["firebase"]["tenant"] == here
    signed_in = await api.ok("signInWithPassword", email=one["email"], password="correct horse", tenantId=here)
    assert signed_in["localId"] == one["localId"]
    body = {"email": one["email"], "password": "correct horse", "tenantId": there}
    assert await api.error("signInWithPassword", **body) == "INVALID_LOGIN_CREDENTIALS"
    assert await api.error("lookup", idToken=one["idToken"], tenantId=there) == "TENANT_ID_MISMATCH"


async def test_unknown_tenant_is_rejected(api: Api) -> None:
    """In every call that names one; Firebase's emulator would make it."""
    assert (
        await api.error("signUp", email="a@example.com", password="correct horse", tenantId="x") == "INVALID_TENANT_ID"
    )
    body = {"email": "a@example.com", "tenantId": "x"}
    assert await api.error("signInWithPassword", password="correct horse", **body) == "INVALID_TENANT_ID"
    assert await api.error("sendOobCode", requestType="PASSWORD_RESET", **body) == "INVALID_TENANT_ID"


async def test_users_and_key_survive_a_restart(api: Api) -> None:
    """A second server over the same files knows the user, honors the old refresh token and signs with the same key."""
    user = await api.sign_up()
    again = Api(api.directory)
    signed_in = await again.ok("signInWithPassword", email=user["email"], password="correct horse")
    assert signed_in["localId"] == user["localId"]
    assert (await again.token(user["refreshToken"])).status_code == 200
    assert jwt.get_unverified_header(signed_in["idToken"]) == jwt.get_unverified_header(user["idToken"])
    await again.http.aclose()


async def test_passwords_are_not_stored(api: Api) -> None:
    """The file of users holds neither the password nor anything readable by others."""
    await api.sign_up()
    path = api.directory / "users.json"
    assert "correct horse" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    assert (api.directory / "key.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"password": "correct horse"}, "MISSING_EMAIL"),
        ({"email": "nobody", "password": "correct horse"}, "INVALID_EMAIL"),
        ({"email": "", "password": "correct horse"}, "INVALID_EMAIL"),
        ({"email": "new@example.com"}, "MISSING_PASSWORD"),
        ({"email": "new@example.com", "password": ""}, "MISSING_PASSWORD"),
        (
            {"email": "new@example.com", "password": "short"},
            "WEAK_PASSWORD : Password should be at least 6 characters",
        ),
    ],
)
async def test_invalid_sign_up_has_the_real_error(api: Api, body: dict[str, str], message: str) -> None:
    """Pages switch on these words."""
    assert await api.error("signUp", **body) == message


async def test_email_can_sign_up_once(api: Api) -> None:
    """Whatever its case."""
    user = await api.sign_up()
    assert await api.error("signUp", email=user["email"].upper(), password="correct horse") == "EMAIL_EXISTS"


async def test_wrong_email_and_wrong_password_look_alike(api: Api) -> None:
    """So that answers don't reveal who has an account."""
    user = await api.sign_up()
    wrong = await api.error("signInWithPassword", email=user["email"], password="wrong horse")
    unknown = await api.error("signInWithPassword", email="nobody@example.com", password="correct horse")
    assert wrong == unknown == "INVALID_LOGIN_CREDENTIALS"
    assert await api.error("signInWithPassword", email=user["email"]) == "MISSING_PASSWORD"


async def test_refresh_token_gives_a_new_id_token(api: Api) -> None:
    """By form, as the SDKs send it; the sign-in's time stays what it was."""
    user = await api.sign_up()
    fresh = (await api.token(user["refreshToken"])).json()
    before, after = (
        jwt.decode(token, options={"verify_signature": False}) for token in (user["idToken"], fresh["id_token"])
    )
    assert fresh["user_id"] == user["localId"] == after["sub"]
    assert after["auth_time"] == before["auth_time"]
    assert (fresh["token_type"], fresh["expires_in"]) == ("Bearer", "3600")


async def test_other_tokens_are_no_refresh_tokens(api: Api) -> None:
    """Neither nonsense nor an ID token; and a refresh token is no ID token."""
    user = await api.sign_up()
    for bad in ("nonsense", user["idToken"]):
        assert (await api.token(bad)).json()["error"]["message"] == "INVALID_REFRESH_TOKEN"
    assert (await api.token("", grant_type="refresh_token")).json()["error"]["message"] == "MISSING_REFRESH_TOKEN"
    assert (await api.token("x", grant_type="password")).json()["error"]["message"] == "INVALID_GRANT_TYPE"
    assert await api.error("lookup", idToken=user["refreshToken"]) == "INVALID_ID_TOKEN"


async def test_new_password_revokes_the_old_one_and_its_refresh_tokens(api: Api) -> None:
    """The response has new tokens, so the session that changed it stays signed in."""
    user = await api.sign_up()
    changed = await api.ok("update", idToken=user["idToken"], password="battery staple", displayName="Grace")
    assert (await api.token(user["refreshToken"])).json()["error"]["message"] == "TOKEN_EXPIRED"
    assert (await api.token(changed["refreshToken"])).status_code == 200
    old = await api.error("signInWithPassword", email=user["email"], password="correct horse")
    assert old == "INVALID_LOGIN_CREDENTIALS"
    looked_up = await api.ok("lookup", idToken=changed["idToken"])
    assert looked_up["users"][0]["displayName"] == "Grace"
    assert "passwordHash" not in looked_up["users"][0]


async def test_old_sign_in_cannot_change_the_password(api: Api, tmp_path: Path) -> None:
    """The client signs in again, and retries."""
    user = await api.sign_up()
    old = Signer.of(tmp_path, PROJECT).id_token(user["localId"], auth_time_s=int(time.time()) - 301)
    assert await api.error("update", idToken=old, password="battery staple") == "CREDENTIAL_TOO_OLD_LOGIN_AGAIN"
    await api.ok("update", idToken=old, displayName="Grace")


# --- mail ---


async def test_new_user_verifies_the_email(api: Api) -> None:
    """The account says so at once, the token with its next refresh; the code works once, and on any device."""
    user = await api.sign_up()
    mail = await api.mailed("VERIFY_EMAIL", idToken=user["idToken"])
    asked = dict(parse_qsl(urlsplit(mail["oobLink"]).query))
    assert mail["oobLink"].startswith("http://localhost:8080/?")
    assert asked == {"mode": "verifyEmail", "oobCode": mail["oobCode"], "apiKey": "any", "lang": "en"}
    # Looking does not use it up.
    seen = await api.ok("resetPassword", oobCode=mail["oobCode"])
    assert (seen["email"], seen["requestType"]) == (user["email"], "VERIFY_EMAIL")
    assert (await api.ok("lookup", idToken=user["idToken"]))["users"][0]["emailVerified"] is False
    assert (await api.ok("update", oobCode=mail["oobCode"]))["emailVerified"] is True
    assert await api.error("update", oobCode=mail["oobCode"]) == "INVALID_OOB_CODE"
    assert (await api.ok("lookup", idToken=user["idToken"]))["users"][0]["emailVerified"] is True
    refreshed = (await api.token(user["refreshToken"])).json()["id_token"]
    verified = [claims_of(token)["email_verified"] for token in (user["idToken"], refreshed)]
    assert verified == [False, True]


async def test_forgotten_password_is_reset_by_email(api: Api) -> None:
    """That verifies the address too, ends all sign-ins, and an unknown address gets the same answer and no mail."""
    user = await api.sign_up()
    known = await api.ok("sendOobCode", requestType="PASSWORD_RESET", email=user["email"])
    code = (await api.mailbox())[-1]["oobCode"]
    assert (await api.error("resetPassword", oobCode=code, newPassword="short")).startswith("WEAK_PASSWORD")
    await api.ok("resetPassword", oobCode=code, newPassword="battery staple")
    assert await api.error("resetPassword", oobCode=code, newPassword="once more") == "INVALID_OOB_CODE"
    assert await api.refused(user["refreshToken"]) == "TOKEN_EXPIRED"
    signed_in = await api.ok("signInWithPassword", email=user["email"], password="battery staple")
    assert claims_of(signed_in["idToken"])["email_verified"] is True
    before = await api.mailbox()
    unknown = await api.ok("sendOobCode", requestType="PASSWORD_RESET", email="nobody@example.com")
    assert (set(unknown), await api.mailbox()) == (set(known), before)


async def test_codes_expire(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reset's after an hour, a verification's after three days."""
    user = await api.sign_up()
    reset = await api.mailed("PASSWORD_RESET", email=user["email"])
    verify = await api.mailed("VERIFY_EMAIL", idToken=user["idToken"])
    now = time.time()
    monkeypatch.setattr(mails.time, "time", lambda: now + 3_601)
    assert await api.error("resetPassword", oobCode=reset["oobCode"]) == "EXPIRED_OOB_CODE"
    await api.ok("resetPassword", oobCode=verify["oobCode"])
    monkeypatch.setattr(mails.time, "time", lambda: now + 72 * 3_600 + 1)
    assert await api.error("update", oobCode=verify["oobCode"]) == "EXPIRED_OOB_CODE"
    assert await api.error("update", oobCode="never sent") == "INVALID_OOB_CODE"


async def test_codes_survive_a_restart(api: Api) -> None:
    user = await api.sign_up()
    mail = await api.mailed("VERIFY_EMAIL", idToken=user["idToken"])
    again = Api(api.directory)
    assert (await again.ok("update", oobCode=mail["oobCode"]))["emailVerified"] is True
    await again.http.aclose()


async def test_code_works_only_for_its_purpose(api: Api) -> None:
    user = await api.sign_up()
    reset = await api.mailed("PASSWORD_RESET", email=user["email"])
    assert await api.error("update", oobCode=reset["oobCode"]) == "INVALID_OOB_CODE"
    verify = await api.mailed("VERIFY_EMAIL", idToken=user["idToken"])
    body = {"oobCode": verify["oobCode"], "newPassword": "battery staple"}
    assert await api.error("resetPassword", **body) == "INVALID_OOB_CODE"


async def test_email_is_changed_by_mail_and_can_be_restored(api: Api) -> None:
    """The new address gets the code; the old one gets a way back; sign-ins end both times."""
    user = await api.sign_up()
    assert (
        await api.error("update", idToken=user["idToken"], email="b@example.com") == "EMAIL_CHANGE_NEEDS_VERIFICATION"
    )
    change = await api.mailed("VERIFY_AND_CHANGE_EMAIL", idToken=user["idToken"], newEmail="b@example.com")
    assert (change["email"], change["newEmail"]) == (user["email"], "b@example.com")
    changed = await api.ok("update", oobCode=change["oobCode"])
    assert (changed["email"], changed["emailVerified"]) == ("b@example.com", True)
    assert await api.refused(user["refreshToken"]) == "TOKEN_EXPIRED"
    recover = (await api.mailbox())[-1]
    assert (recover["requestType"], recover["email"]) == ("RECOVER_EMAIL", user["email"])
    assert (await api.ok("update", oobCode=recover["oobCode"]))["email"] == user["email"]
    await api.ok("signInWithPassword", email=user["email"], password="correct horse")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("/relative", "INVALID_CONTINUE_URI"),
        ("javascript:alert(1)", "INVALID_CONTINUE_URI"),
        ("https://evil.example/", "UNAUTHORIZED_DOMAIN"),
        ("http://localhost:8080/?verified=1", ""),
    ],
)
async def test_link_leads_back_only_to_authorized_domains(api: Api, url: str, said: str) -> None:
    user = await api.sign_up()
    body = {"requestType": "VERIFY_EMAIL", "idToken": user["idToken"], "continueUrl": url}
    if said:
        assert (await api.error("sendOobCode", **body)).partition(" : ")[0] == said
        return
    await api.ok("sendOobCode", **body)
    assert dict(parse_qsl(urlsplit((await api.mailbox())[-1]["oobLink"]).query))["continueUrl"] == url


async def test_mail_has_the_readers_language_and_configured_link(api: Api) -> None:
    user = await api.sign_up()
    await api.configure(
        "notification.sendEmail.callbackUri", notification={"sendEmail": {"callbackUri": "https://h/a"}}
    )
    body = {"requestType": "VERIFY_EMAIL", "idToken": user["idToken"]}
    await api.http.post(f"{TOOLKIT}/accounts:sendOobCode", params=KEY, json=body, headers={"X-Firebase-Locale": "de"})
    link = (await api.mailbox())[-1]["oobLink"]
    assert link.startswith("https://h/a?mode=verifyEmail")
    assert "lang=de" in link


async def test_only_an_administrator_receives_the_link(api: Api) -> None:
    user = await api.sign_up()
    body = {"requestType": "VERIFY_EMAIL", "returnOobLink": True}
    assert (await api.call("sendOobCode", idToken=user["idToken"], **body)).status_code == 403
    said = await api.admin(":sendOobCode", email=user["email"], **body)
    assert said["oobCode"] in said["oobLink"]


async def test_mail_to_one_user_is_throttled(api: Api) -> None:
    user = await api.sign_up()
    body = {"requestType": "VERIFY_EMAIL", "idToken": user["idToken"]}
    for _ in range(10):
        await api.ok("sendOobCode", **body)
    assert await api.error("sendOobCode", **body) == "TOO_MANY_ATTEMPTS_TRY_LATER"


# --- Google ---


async def test_new_user_signs_in_with_google(api: Api) -> None:
    """Verified from the start; the token says who vouches."""
    user = await api.with_google("ada@example.com")
    assert (user["emailVerified"], user["isNewUser"]) == (True, True)
    claims = claims_of((await api.token(user["refreshToken"])).json()["id_token"])
    assert claims["email_verified"] is True
    assert claims["firebase"]["sign_in_provider"] == "google.com"
    assert set(claims["firebase"]["identities"]) == {"google.com", "email"}
    again = await api.with_google("ada@example.com")
    assert (again["localId"], "isNewUser" in again) == (user["localId"], False)


async def test_google_takes_over_an_unverified_user(api: Api) -> None:
    """The same user, without the stranger's password; their refresh token keeps working, as on the emulator."""
    stranger = await api.sign_up()
    owner = await api.with_google(stranger["email"])
    assert owner["localId"] == stranger["localId"]
    body = {"email": stranger["email"], "password": "correct horse"}
    assert await api.error("signInWithPassword", **body) == "INVALID_LOGIN_CREDENTIALS"
    claims = claims_of((await api.token(stranger["refreshToken"])).json()["id_token"])
    assert (claims["email_verified"], claims["firebase"]["sign_in_provider"]) == (True, "password")
    assert "google.com" in claims["firebase"]["identities"]


async def test_google_joins_a_verified_user(api: Api) -> None:
    """Who keeps the password, until it is reset: then Google goes."""
    user = await api.sign_up()
    await api.admin(":update", localId=user["localId"], emailVerified=True)
    assert (await api.with_google(user["email"]))["localId"] == user["localId"]
    await api.ok("signInWithPassword", email=user["email"], password="correct horse")
    mail = await api.mailed("PASSWORD_RESET", email=user["email"])
    await api.ok("resetPassword", oobCode=mail["oobCode"], newPassword="battery staple")
    known = (await api.admin(":lookup", localId=[user["localId"]]))["users"][0]
    assert [provider["providerId"] for provider in known["providerUserInfo"]] == ["password"]


async def test_google_account_belongs_to_one_user(api: Api) -> None:
    """A 200 without tokens, as the real service answers it."""
    await api.with_google("ada@example.com")
    user = await api.sign_up()
    said = await api.with_google("ada@example.com", idToken=user["idToken"])
    assert said["errorMessage"] == "FEDERATED_USER_ID_ALREADY_LINKED"
    assert "idToken" not in said


async def test_other_tokens_are_not_googles(api: Api, tmp_path: Path) -> None:
    async def said(token: str, nonce: str = "") -> str:
        post = f"id_token={token}&providerId=google.com&nonce={nonce}"
        told = await api.error("signInWithIdp", postBody=post, requestUri="http://localhost:8080")
        return told.partition(" : ")[0]

    assert await said(api.google.id_token("a@example.com", aud="another client")) == "INVALID_IDP_RESPONSE"
    assert await said(Google(tmp_path / "other").id_token("a@example.com")) == "INVALID_IDP_RESPONSE"
    assert await said(api.google.id_token("a@example.com", nonce="n")) == "MISSING_OR_INVALID_NONCE"
    assert await said(api.google.id_token("a@example.com", nonce="n"), "other") == "MISSING_OR_INVALID_NONCE"
    await api.ok(
        "signInWithIdp",
        postBody=f"id_token={api.google.id_token('a@example.com', nonce='n')}&providerId=google.com&nonce=n",
        requestUri="http://localhost:8080",
    )


async def test_google_page_returns_a_token_for_the_email(api: Api) -> None:
    """By the flow that createAuthUri begins: the session binds the redirect to its initiator, once."""
    begun = await api.ok("createAuthUri", providerId="google.com", continueUri="http://localhost:8080/")
    assert "<form" in (await api.http.get(begun["authUri"])).text
    returned = await api.http.get(f"{begun['authUri']}&email=ada%40example.com")
    assert returned.status_code == 302
    body = {"requestUri": returned.headers["location"], "sessionId": begun["sessionId"]}
    assert (await api.error("signInWithIdp", **{**body, "sessionId": "x"})).startswith("INVALID_IDP_RESPONSE")
    assert (await api.ok("signInWithIdp", **body))["email"] == "ada@example.com"
    assert (await api.error("signInWithIdp", **body)).startswith("INVALID_IDP_RESPONSE")


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "other"},
        {"redirect_uri": "https://evil.example/"},
        {"redirect_uri": "http://localhost:8080/#x"},
        {"response_type": "token"},
        {"nonce": ""},
    ],
)
async def test_google_page_rejects_an_invalid_request(api: Api, wrong: dict[str, str]) -> None:
    good = {
        "client_id": GOOGLE_CLIENT_ID,
        "redirect_uri": "http://localhost:8080/",
        "response_type": "id_token",
        "scope": "openid email",
        "nonce": "n",
    }
    path = f"{GOOGLE}/o/oauth2/v2/auth"
    assert (await api.http.get(path, params=good)).status_code == 200
    assert (await api.http.get(path, params=good | wrong)).status_code == 400


# --- abuse, and administrators ---


async def test_sign_ups_from_one_address_are_throttled(api: Api) -> None:
    """Google's are counted too; an administrator's are not, and other addresses are not affected."""
    quota = {"quota": "2", "startTime": "2026-11-27T00:00:00Z", "quotaDuration": "86400s"}
    await api.configure("quota.signUpQuotaConfig", quota={"signUpQuotaConfig": quota})
    user = await api.sign_up()
    await api.with_google("ada@example.com")
    body = {"email": "third@example.com", "password": "correct horse"}
    assert await api.error("signUp", **body) == "TOO_MANY_ATTEMPTS_TRY_LATER"
    post = f"id_token={api.google.id_token('bob@example.com')}&providerId=google.com"
    said = await api.error("signInWithIdp", postBody=post, requestUri="http://localhost:8080")
    assert said == "TOO_MANY_ATTEMPTS_TRY_LATER"
    await api.ok("signInWithPassword", email=user["email"], password="correct horse")
    await api.admin("", email="fourth@example.com", password="correct horse")
    elsewhere = {"X-Forwarded-For": "1.1.1.1, 203.0.113.7"}
    answer = await api.http.post(f"{TOOLKIT}/accounts:signUp", params=KEY, json=body, headers=elsewhere)
    assert answer.status_code == 200


async def test_wrong_passwords_are_throttled(api: Api) -> None:
    user = await api.sign_up()
    for _ in range(10):
        await api.error("signInWithPassword", email=user["email"], password="wrong horse")
    body = {"email": user["email"], "password": "correct horse"}
    assert await api.error("signInWithPassword", **body) == "TOO_MANY_ATTEMPTS_TRY_LATER"


async def test_without_enumeration_protection_answers_reveal_accounts(api: Api) -> None:
    """The page and the command line know both vocabularies."""
    user = await api.sign_up()
    uri = "http://localhost:8080/"
    assert "registered" not in await api.ok("createAuthUri", identifier=user["email"], continueUri=uri)
    privacy = {"enableImprovedEmailPrivacy": False}
    await api.configure("emailPrivacyConfig.enableImprovedEmailPrivacy", emailPrivacyConfig=privacy)
    assert (await api.ok("createAuthUri", identifier=user["email"], continueUri=uri))["signinMethods"] == ["password"]
    body = {"email": "nobody@example.com"}
    assert await api.error("signInWithPassword", password="correct horse", **body) == "EMAIL_NOT_FOUND"
    assert await api.error("signInWithPassword", email=user["email"], password="wrong") == "INVALID_PASSWORD"
    assert await api.error("sendOobCode", requestType="PASSWORD_RESET", **body) == "EMAIL_NOT_FOUND"


async def test_password_policy_is_published_and_enforced(api: Api) -> None:
    path = f"{HOST_PREFIX}/v2/passwordPolicy"
    assert (await api.http.get(path, params=KEY)).json()["customStrengthOptions"]["minPasswordLength"] == 6
    versions = [{"customStrengthOptions": {"minPasswordLength": 15, "maxPasswordLength": 30}}]
    policy = {"passwordPolicyVersions": versions, "passwordPolicyEnforcementState": "ENFORCE"}
    await api.configure("passwordPolicyConfig", passwordPolicyConfig=policy)
    assert (await api.http.get(path, params=KEY)).json()["customStrengthOptions"]["minPasswordLength"] == 15
    body = {"email": "new@example.com", "password": "correct horse"}
    assert "at least 15 characters" in await api.error("signUp", **body)


async def test_users_delete_themselves_only_if_the_project_allows_it(api: Api) -> None:
    """A deleted user's tokens are gone with it, and its address is free again."""
    user = await api.sign_up()
    assert await api.error("delete", idToken=user["idToken"]) == "ADMIN_ONLY_OPERATION"
    permissions = {"permissions": {"disabledUserDeletion": False}}
    await api.configure("client.permissions.disabledUserDeletion", client=permissions)
    await api.ok("delete", idToken=user["idToken"])
    assert await api.error("lookup", idToken=user["idToken"]) == "USER_NOT_FOUND"
    assert await api.refused(user["refreshToken"]) == "USER_NOT_FOUND"
    again = await api.ok("signUp", email=user["email"], password="correct horse")
    assert again["localId"] != user["localId"]
    await api.admin(":delete", localId=again["localId"])
    assert await api.error("lookup", idToken=again["idToken"]) == "USER_NOT_FOUND"


async def test_sign_up_can_be_restricted_to_administrators(api: Api) -> None:
    permissions = {"permissions": {"disabledUserSignup": True}}
    await api.configure("client.permissions.disabledUserSignup", client=permissions)
    body = {"email": "new@example.com", "password": "correct horse"}
    assert await api.error("signUp", **body) == "ADMIN_ONLY_OPERATION"
    await api.admin("", emailVerified=True, **body)
    assert claims_of((await api.ok("signInWithPassword", **body))["idToken"])["email_verified"] is True


async def test_revoked_sign_in_is_not_refreshed(api: Api) -> None:
    """Signing out everywhere: `validSince` ends what began before it."""
    user = await api.sign_up()
    await api.admin(":update", localId=user["localId"], validSince=str(int(time.time()) + 1))
    assert await api.refused(user["refreshToken"]) == "TOKEN_EXPIRED"
    assert await api.error("lookup", idToken=user["idToken"]) == "TOKEN_EXPIRED"


async def test_admin_calls_need_the_credential(api: Api) -> None:
    user = await api.sign_up()
    for path in (f"{TOOLKIT}/projects/{PROJECT}/accounts:update", f"{TOOLKIT}/projects/{PROJECT}/accounts"):
        answer = await api.http.post(path, params=KEY, json={"localId": user["localId"], "emailVerified": True})
        assert answer.status_code == 403
    assert (await api.http.get(CONFIG)).status_code == 403
    other = await api.http.post(f"{TOOLKIT}/projects/other/accounts:lookup", headers=OWNER, json={})
    assert other.json()["error"]["message"] == "PROJECT_NOT_FOUND"


async def test_other_origins_read_neither_mail_nor_admin_responses(api: Api) -> None:
    """Sign-in answers every origin, as the real service does; what is on this machine only stays there."""
    origin = {"Origin": "https://evil.example"}
    for path in (f"{MAILBOX}/{PROJECT}/oobCodes", "/emulator/mailbox", CONFIG):
        answer = await api.http.get(path, headers=origin | OWNER)
        assert "access-control-allow-origin" not in answer.headers
    answer = await api.http.post(f"{TOOLKIT}/accounts:signUp", params=KEY, json={}, headers=origin)
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_disabled_user_cannot_sign_in(api: Api) -> None:
    """Nor go on with a sign-in from before."""
    user = await api.sign_up()
    await api.admin(":update", localId=user["localId"], disableUser=True)
    body = {"email": user["email"], "password": "correct horse"}
    assert await api.error("signInWithPassword", **body) == "USER_DISABLED"
    assert await api.refused(user["refreshToken"]) == "USER_DISABLED"


async def test_expired_or_foreign_token_is_rejected(api: Api, tmp_path: Path) -> None:
    """The error says which of both it is."""
    user = await api.sign_up()
    ours, foreign = Signer.of(tmp_path, PROJECT), Signer.of(tmp_path / "other", PROJECT)
    assert await api.error("lookup", idToken=ours.id_token(user["localId"], lifetime_s=-60)) == "TOKEN_EXPIRED"
    assert await api.error("lookup", idToken=foreign.id_token(user["localId"])) == "INVALID_ID_TOKEN"
    assert await api.error("lookup") == "MISSING_ID_TOKEN"


async def test_call_needs_an_api_key_and_a_json_object(api: Api) -> None:
    """Both failures are worded as the real front end words them."""
    answer = await api.http.post(f"{TOOLKIT}/accounts:signUp", json={})
    assert (answer.status_code, answer.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
    for content in (b"{", b"[]", b"\xff"):
        answer = await api.http.post(f"{TOOLKIT}/accounts:signUp", params=KEY, content=content)
        assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    answer = await api.http.post(f"{TOOLKIT}/accounts:signUp", params=KEY, json={"email": 1})
    assert answer.status_code == 400
    answer = await api.http.post(f"{TOOLKIT}/accounts:signUp", params=KEY, content=b" " * 70_000)
    assert answer.status_code == 413
