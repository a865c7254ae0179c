"""Signing in, staying signed in, and signing out."""

from __future__ import annotations

import json
import secrets
import stat
import time
from pathlib import Path
from typing import Any
from unittest import mock

import jwt
import pytest

from local.identity import TOOLKIT
from local.identity.keys import Signer
from local.supervisor.plan import PROJECT
from rushes.checkout import Checkout
from testing.cloud import Cloud, User
from tests.cli.conftest import Shell
from tests.cli.shaky import shaky

PASSWORD = "a paper boat"


def kept(shell: Shell) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((shell.home / "credentials.json").read_text())
    return content


def edit(shell: Shell, profile: str, **changes: Any) -> None:
    content = kept(shell)
    content["profiles"][profile] |= changes
    (shell.home / "credentials.json").write_text(json.dumps(content))


@pytest.fixture
def email() -> str:
    return f"reader-{secrets.token_hex(6)}@example.com"


@pytest.fixture
def signed_in(nobody: Shell, email: str) -> Shell:
    """Signed up and in, with e-mail and password, at the cloud on this machine."""
    made = nobody.call("login", "--sign-up", "--email", email, "--password-stdin", "--json", typed=f"{PASSWORD}\n")
    assert made.ok().json["email"] == email
    return nobody


def test_signed_out_user_acts_as_the_local_users(nobody: Shell) -> None:
    said = nobody.call("whoami", "--json").ok().json
    assert (said["profile"], said["email"]) == ("laptop", "developer@example.com")
    assert nobody.call("admin", "users", "list", "--email", "admin@example.com", "--json").ok().json["data"]


def test_sign_in_persists(signed_in: Shell, email: str) -> None:
    said = signed_in.call("whoami", "--json").ok().json
    assert (said["profile"], said["email"], said["role"]) == ("laptop", email, "user")
    listed = signed_in.call("profiles", "list", "--json").ok().json["data"]
    assert [(one["profile"], one["current"]) for one in listed] == [("laptop", True)]


def test_credentials_are_private_and_hold_no_password(signed_in: Shell) -> None:
    path = signed_in.home / "credentials.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(signed_in.home.stat().st_mode) & 0o077 == 0
    assert PASSWORD not in path.read_text()


def test_expired_id_token_is_renewed(signed_in: Shell) -> None:
    edit(signed_in, "laptop", expires_at=0.0, id_token="ended")
    signed_in.call("account").ok()
    renewed = kept(signed_in)["profiles"]["laptop"]
    assert renewed["id_token"] != "ended"
    assert renewed["expires_at"] > 0


def test_rejected_id_token_is_renewed(signed_in: Shell) -> None:
    edit(signed_in, "laptop", id_token="spoiled")
    signed_in.call("account").ok()
    assert kept(signed_in)["profiles"]["laptop"]["id_token"] != "spoiled"


def test_sign_in_revoked_elsewhere_is_explained(signed_in: Shell, embedded_cloud: Cloud) -> None:
    token = kept(signed_in)["profiles"]["laptop"]["id_token"]
    body = {"idToken": token, "password": "another boat"}
    answer = embedded_cloud.http.post(f"{embedded_cloud.url}{TOOLKIT}/accounts:update?key=local", json=body)
    assert answer.status_code == 200
    edit(signed_in, "laptop", expires_at=0.0)
    told = signed_in.call("account", "--json")
    assert told.code == 3
    assert told.json["error"]["suggested_action"] == "Sign in again: rushes login"


def test_key_needs_the_password_again_after_a_while(signed_in: Shell, embedded_cloud: Cloud) -> None:
    tokens = ("id_token", "refresh_token")
    signer, signed_in_at = Signer.of(embedded_cloud.directory / "identity", PROJECT), int(time.time()) - 301
    claims = [
        jwt.decode(kept(signed_in)["profiles"]["laptop"][name], options={"verify_signature": False}) for name in tokens
    ]
    # As if the user were older than this test.
    embedded_cloud.administer(claims[0]["sub"], emailVerified=True, validSince="0")
    # What a renewal does not change.
    old = dict(zip(tokens, (signer.sign({**one, "auth_time": signed_in_at}) for one in claims), strict=True))
    make = ("keys", "create", "nightly", "--json")
    for typed, code in (("", 2), ("wrong boat\n", 3), (f"{PASSWORD}\n", 0)):
        edit(signed_in, "laptop", **old)
        given = ("--password-stdin",) if typed else ()
        assert signed_in.call(*make, *given, typed=typed).code == code
    # The new sign-in is kept.
    assert signed_in.call(*make).ok().json["key"].startswith("rk_")


def test_local_developer_can_always_create_a_key(nobody: Shell, checkout: Path) -> None:
    session = json.loads((checkout / ".local" / "session.json").read_text())
    claims = jwt.decode(session["token"], options={"verify_signature": False})
    signer = Signer.of(checkout / ".local" / "identity", PROJECT)
    old = signer.id_token(claims["sub"], email=claims["email"], auth_time_s=int(time.time()) - 301)
    with mock.patch.object(Checkout, "session", lambda _: {**session, "token": old}):
        assert nobody.call("keys", "create", "nightly", "--json").ok().json["key"].startswith("rk_")


def test_wrong_password_does_not_say_which_was_wrong(signed_in: Shell, email: str) -> None:
    told = signed_in.call("login", "--email", email, "--password-stdin", typed="wrong boat\n")
    assert told.code == 3
    assert "Wrong email or password." in told.err
    assert "create an API key" in told.err


def test_new_user_verifies_the_email(signed_in: Shell, email: str, embedded_cloud: Cloud) -> None:
    """Until then there are no credits and no keys; afterwards commands renew the token by themselves."""
    assert signed_in.call("account", "--json").ok().json["balance"] == 0
    told = signed_in.call("keys", "create", "early", "--scope", "read", "--json")
    assert (told.code, told.json["error"]["code"]) == (3, "EMAIL_NOT_VERIFIED")
    first = embedded_cloud.mailed(email)["oobCode"]
    again = signed_in.call("verify-email", "--json").ok().json
    assert (again["email_verified"], again["sent"]) == (False, True)
    mail = embedded_cloud.mailed(email)
    assert mail["oobCode"] != first
    embedded_cloud.identity("update", oobCode=mail["oobCode"])
    assert signed_in.call("keys", "create", "now", "--scope", "read", "--json").ok().json["key"]
    done = signed_in.call("verify-email", "--json").ok().json
    assert (done["email_verified"], done["sent"]) == (True, False)
    assert signed_in.call("account", "--json").ok().json["balance"] == 500


def test_forgotten_password_is_reset(nobody: Shell, email: str, embedded_cloud: Cloud) -> None:
    """The answer doesn't reveal whether the user exists."""
    embedded_cloud.identity("signUp", email=email, password=PASSWORD)
    for address in ("stranger@example.com", email):
        told = nobody.call("reset-password", "--email", address).ok()
        assert f"If there's an account for {address}" in told.out
    code = embedded_cloud.mailed(email, "PASSWORD_RESET")["oobCode"]
    embedded_cloud.identity("resetPassword", oobCode=code, newPassword="another boat")
    login = ("login", "--email", email, "--password-stdin", "--json")
    assert nobody.call(*login, typed="another boat\n").ok().json["email_verified"] is True


def test_password_policy_is_explained(nobody: Shell, email: str) -> None:
    told = nobody.call("login", "--sign-up", "--email", email, "--password-stdin", typed="boat\n")
    assert "Password should be at least 6 characters" in told.err


def test_sign_in_over_plain_http_warns(nobody: Shell) -> None:
    login = ("--api-key", "rk_nothing", "--retry-for", "0", "login", "--url")
    assert "isn't encrypted" in nobody.call(*login, "http://rushes.invalid").err
    assert "isn't encrypted" not in nobody.call(*login, "https://rushes.invalid").err


def test_non_interactive_run_asks_nothing(nobody: Shell) -> None:
    assert nobody.call("login", "--email", "reader@example.com").code == 2


def test_api_key_is_saved_under_the_given_profile(nobody: Shell, user: User) -> None:
    key = user.call("POST", "/v1/api-keys", json={"name": "cli", "scope": "write"}).json()["key"]
    named = ("--profile", "studio", "--api-key", key)
    assert nobody.call(*named, "login", "--url", user.cloud.url, "--json").ok().json["profile"] == "studio"
    assert nobody.call("account", "--json").ok().json["id"] == user.account["id"]
    nobody.call("profiles", "use", "laptop").ok()
    assert nobody.call("whoami", "--json").ok().json["email"] == "developer@example.com"
    assert nobody.call("--profile", "studio", "account", "--json").ok().json["id"] == user.account["id"]
    assert nobody.call("profiles", "use", "nowhere").code == 4
    assert nobody.call("--profile", "nowhere", "account").code == 3


def test_second_server_does_not_replace_the_first(nobody: Shell, embedded_cloud: Cloud, user: User) -> None:
    login = ("--api-key", user.token, "login", "--json", "--url")
    first = embedded_cloud.url.replace("127.0.0.1", "localhost")
    assert nobody.call(*login, first).ok().json["profile"] == "cloud"
    assert nobody.call(*login, first).ok().json["profile"] == "cloud"
    with shaky(embedded_cloud.url) as other:
        assert nobody.call(*login, other.url).ok().json["profile"] == "127.0.0.1"
    assert nobody.call("profiles", "list", "--json").json["data"][0]["url"] == first


def test_rejected_key_is_not_saved(nobody: Shell, embedded_cloud: Cloud) -> None:
    told = nobody.call("--api-key", "rk_nothing", "login", "--url", embedded_cloud.url)
    assert told.code == 3
    assert not (nobody.home / "credentials.json").exists()


def test_signing_out_leaves_nothing(signed_in: Shell) -> None:
    assert signed_in.call("logout", "--json").ok().json["profiles"] == ["laptop"]
    assert kept(signed_in)["profiles"] == {}
    assert signed_in.call("whoami", "--json").ok().json["email"] == "developer@example.com"
    assert signed_in.call("logout", "--all", "--json").ok().json["profiles"] == []


def test_without_a_server_it_says_how_to_get_one(elsewhere: Shell) -> None:
    told = elsewhere.call("account")
    assert told.code == 3
    assert "rushes login" in told.err
    assert "rushes up" in told.err
    # A profile that names the local cloud is signed in; the cloud just isn't up.
    named = elsewhere.call("--profile", "laptop", "account")
    assert named.code == 10
    assert "rushes up" in named.err
    lost = elsewhere.having(RUSHES_API_KEY="rk_any").call("account")
    assert lost.code == 2
    assert "RUSHES_URL" in lost.err


PROFILE = {"url": "http://127.0.0.1:1", "api_key": "rk_any"}
DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "cut off": b'{"profiles": {"cloud": {"ur',
    "not text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "a list": b"[]",
    "null": b"null",
    "no profiles": b'{"profiles": 1}',
    "a profile that is none": b'{"profiles": {"cloud": 1}}',
    "a profile without a URL": b'{"profiles": {"cloud": {}}}',
    "a URL that is none": b'{"profiles": {"cloud": {"url": 1}}}',
    "a key that is none": json.dumps({"profiles": {"cloud": {**PROFILE, "api_key": 1}}}).encode(),
    "a date that is none": json.dumps({"profiles": {"cloud": {**PROFILE, "expires_at": "soon"}}}).encode(),
    "an identity that is none": json.dumps({"profiles": {"cloud": {**PROFILE, "identity": []}}}).encode(),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_credentials_file_is_reported_and_never_overwritten(nobody: Shell, user: User, damage: str) -> None:
    nobody.home.mkdir()
    path = nobody.home / "credentials.json"
    path.write_bytes(DAMAGED[damage])
    login = ("--url", user.cloud.url, "--api-key", user.token, "login")
    for command in (("account",), ("whoami",), ("profiles", "list"), login, ("create", "a kite")):
        told = nobody.call(*command, "--json")
        assert told.code == 3, told.err
        assert told.json["error"]["code"] == "CREDENTIALS_DAMAGED"
        assert str(path) in told.err
        assert "delete it and sign in again: rushes login" in told.err
        assert "Traceback" not in told.err
    assert path.read_bytes() == DAMAGED[damage]
    found = {one["name"]: one["state"] for one in nobody.call("doctor", "--json").json["data"]}
    assert found["credentials"] == "missing"
    # Programs that say everything by the environment don't depend on it.
    nobody.having(RUSHES_URL=user.cloud.url, RUSHES_API_KEY=user.token).call("account").ok()


def test_newer_releases_profile_is_read_and_preserved(nobody: Shell, user: User) -> None:
    nobody.call("--api-key", user.token, "--profile", "cloud", "login", "--url", user.cloud.url).ok()
    edit(nobody, "cloud", region="europe")
    nobody.call("--profile", "cloud", "account").ok()
    nobody.call("--api-key", user.token, "--profile", "other", "login", "--url", user.cloud.url).ok()
    assert kept(nobody)["profiles"]["cloud"]["region"] == "europe"


def test_unreadable_or_unwritable_settings_are_reported(nobody: Shell, user: User) -> None:
    nobody.home.mkdir()
    path = nobody.home / "credentials.json"
    path.mkdir()
    told = nobody.call("account")
    assert told.code == 3
    assert "CREDENTIALS_UNREADABLE" in told.err
    path.rmdir()
    nobody.home.rmdir()
    nobody.home.write_text("a file where a directory should be")
    shell = nobody.having(RUSHES_URL=user.cloud.url, RUSHES_API_KEY=user.token)
    for command in (("login",), ("create", "a kite [never finishes]", "--seconds", "4")):
        told = shell.call(*command)
        assert told.code == 1
        assert "FILE_NOT_WRITTEN" in told.err
        assert "Traceback" not in told.err
    assert user.ledger == [500]
