"""The identity server as an ASGI app: which path is which call, and who may make it."""

from __future__ import annotations

import html
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from local.identity import HOST_PREFIX, MAILBOX, STS, TOOLKIT
from local.identity.errors import IdentityError, invalid_argument, permission_denied
from local.identity.mail import Mail
from local.identity.service import Asking, Json, Service

MAX_BODY_BYTES: Final = 64 * 1024
# The Auth emulator's word for an administrator's credential.
OWNER: Final = "Bearer owner"
ADMIN_PATH: Final = f"{HOST_PREFIX}/admin/v2/projects/{{project}}/config"
Call = Callable[[Json, Asking], Awaitable[Json]]


def create_app(directory: Path, project: str, sign_ups_per_hour: int | None = None) -> ASGIApp:
    """The server; its users, its mail and its keys are files in `directory`.

    `sign_ups_per_hour` from one address replaces the project's quota.
    """
    service = Service(directory, project, sign_ups_per_hour)
    app = Starlette(
        routes=[*_users_calls(service), *_administrators_calls(service), *_documents(service), *service.google.routes()]
    )
    # The real service answers pages of every origin: what it gives depends on the body alone, never on a cookie. An
    # administrator's calls and the mailbox are for programs on this machine.
    public = CORSMiddleware(app, allow_origins=["*"], allow_methods=["GET", "POST"], allow_headers=["*"])

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        shared = path.startswith((f"{TOOLKIT}/accounts:", f"{HOST_PREFIX}/v2/passwordPolicy", STS, "/.well-known/"))
        await (public if shared else app)(scope, receive, send)

    return server


def _users_calls(service: Service) -> list[Route]:
    calls: Mapping[str, Call] = {
        f"{TOOLKIT}/accounts:signUp": service.sign_up,
        f"{TOOLKIT}/accounts:signInWithPassword": service.sign_in,
        f"{TOOLKIT}/accounts:createAuthUri": service.create_auth_uri,
        f"{TOOLKIT}/accounts:signInWithIdp": service.sign_in_with_idp,
        f"{TOOLKIT}/accounts:lookup": service.lookup,
        f"{TOOLKIT}/accounts:update": service.update,
        f"{TOOLKIT}/accounts:sendOobCode": service.send_code,
        f"{TOOLKIT}/accounts:resetPassword": service.reset_password,
        f"{TOOLKIT}/accounts:delete": service.delete,
        f"{STS}/token": service.refresh,
    }

    async def policy(_body: Json, asking: Asking) -> Json:
        service.project.check_tenant(asking.tenant)
        return service.project.password_policy

    return [
        *(Route(path, _endpoint(call), methods=["POST"]) for path, call in calls.items()),
        Route(f"{HOST_PREFIX}/v2/passwordPolicy", _endpoint(policy), methods=["GET"]),
    ]


def _administrators_calls(service: Service) -> list[Route]:
    calls: Mapping[str, Call] = {
        "accounts": service.sign_up,
        "accounts:lookup": service.lookup,
        "accounts:update": service.update,
        "accounts:delete": service.delete,
        "accounts:sendOobCode": service.send_code,
    }
    project = service.project

    async def read_config(_request: Request) -> Response:
        return JSONResponse(project.config())

    async def change_config(request: Request) -> Response:
        masks = [mask for mask in request.query_params.get("updateMask", "").split(",") if mask]
        return JSONResponse(project.update(await _body(request), masks))

    async def make_tenant(request: Request) -> Response:
        return JSONResponse(project.add_tenant(str((await _body(request)).get("displayName") or "tenant")))

    routes = []
    for name, call in calls.items():
        for where in ("", "/tenants/{tenant}"):
            path = f"{TOOLKIT}/projects/{{project}}{where}/{name}"
            routes.append(Route(path, _administered(service, _call_endpoint(call)), methods=["POST"]))
    return [
        *routes,
        Route(ADMIN_PATH, _administered(service, read_config), methods=["GET"]),
        Route(ADMIN_PATH, _administered(service, change_config), methods=["PATCH"]),
        Route(f"{HOST_PREFIX}/v2/projects/{{project}}/tenants", _administered(service, make_tenant), methods=["POST"]),
    ]


def _documents(service: Service) -> list[Route]:
    """The issuer's own documents, and the undelivered mail."""
    signer = service.signer

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

    async def codes(request: Request) -> Response:
        mails = service.mailbox.unused(request.path_params.get("tenant", ""))
        return JSONResponse({"oobCodes": [_code(mail) for mail in mails]})

    async def mailbox(_request: Request) -> Response:
        return HTMLResponse(_mailbox_page(service.mailbox.unused("")), headers={"Cache-Control": "no-store"})

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return [
        Route("/.well-known/jwks.json", jwks, name="jwks"),
        Route("/.well-known/openid-configuration", configuration),
        Route(f"{MAILBOX}/{{project}}/oobCodes", codes),
        Route(f"{MAILBOX}/{{project}}/tenants/{{tenant}}/oobCodes", codes),
        Route("/emulator/mailbox", mailbox),
        Route("/healthz", healthz),
    ]


def _code(mail: Mail) -> Json:
    """As the Auth emulator lists it."""
    code = {"email": mail.email, "requestType": mail.kind, "oobCode": mail.code, "oobLink": mail.link}
    return code | ({"newEmail": mail.new_email} if mail.new_email else {})


def _mailbox_page(mails: list[Mail]) -> str:
    rows = "".join(
        f'<li><a href="{html.escape(mail.link)}">{mail.kind.replace("_", " ").capitalize()}</a> to '
        f"{html.escape(mail.to)}</li>"
        for mail in reversed(mails)
    )
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Mail</title><link rel="icon" href="data:,">'
    return f"{head}<main><h1>Mail that a laptop doesn't send</h1><ul>{rows or '<li>None yet.</li>'}</ul></main></html>"


def _administered(service: Service, call: Callable[[Request], Awaitable[Response]]) -> Callable[..., Any]:
    """An administrator's call: with its credential, of this project, of a tenant that exists."""

    async def endpoint(request: Request) -> Response:
        try:
            if request.headers.get("authorization") != OWNER:
                raise permission_denied("The caller does not have permission")
            if request.path_params["project"] != service.project.name:
                raise IdentityError("PROJECT_NOT_FOUND")
            service.project.check_tenant(request.path_params.get("tenant", ""))
            return await call(request)
        except IdentityError as error:
            return error.response()

    return endpoint


def _call_endpoint(call: Call) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return JSONResponse(await call(await _body(request), _asking(request, admin=True)))

    return endpoint


def _endpoint(call: Call) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            if not request.query_params.get("key"):
                raise permission_denied("The request is missing a valid API key.")
            return JSONResponse(
                await call(await _body(request), _asking(request)), headers={"Cache-Control": "no-store"}
            )
        except IdentityError as error:
            return error.response()

    return endpoint


def _asking(request: Request, *, admin: bool = False) -> Asking:
    """Behind the gateway the caller's address and ours are in what it forwards."""
    headers = request.headers
    forwarded = headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
    address = forwarded or (request.client.host if request.client else "unknown")
    host = headers.get("x-forwarded-host") or request.url.netloc
    scheme = headers.get("x-forwarded-proto") or request.url.scheme
    tenant = request.path_params.get("tenant") or ("" if admin else request.query_params.get("tenantId", ""))
    language = headers.get("x-firebase-locale", "en")[:35]
    return Asking(address, f"{scheme}://{host}", request.query_params.get("key", "local"), language, admin, tenant)


async def _body(request: Request) -> Json:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise invalid_argument("Request payload size exceeds the limit.", "uploadTooLarge", 413)
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(raw.decode("utf-8", "replace")))
    try:
        body = json.loads(bytes(raw) or b"{}")
    except ValueError:
        raise invalid_argument("Invalid JSON payload received.", "parseError") from None
    if not isinstance(body, dict):
        raise invalid_argument("Invalid JSON payload received.", "parseError")
    return body
