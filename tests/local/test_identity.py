"""The identity server speaks Identity Platform's language: what works there works here, word for word."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest

from local.identity import STS, TOOLKIT, create_app
from local.keys import Signer

PROJECT = "a-project"
KEY = {"key": "any"}


class Api:
    """The calls of a page."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        transport = httpx2.ASGITransport(create_app(directory, PROJECT))
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://identity")

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

    async def token(self, refresh_token: str, **more: str) -> httpx2.Response:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, **more}
        return await self.http.post(f"{STS}/token", params=KEY, data=form)


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    api = Api(tmp_path)
    yield api
    await api.http.aclose()


async def test_an_id_token_is_verified_by_the_published_key(api: Api) -> None:
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
    assert (claims["email"], claims["email_verified"], claims["name"]) == (user["email"], True, "Ada")
    assert claims["firebase"] == {"identities": {"email": [user["email"]]}, "sign_in_provider": "password"}


async def test_the_configuration_document_leads_to_the_keys(api: Api) -> None:
    """An OpenID Connect client finds the keys by the discovery document."""
    described = (await api.http.get("/.well-known/openid-configuration")).json()
    assert described["issuer"] == f"https://securetoken.google.com/{PROJECT}"
    assert (await api.http.get(described["jwks_uri"])).json()["keys"][0]["kty"] == "RSA"


async def test_a_tenant_is_a_world_of_its_own(api: Api) -> None:
    """The tenant is in the token, and one address may be two users in two tenants."""
    one = await api.sign_up(tenantId="studio-a")
    other = await api.ok("signUp", email=one["email"], password="another one", tenantId="studio-b")
    assert one["localId"] != other["localId"]
    claims = jwt.decode(one["idToken"], options={"verify_signature": False})
    assert claims["firebase"]["tenant"] == "studio-a"
    here = await api.ok("signInWithPassword", email=one["email"], password="correct horse", tenantId="studio-a")
    assert here["localId"] == one["localId"]
    body = {"email": one["email"], "password": "correct horse", "tenantId": "studio-b"}
    assert await api.error("signInWithPassword", **body) == "INVALID_LOGIN_CREDENTIALS"


async def test_users_and_key_survive_a_restart(api: Api) -> None:
    """A second server over the same files knows the user, honours the old refresh token and signs with the same key."""
    user = await api.sign_up()
    again = Api(api.directory)
    signed_in = await again.ok("signInWithPassword", email=user["email"], password="correct horse")
    assert signed_in["localId"] == user["localId"]
    assert (await again.token(user["refreshToken"])).status_code == 200
    assert jwt.get_unverified_header(signed_in["idToken"]) == jwt.get_unverified_header(user["idToken"])
    await again.http.aclose()


async def test_no_password_is_kept(api: Api) -> None:
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
async def test_a_bad_sign_up_is_refused_in_the_real_words(api: Api, body: dict[str, str], message: str) -> None:
    """Pages switch on these words."""
    assert await api.error("signUp", **body) == message


async def test_an_address_can_sign_up_once(api: Api) -> None:
    """Whatever its case."""
    user = await api.sign_up()
    assert await api.error("signUp", email=user["email"].upper(), password="correct horse") == "EMAIL_EXISTS"


async def test_a_wrong_address_and_a_wrong_password_look_alike(api: Api) -> None:
    """So nobody learns who has an account."""
    user = await api.sign_up()
    wrong = await api.error("signInWithPassword", email=user["email"], password="wrong horse")
    unknown = await api.error("signInWithPassword", email="nobody@example.com", password="correct horse")
    assert wrong == unknown == "INVALID_LOGIN_CREDENTIALS"
    assert await api.error("signInWithPassword", email=user["email"]) == "MISSING_PASSWORD"


async def test_a_refresh_token_gives_a_new_id_token(api: Api) -> None:
    """By form, as the SDKs send it; the sign-in's time stays what it was."""
    user = await api.sign_up()
    fresh = (await api.token(user["refreshToken"])).json()
    before, after = (
        jwt.decode(token, options={"verify_signature": False}) for token in (user["idToken"], fresh["id_token"])
    )
    assert fresh["user_id"] == user["localId"] == after["sub"]
    assert after["auth_time"] == before["auth_time"]
    assert (fresh["token_type"], fresh["expires_in"]) == ("Bearer", "3600")


async def test_no_other_token_passes_for_a_refresh_token(api: Api) -> None:
    """Neither nonsense nor an ID token; and a refresh token is no ID token."""
    user = await api.sign_up()
    for bad in ("nonsense", user["idToken"]):
        assert (await api.token(bad)).json()["error"]["message"] == "INVALID_REFRESH_TOKEN"
    assert (await api.token("", grant_type="refresh_token")).json()["error"]["message"] == "MISSING_REFRESH_TOKEN"
    assert (await api.token("x", grant_type="password")).json()["error"]["message"] == "INVALID_GRANT_TYPE"
    assert await api.error("lookup", idToken=user["refreshToken"]) == "INVALID_ID_TOKEN"


async def test_a_new_password_voids_the_old_one_and_its_refresh_tokens(api: Api) -> None:
    """The answer carries new tokens, so whoever changed it stays signed in."""
    user = await api.sign_up()
    changed = await api.ok("update", idToken=user["idToken"], password="battery staple", displayName="Grace")
    assert (await api.token(user["refreshToken"])).json()["error"]["message"] == "TOKEN_EXPIRED"
    assert (await api.token(changed["refreshToken"])).status_code == 200
    old = await api.error("signInWithPassword", email=user["email"], password="correct horse")
    assert old == "INVALID_LOGIN_CREDENTIALS"
    looked_up = await api.ok("lookup", idToken=changed["idToken"])
    assert looked_up["users"][0]["displayName"] == "Grace"
    assert "passwordHash" not in looked_up["users"][0]


async def test_a_forgotten_password_is_reset_by_the_code_that_is_printed(
    api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    """No mail is sent; the code is in the log, works once, and an unknown address gets the same answer."""
    user = await api.sign_up()
    known = await api.ok("sendOobCode", requestType="PASSWORD_RESET", email=user["email"])
    assert known["email"] == user["email"]
    code = capsys.readouterr().out.rsplit(" ", 1)[1].strip()
    await api.ok("resetPassword", oobCode=code, newPassword="battery staple")
    assert await api.error("resetPassword", oobCode=code, newPassword="once more") == "INVALID_OOB_CODE"
    await api.ok("signInWithPassword", email=user["email"], password="battery staple")
    unknown = await api.ok("sendOobCode", requestType="PASSWORD_RESET", email="nobody@example.com")
    assert set(unknown) == set(known)
    assert capsys.readouterr().out == ""


async def test_a_deleted_user_is_gone(api: Api) -> None:
    """Its tokens too; and its address is free again."""
    user = await api.sign_up()
    await api.ok("delete", idToken=user["idToken"])
    assert await api.error("lookup", idToken=user["idToken"]) == "USER_NOT_FOUND"
    assert (await api.token(user["refreshToken"])).json()["error"]["message"] == "USER_NOT_FOUND"
    again = await api.ok("signUp", email=user["email"], password="correct horse")
    assert again["localId"] != user["localId"]


async def test_a_disabled_user_cannot_come_in(api: Api, tmp_path: Path) -> None:
    """As an operator may have disabled it in the file."""
    user = await api.sign_up()
    path = tmp_path / "users.json"
    path.write_text(json.dumps([{**record, "disabled": True} for record in json.loads(path.read_text())]))
    disabled = Api(tmp_path)
    body = {"email": user["email"], "password": "correct horse"}
    assert await disabled.error("signInWithPassword", **body) == "USER_DISABLED"
    assert (await disabled.token(user["refreshToken"])).json()["error"]["message"] == "USER_DISABLED"
    await disabled.http.aclose()


async def test_an_expired_or_foreign_token_opens_nothing(api: Api, tmp_path: Path) -> None:
    """The error says which of both it is."""
    user = await api.sign_up()
    ours, foreign = Signer.of(tmp_path, PROJECT), Signer.of(tmp_path / "other", PROJECT)
    assert await api.error("lookup", idToken=ours.id_token(user["localId"], lifetime_s=-60)) == "TOKEN_EXPIRED"
    assert await api.error("lookup", idToken=foreign.id_token(user["localId"])) == "INVALID_ID_TOKEN"
    assert await api.error("lookup") == "MISSING_ID_TOKEN"


async def test_a_call_needs_an_api_key_and_a_json_object(api: Api) -> None:
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
