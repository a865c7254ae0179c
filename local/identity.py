"""Identity Platform on a laptop: e-mail and password accounts, their ID tokens, and the keys to check them with.

Paths follow the convention of Firebase's emulator, the service's host name as first segment, so that a page needs only
another base URL: /identitytoolkit.googleapis.com/v1/accounts:signUp and so on, each with `?key=` (any value). Error
bodies are the real API's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import jwt
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.keys import ID_TOKEN_LIFETIME_S, Signer
from local.ports import HOST, KEEP_ALIVE_S
from local.users import User, Users, new_local_id

Json = dict[str, Any]
TOOLKIT: Final = "/identitytoolkit.googleapis.com/v1"
STS: Final = "/securetoken.googleapis.com/v1"
REFRESH_AUDIENCE: Final = "refresh"
MIN_PASSWORD_CHARS: Final = 6
MAX_PASSWORD_CHARS: Final = 4096
MAX_BODY_BYTES: Final = 64 * 1024
EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
WEAK: Final = f"WEAK_PASSWORD : Password should be at least {MIN_PASSWORD_CHARS} characters"


class IdentityError(Exception):
    """An answer of the real API's: `message` is the code that clients switch on."""

    def __init__(self, message: str, status: int = 400, reason: str = "invalid", name: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.name = name

    def response(self) -> Response:
        item = {"message": self.message, "domain": "global", "reason": self.reason}
        error: Json = {"code": self.status, "message": self.message, "errors": [item]}
        if self.name:
            error["status"] = self.name
        return JSONResponse({"error": error}, self.status)


@dataclass(frozen=True)
class OutOfBand:
    """A code that the real service would have sent by mail."""

    kind: str
    local_id: str


class Identity:
    """The calls of the Identity Toolkit and of the Secure Token service; each takes the body and gives the answer."""

    def __init__(self, directory: Path, project: str) -> None:
        self.signer = Signer.of(directory, project)
        self.users = Users(directory / "users.json")
        self._codes: dict[str, OutOfBand] = {}
        self._signing_up = asyncio.Lock()

    async def sign_up(self, body: Json) -> Json:
        """accounts:signUp with e-mail and password."""
        email, password = _email(body), _new_password(body)
        tenant = _text(body, "tenantId")
        # No mail can be sent from a laptop, so nobody could ever confirm an address: it counts as confirmed at once,
        # which is also what lets the sign-up grant be given.
        blank = User(new_local_id(), email, "", "", tenant, _text(body, "displayName"), email_verified=True)
        user = await asyncio.to_thread(blank.with_password, password)
        async with self._signing_up:
            if self.users.by_email(tenant, email):
                raise IdentityError("EMAIL_EXISTS")
            user = await asyncio.to_thread(self.users.save, user)
        return {"kind": "identitytoolkit#SignupNewUserResponse", **_profile(user), **self._tokens(user)}

    async def sign_in(self, body: Json) -> Json:
        """accounts:signInWithPassword. Whether the address or the password was wrong is not told (enumeration)."""
        email, password = _email(body), _text(body, "password")
        if not password:
            raise IdentityError("MISSING_PASSWORD")
        user = self.users.by_email(_text(body, "tenantId"), email)
        if user is None or not await asyncio.to_thread(user.has_password, password):
            raise IdentityError("INVALID_LOGIN_CREDENTIALS")
        if user.disabled:
            raise IdentityError("USER_DISABLED")
        user = await asyncio.to_thread(self.users.save, replace(user, last_login_at_ms=int(time.time() * 1000)))
        kind = {"kind": "identitytoolkit#VerifyPasswordResponse", "registered": True}
        return {**kind, **_profile(user), **self._tokens(user)}

    async def lookup(self, body: Json) -> Json:
        """accounts:lookup of the caller's own user."""
        return {"kind": "identitytoolkit#GetAccountInfoResponse", "users": [_record(self._caller(body))]}

    async def update(self, body: Json) -> Json:
        """accounts:update of the caller's own name and password."""
        user = self._caller(body)
        if "displayName" in body:
            user = replace(user, display_name=_text(body, "displayName"))
        if "DISPLAY_NAME" in body.get("deleteAttribute", []):
            user = replace(user, display_name="")
        if changed := "password" in body:
            user = await asyncio.to_thread(user.with_password, _new_password(body))
        await asyncio.to_thread(self.users.save, user)
        answer = {
            "kind": "identitytoolkit#SetAccountInfoResponse",
            **_profile(user),
            "emailVerified": user.email_verified,
        }
        return answer | (self._tokens(user) if changed or body.get("returnSecureToken") else {})

    async def send_code(self, body: Json) -> Json:
        """accounts:sendOobCode. Nothing is mailed: the code is printed, on a laptop into the identity server's log."""
        kind = _text(body, "requestType")
        if kind == "PASSWORD_RESET":
            email = _email(body)
            user = self.users.by_email(_text(body, "tenantId"), email)
        elif kind == "VERIFY_EMAIL":
            user = self._caller(body)
            email = user.email
        else:
            raise IdentityError("OPERATION_NOT_ALLOWED" if kind else "MISSING_REQ_TYPE")
        if user is not None:
            code = secrets.token_urlsafe(32)
            self._codes[code] = OutOfBand(kind, user.local_id)
            print(f"No mail is sent from a laptop. {kind} code for {email}: {code}", flush=True)
        return {"kind": "identitytoolkit#GetOobConfirmationCodeResponse", "email": email}

    async def reset_password(self, body: Json) -> Json:
        """accounts:resetPassword with a code of `send_code`."""
        code = _text(body, "oobCode")
        if not code:
            raise IdentityError("MISSING_OOB_CODE")
        sent = self._codes.get(code)
        user = self.users.by_id(sent.local_id) if sent else None
        if sent is None or user is None or sent.kind != "PASSWORD_RESET":
            raise IdentityError("INVALID_OOB_CODE")
        if "newPassword" in body:
            user = await asyncio.to_thread(user.with_password, _new_password(body, "newPassword"))
            del self._codes[code]
            await asyncio.to_thread(self.users.save, user)
        return {"kind": "identitytoolkit#ResetPasswordResponse", "email": user.email, "requestType": sent.kind}

    async def delete(self, body: Json) -> Json:
        """accounts:delete of the caller's own user."""
        await asyncio.to_thread(self.users.delete, self._caller(body))
        return {"kind": "identitytoolkit#DeleteAccountResponse"}

    async def refresh(self, body: Json) -> Json:
        """Secure Token's token call: a fresh ID token for a refresh token."""
        if _text(body, "grant_type") != "refresh_token":
            raise IdentityError("INVALID_GRANT_TYPE" if body.get("grant_type") else "MISSING_GRANT_TYPE")
        token = _text(body, "refresh_token")
        if not token:
            raise IdentityError("MISSING_REFRESH_TOKEN")
        try:
            claims = self.signer.verify(token, REFRESH_AUDIENCE)
        except jwt.InvalidTokenError:
            raise IdentityError("INVALID_REFRESH_TOKEN") from None
        user = self.users.by_id(claims["sub"])
        if user is None:
            raise IdentityError("USER_NOT_FOUND")
        if user.disabled:
            raise IdentityError("USER_DISABLED")
        if claims["credentials"] != user.credentials:
            raise IdentityError("TOKEN_EXPIRED")
        id_token = self._id_token(user, claims["auth_time"])
        return {
            "access_token": id_token,
            "expires_in": str(ID_TOKEN_LIFETIME_S),
            "token_type": "Bearer",
            "refresh_token": token,
            "id_token": id_token,
            "user_id": user.local_id,
            "project_id": self.signer.project,
        }

    def _caller(self, body: Json) -> User:
        token = _text(body, "idToken")
        if not token:
            raise IdentityError("MISSING_ID_TOKEN")
        try:
            claims = self.signer.verify(token)
        except jwt.ExpiredSignatureError:
            raise IdentityError("TOKEN_EXPIRED") from None
        except jwt.InvalidTokenError:
            raise IdentityError("INVALID_ID_TOKEN") from None
        user = self.users.by_id(claims["sub"])
        if user is None:
            raise IdentityError("USER_NOT_FOUND")
        if user.disabled:
            raise IdentityError("USER_DISABLED")
        if claims["iat"] < user.valid_since_s:
            raise IdentityError("TOKEN_EXPIRED")
        return user

    def _tokens(self, user: User) -> Json:
        now_s = int(time.time())
        refresh = {
            "iss": self.signer.issuer,
            "aud": REFRESH_AUDIENCE,
            "sub": user.local_id,
            "iat": now_s,
            "auth_time": now_s,
            "exp": now_s + 365 * 86400,
            "credentials": user.credentials,
        }
        return {
            "idToken": self._id_token(user, now_s),
            "refreshToken": self.signer.sign(refresh),
            "expiresIn": str(ID_TOKEN_LIFETIME_S),
        }

    def _id_token(self, user: User, auth_time_s: int) -> str:
        name: Json = {"name": user.display_name} if user.display_name else {}
        return self.signer.id_token(
            user.local_id,
            email=user.email,
            email_verified=user.email_verified,
            tenant=user.tenant or None,
            auth_time_s=auth_time_s,
            **name,
        )


def create_app(directory: Path, project: str) -> Starlette:
    """The identity server as an ASGI app; its users and its key are files in `directory`."""
    identity = Identity(directory, project)
    signer = identity.signer
    calls: dict[str, Callable[[Json], Awaitable[Json]]] = {
        f"{TOOLKIT}/accounts:signUp": identity.sign_up,
        f"{TOOLKIT}/accounts:signInWithPassword": identity.sign_in,
        f"{TOOLKIT}/accounts:lookup": identity.lookup,
        f"{TOOLKIT}/accounts:update": identity.update,
        f"{TOOLKIT}/accounts:sendOobCode": identity.send_code,
        f"{TOOLKIT}/accounts:resetPassword": identity.reset_password,
        f"{TOOLKIT}/accounts:delete": identity.delete,
        f"{STS}/token": identity.refresh,
    }

    async def jwks(_request: Request) -> Response:
        return JSONResponse(signer.jwks(), headers={"Cache-Control": "public, max-age=300"})

    async def configuration(request: Request) -> Response:
        described = {
            "issuer": signer.issuer,
            "jwks_uri": str(request.url_for("jwks")),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }
        return JSONResponse(described)

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    routes = [Route(path, _endpoint(call), methods=["POST"]) for path, call in calls.items()]
    routes += [
        Route("/.well-known/jwks.json", jwks, name="jwks"),
        Route("/.well-known/openid-configuration", configuration),
        Route("/healthz", healthz),
    ]
    # The real service answers pages of every origin: what it gives depends on the body alone, never on a cookie.
    cors = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["POST"], allow_headers=["*"])
    return Starlette(routes=routes, middleware=[cors])


def _endpoint(call: Callable[[Json], Awaitable[Json]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            if not request.query_params.get("key"):
                message = "The request is missing a valid API key."
                raise IdentityError(message, 403, "forbidden", "PERMISSION_DENIED")
            return JSONResponse(await call(await _body(request)), headers={"Cache-Control": "no-store"})
        except IdentityError as error:
            return error.response()

    return endpoint


async def _body(request: Request) -> Json:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise IdentityError("Request payload size exceeds the limit.", 413, "uploadTooLarge", "INVALID_ARGUMENT")
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(raw.decode("utf-8", "replace")))
    try:
        body = json.loads(bytes(raw) or b"{}")
    except ValueError:
        raise IdentityError("Invalid JSON payload received.", 400, "parseError", "INVALID_ARGUMENT") from None
    if not isinstance(body, dict):
        raise IdentityError("Invalid JSON payload received.", 400, "parseError", "INVALID_ARGUMENT")
    return body


def _text(body: Json, name: str) -> str:
    value = body.get(name) or ""
    if not isinstance(value, str):
        raise IdentityError(f"Invalid value at '{name}' (TYPE_STRING)", 400, "badRequest", "INVALID_ARGUMENT")
    return value


def _email(body: Json) -> str:
    if body.get("email") is None:
        raise IdentityError("MISSING_EMAIL")
    email = _text(body, "email").strip().lower()
    if not EMAIL.fullmatch(email):
        raise IdentityError("INVALID_EMAIL")
    return email


def _new_password(body: Json, name: str = "password") -> str:
    password = _text(body, name)
    if not password:
        raise IdentityError("MISSING_PASSWORD")
    if len(password) < MIN_PASSWORD_CHARS:
        raise IdentityError(WEAK)
    if len(password) > MAX_PASSWORD_CHARS:
        raise IdentityError("PASSWORD_DOES_NOT_MEET_REQUIREMENTS : Password is too long")
    return password


def _profile(user: User) -> Json:
    return {"localId": user.local_id, "email": user.email, "displayName": user.display_name}


def _record(user: User) -> Json:
    provider = {
        "providerId": "password",
        "federatedId": user.email,
        "email": user.email,
        "rawId": user.email,
        "displayName": user.display_name,
    }
    return {
        **_profile(user),
        "emailVerified": user.email_verified,
        "providerUserInfo": [provider],
        "validSince": str(user.valid_since_s),
        "disabled": user.disabled,
        "createdAt": str(user.created_at_ms),
        "lastLoginAt": str(user.last_login_at_ms or user.created_at_ms),
        **({"tenantId": user.tenant} if user.tenant else {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local.identity", description="Identity Platform on a laptop.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--directory", type=Path, required=True, help="where the users and the key are kept")
    parser.add_argument("--project", default="rushes-local", help="audience of the tokens, and end of their issuer")
    options = parser.parse_args()
    app = create_app(options.directory, options.project)
    uvicorn.run(
        app,
        host=HOST,
        port=options.port,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
