"""The calls of the Identity Toolkit and of the Secure Token service: each takes a body and returns the answer."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import jwt

from local.identity.errors import IdentityError, invalid_argument, permission_denied
from local.identity.google import Google, GoogleUser, authorization_url, new_nonce
from local.identity.keys import ID_TOKEN_LIFETIME_S, Signer
from local.identity.mail import Mail, Mailbox, Sender
from local.identity.project import Project
from local.identity.throttle import Throttle
from local.identity.users import User, Users, new_local_id

Json = dict[str, Any]
REFRESH_AUDIENCE: Final = "refresh"
REFRESH_LIFETIME_S: Final = 365 * 86_400
EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
PASSWORD: Final = "password"  # noqa: S105 - a provider's name
GOOGLE: Final = "google.com"
# Changing a password or deleting the account needs a sign-in no older than this.
RECENT_S: Final = 300
# The real limits aren't published; these are about what people meet.
WRONG_PASSWORDS, WRONG_WITHIN_S = 10, 300.0
MAILS, MAILS_WITHIN_S = 10, 600.0
HOUR_S: Final = 3600.0
FLOWS_KEPT: Final = 1_000


@dataclass(frozen=True)
class Asking:
    """Who asks, and from where: what a call needs besides its body."""

    address: str
    base_url: str
    api_key: str = ""
    language: str = "en"
    admin: bool = False
    tenant: str = ""


class Service:
    """Users and their tokens, as the two services have them."""

    def __init__(self, directory: Path, project: str, sign_ups_per_hour: int | None = None) -> None:
        self.signer = Signer.of(directory, project)
        self.project = Project(directory / "project.json", project, sign_ups_per_hour)
        self.users = Users(directory / "users.json")
        self.mailbox = Mailbox(directory / "mail.json")
        self.google = Google(directory)
        self._throttle = Throttle()
        self._flows: dict[str, tuple[str, str]] = {}
        self._signing_up = asyncio.Lock()

    # --- signing up and in ---

    async def sign_up(self, body: Json, asking: Asking) -> Json:
        """accounts:signUp with email and password. The address is not verified yet."""
        tenant = self._tenant(body, asking)
        if not body.get("email") and not body.get("password"):
            raise IdentityError("ADMIN_ONLY_OPERATION")  # an anonymous user, which no installation of ours allows
        if not self.project.may("Signup") and not asking.admin:
            raise IdentityError("ADMIN_ONLY_OPERATION")
        email, password = _email(body), self._new_password(body)
        verified = asking.admin and body.get("emailVerified") is True
        blank = User(
            new_local_id(), email, tenant=tenant, display_name=_text(body, "displayName"), email_verified=verified
        )
        user = await self._create(await asyncio.to_thread(blank.with_password, password), asking)
        answer = {"kind": "identitytoolkit#SignupNewUserResponse", **_profile(user)}
        return answer if asking.admin else answer | self._tokens(user, PASSWORD)

    async def _create(self, user: User, asking: Asking) -> User:
        """Add the user. Raises IdentityError EMAIL_EXISTS or TOO_MANY_ATTEMPTS_TRY_LATER."""
        async with self._signing_up:
            if self.users.by_email(user.tenant, user.email):
                raise IdentityError("EMAIL_EXISTS")
            if not asking.admin:
                self._count_sign_up(asking)
            return await asyncio.to_thread(self.users.save, user)

    def _count_sign_up(self, asking: Asking) -> None:
        """Raises IdentityError TOO_MANY_ATTEMPTS_TRY_LATER."""
        key = f"sign-up {asking.address}"
        self._throttle.check(key, self.project.sign_ups_per_hour, HOUR_S)
        self._throttle.count(key, HOUR_S)

    async def sign_in(self, body: Json, asking: Asking) -> Json:
        """accounts:signInWithPassword. With protection on, it doesn't say whether address or password is wrong."""
        tenant, email, password = self._tenant(body, asking), _email(body), _text(body, "password")
        if not password:
            raise IdentityError("MISSING_PASSWORD")
        user = self.users.by_email(tenant, email)
        key = f"password {tenant} {email}"
        self._throttle.check(key, WRONG_PASSWORDS, WRONG_WITHIN_S)
        if user is None or not await asyncio.to_thread(user.has_password, password):
            self._throttle.count(key, WRONG_WITHIN_S)
            if self.project.hides_addresses:
                raise IdentityError("INVALID_LOGIN_CREDENTIALS")
            raise IdentityError("INVALID_PASSWORD" if user else "EMAIL_NOT_FOUND")
        self._throttle.forget(key)
        if user.disabled:
            raise IdentityError("USER_DISABLED")
        # Another call may have changed the user meanwhile.
        user = await asyncio.to_thread(self.users.save, (self.users.by_id(user.local_id) or user).signed_in_now())
        kind = {"kind": "identitytoolkit#VerifyPasswordResponse", "registered": True}
        return {**kind, **_profile(user), **self._tokens(user, PASSWORD)}

    async def create_auth_uri(self, body: Json, asking: Asking) -> Json:
        """accounts:createAuthUri for google.com, or for an address, revealing nothing with protection on."""
        kind = {"kind": "identitytoolkit#CreateAuthUriResponse"}
        continue_uri = _text(body, "continueUri")
        if not continue_uri:
            raise IdentityError("MISSING_CONTINUE_URI")
        self.project.check_continue_url(continue_uri)
        tenant = self._tenant(body, asking)
        session_id = _text(body, "sessionId") or new_nonce()
        if provider := _text(body, "providerId"):
            if provider != GOOGLE:
                raise IdentityError("OPERATION_NOT_ALLOWED : The identity provider configuration is not found.")
            parts = urlsplit(continue_uri)
            if parts.fragment or "state=" in parts.query:
                raise IdentityError("INVALID_CONTINUE_URI")
            state, nonce = new_nonce(), new_nonce()
            self._flows[session_id] = (state, nonce)
            while len(self._flows) > FLOWS_KEPT:
                del self._flows[next(iter(self._flows))]
            uri = authorization_url(asking.base_url, continue_uri, state, nonce)
            return {**kind, "authUri": uri, "providerId": GOOGLE, "sessionId": session_id}
        user = self.users.by_email(tenant, _text(body, "identifier").strip().lower())
        if self.project.hides_addresses:
            return {**kind, "sessionId": session_id}
        methods = [PASSWORD] * bool(user and user.password_hash) + [GOOGLE] * bool(user and user.google_id)
        known: Json = {"registered": user is not None, "sessionId": session_id}
        return {**kind, **known, **({"allProviders": methods, "signinMethods": methods} if methods else {})}

    async def sign_in_with_idp(self, body: Json, asking: Asking) -> Json:
        """accounts:signInWithIdp with Google's ID token, by itself or in the URL that Google redirected to."""
        tenant = self._tenant(body, asking)
        token, nonce = self._credential(body)
        who = self.google.verify(token, nonce)
        async with self._signing_up:
            linked = self._caller(body) if body.get("idToken") else None
            user, is_new = self._user_of(who, tenant, linked)
            if user is None:
                return {
                    "kind": _IDP,
                    "errorMessage": "FEDERATED_USER_ID_ALREADY_LINKED",
                    "federatedId": _federated(who),
                }
            if is_new and not self.project.may("Signup"):
                raise IdentityError("ADMIN_ONLY_OPERATION")
            if user.disabled:
                raise IdentityError("USER_DISABLED")
            if is_new:
                self._count_sign_up(asking)
            user = await asyncio.to_thread(self.users.save, user.signed_in_now())
        return {
            "kind": _IDP,
            **_profile(user),
            "providerId": GOOGLE,
            "federatedId": _federated(who),
            "emailVerified": user.email_verified,
            "oauthIdToken": token,
            **({"isNewUser": True} if is_new else {}),
            **self._tokens(user, GOOGLE),
        }

    def _credential(self, body: Json) -> tuple[str, str]:
        """Google's ID token and its nonce."""
        posted = dict(parse_qsl(_text(body, "postBody")))
        request_uri = urlsplit(_text(body, "requestUri"))
        if not request_uri.scheme:
            raise IdentityError("INVALID_REQUEST_URI" if body.get("requestUri") else "MISSING_REQUEST_URI")
        if posted.get("providerId", GOOGLE) != GOOGLE:
            raise IdentityError("OPERATION_NOT_ALLOWED : The identity provider configuration is not found.")
        if "id_token" in posted:
            return posted["id_token"], posted.get("nonce", "")
        returned = dict(parse_qsl(request_uri.fragment or request_uri.query))
        state, nonce = self._flows.pop(_text(body, "sessionId"), ("", ""))
        if not state or returned.get("state") != state or "id_token" not in returned:
            raise IdentityError("INVALID_IDP_RESPONSE : The session or the state does not match.")
        return returned["id_token"], nonce

    def _user_of(self, who: GoogleUser, tenant: str, linked: User | None) -> tuple[User | None, bool]:
        """The user of a Google sign-in, and whether it is new; None where Google's belongs to another."""
        known = self.users.by_google(tenant, who.sub)
        if linked is not None:
            another = known is not None and known.local_id != linked.local_id
            return (None if another else replace(linked, google_id=who.sub)), False
        if known is not None:
            return known, False
        same_address = self.users.by_email(tenant, who.email)
        if same_address is not None:
            return same_address.taken_over_by_google(who.sub), False
        verified = who.email_verified
        name = who.name
        return User(new_local_id(), who.email, "", "", tenant, name, verified, google_id=who.sub), True

    async def refresh(self, body: Json, _asking: Asking) -> Json:
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
        user = self._enabled(claims["sub"])
        if claims["credentials"] != user.credentials or claims["auth_time"] < user.valid_since_s:
            raise IdentityError("TOKEN_EXPIRED")
        id_token = self._id_token(user, claims["auth_time"], claims.get("provider", PASSWORD))
        return {
            "access_token": id_token,
            "expires_in": str(ID_TOKEN_LIFETIME_S),
            "token_type": "Bearer",
            "refresh_token": token,
            "id_token": id_token,
            "user_id": user.local_id,
            "project_id": _number(self.signer.project),
        }

    # --- a user ---

    async def lookup(self, body: Json, asking: Asking) -> Json:
        """accounts:lookup of the caller's own user; of any by localId or email for an administrator."""
        kind = {"kind": "identitytoolkit#GetAccountInfoResponse"}
        if not asking.admin:
            return {**kind, "users": [_record(self._caller(body))]}
        found = [self.users.by_id(id_) for id_ in body.get("localId") or []]
        found += [self.users.by_email(asking.tenant, str(email).lower()) for email in body.get("email") or []]
        users = [_record(user) for user in found if user is not None and user.tenant == asking.tenant]
        return {**kind, **({"users": users} if users else {})}

    async def update(self, body: Json, asking: Asking) -> Json:
        """accounts:update: what a code in a mail does, your own name and password, anything for an administrator."""
        if body.get("oobCode"):
            return await self._apply(self.mailbox.open(_text(body, "oobCode")))
        user = self._any(body, asking) if asking.admin else self._caller(body)
        before = user
        if not asking.admin:
            self._check_own(body, user)
        if "displayName" in body:
            user = replace(user, display_name=_text(body, "displayName"))
        removed = body.get("deleteAttribute") or []
        if "DISPLAY_NAME" in removed:
            user = replace(user, display_name="")
        if GOOGLE in (body.get("deleteProvider") or []):
            user = replace(user, google_id="")
        if body.get("email") is not None and (email := _email(body)) != user.email:
            user = self._moved(user, email, verified=False)
            if not asking.admin:
                self.mailbox.send(self._sender(body, asking), "RECOVER_EMAIL", before)
        if "password" in body:
            user = await asyncio.to_thread(user.with_password, self._new_password(body))
        if asking.admin:
            user = _administered(user, body)
        user = await asyncio.to_thread(self.users.save, user)
        answer = _changed(user)
        tokens = user.credentials != before.credentials or body.get("returnSecureToken")
        return answer | (self._tokens(user, PASSWORD) if tokens and not asking.admin else {})

    def _check_own(self, body: Json, user: User) -> None:
        """Raises IdentityError for what users may not do to themselves, or not with an old sign-in."""
        if "password" in body or body.get("email") is not None:
            self._check_recent(body)
        if body.get("email") is not None and _email(body) != user.email and self.project.hides_addresses:
            raise IdentityError("EMAIL_CHANGE_NEEDS_VERIFICATION")

    def _check_recent(self, body: Json) -> None:
        auth_time_s = self.signer.verify(_text(body, "idToken"))["auth_time"]
        if time.time() - auth_time_s > RECENT_S:
            raise IdentityError("CREDENTIAL_TOO_OLD_LOGIN_AGAIN")

    async def delete(self, body: Json, asking: Asking) -> Json:
        """accounts:delete of the caller's own user, where that is allowed; of any by an administrator."""
        if not asking.admin and not self.project.may("Deletion"):
            self._caller(body)
            raise IdentityError("ADMIN_ONLY_OPERATION")
        user = self._any(body, asking) if asking.admin else self._caller(body)
        if not asking.admin:
            self._check_recent(body)
        await asyncio.to_thread(self.users.delete, user)
        return {"kind": "identitytoolkit#DeleteAccountResponse"}

    # --- mail ---

    async def send_code(self, body: Json, asking: Asking) -> Json:
        """accounts:sendOobCode."""
        kind = _text(body, "requestType")
        if body.get("returnOobLink") and not asking.admin:
            raise permission_denied("INSUFFICIENT_PERMISSION : returnOobLink needs an administrator.")
        tenant = self._tenant(body, asking)
        sender = self._sender(body, asking)
        user, email, new_email = self._addressee(kind, body, asking, tenant)
        answer: Json = {"kind": "identitytoolkit#GetOobConfirmationCodeResponse", "email": new_email or email}
        if user is None:
            return answer
        if not asking.admin:
            self._throttle.check(f"mail {user.local_id} {kind}", MAILS, MAILS_WITHIN_S)
            self._throttle.count(f"mail {user.local_id} {kind}", MAILS_WITHIN_S)
        mail = await asyncio.to_thread(self.mailbox.send, sender, kind, user, new_email)
        return answer | ({"oobCode": mail.code, "oobLink": mail.link} if body.get("returnOobLink") else {})

    def _addressee(self, kind: str, body: Json, asking: Asking, tenant: str) -> tuple[User | None, str, str]:
        """Whose mail it is (None: no user's), that user's address, and the one it is to become."""
        if kind == "PASSWORD_RESET":
            email = _email(body)
            user = self.users.by_email(tenant, email)
            if user is None and not self.project.hides_addresses:
                raise IdentityError("EMAIL_NOT_FOUND")
            return user, email, ""
        if kind == "VERIFY_EMAIL":
            user = self.users.by_email(tenant, _email(body)) if asking.admin else self._caller(body)
            if user is None:
                raise IdentityError("USER_NOT_FOUND")
            return user, user.email, ""
        if kind == "VERIFY_AND_CHANGE_EMAIL":
            user = self._caller(body)
            if not body.get("newEmail"):
                raise IdentityError("MISSING_NEW_EMAIL")
            new_email = _email(body, "newEmail")
            if self.users.by_email(tenant, new_email):
                if not self.project.hides_addresses:
                    raise IdentityError("EMAIL_EXISTS")
                return None, user.email, new_email
            return user, user.email, new_email
        raise IdentityError("OPERATION_NOT_ALLOWED" if kind else "MISSING_REQ_TYPE")

    async def reset_password(self, body: Json, _asking: Asking) -> Json:
        """accounts:resetPassword: says whose code it is or, with newPassword, sets the password."""
        mail = self.mailbox.open(_text(body, "oobCode"))
        answer: Json = {"kind": "identitytoolkit#ResetPasswordResponse", "email": mail.email, "requestType": mail.kind}
        if mail.new_email:
            answer["newEmail"] = mail.new_email
        if "newPassword" not in body:
            return answer
        if mail.kind != "PASSWORD_RESET":
            raise IdentityError("INVALID_OOB_CODE")
        password = self._new_password(body, "newPassword")
        user = await asyncio.to_thread(self._mailed(mail).with_password, password)
        # The reader of the mail owns the address; a provider linked by somebody else is removed.
        self.mailbox.use(mail)
        await asyncio.to_thread(self.users.save, replace(user, email_verified=True, google_id=""))
        self._throttle.forget(f"password {user.tenant} {user.email}")
        return answer

    async def _apply(self, mail: Mail) -> Json:
        """Do what the code of a mail is for. Raises IdentityError."""
        user = self._mailed(mail)
        if mail.kind == "VERIFY_EMAIL":
            user = replace(user, email_verified=True)
        elif mail.kind == "VERIFY_AND_CHANGE_EMAIL":
            self.mailbox.send(_like(mail), "RECOVER_EMAIL", user)
            user = self._moved(user, mail.new_email, verified=True)
        elif mail.kind == "RECOVER_EMAIL":
            user = self._moved(user, mail.email, verified=True)
        else:
            raise IdentityError("INVALID_OOB_CODE")
        self.mailbox.use(mail)
        return _changed(await asyncio.to_thread(self.users.save, user))

    def _mailed(self, mail: Mail) -> User:
        """The user that a mail is about, unless the address has changed since."""
        user = self._enabled(mail.local_id)
        if mail.kind != "RECOVER_EMAIL" and user.email != mail.email:
            raise IdentityError("INVALID_OOB_CODE")
        return user

    def _moved(self, user: User, email: str, *, verified: bool) -> User:
        """The user with another address, which ends all sign-ins. Raises IdentityError EMAIL_EXISTS."""
        there = self.users.by_email(user.tenant, email)
        if there is not None and there.local_id != user.local_id:
            raise IdentityError("EMAIL_EXISTS")
        return replace(user, email=email, email_verified=verified).signed_out()

    def _sender(self, body: Json, asking: Asking) -> Sender:
        continue_url = self.project.check_continue_url(_text(body, "continueUrl"))
        page = self.project.callback_url or f"{asking.base_url}/"
        return Sender(page, asking.api_key, asking.language, continue_url)

    # --- who it is ---

    def _tenant(self, body: Json, asking: Asking) -> str:
        return asking.tenant or self.project.check_tenant(_text(body, "tenantId"))

    def _new_password(self, body: Json, name: str = "password") -> str:
        password = _text(body, name)
        if not password:
            raise IdentityError("MISSING_PASSWORD")
        return self.project.check_password(password)

    def _any(self, body: Json, asking: Asking) -> User:
        user = self.users.by_id(_text(body, "localId"))
        if user is None or user.tenant != asking.tenant:
            raise IdentityError("USER_NOT_FOUND")
        return user

    def _enabled(self, local_id: str) -> User:
        user = self.users.by_id(local_id)
        if user is None:
            raise IdentityError("USER_NOT_FOUND")
        if user.disabled:
            raise IdentityError("USER_DISABLED")
        return user

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
        user = self._enabled(claims["sub"])
        if claims["iat"] < user.valid_since_s:
            raise IdentityError("TOKEN_EXPIRED")
        if (tenant := _text(body, "tenantId")) and tenant != user.tenant:
            raise IdentityError("TENANT_ID_MISMATCH")
        return user

    def _tokens(self, user: User, provider: str) -> Json:
        now_s = int(time.time())
        refresh = {
            "iss": self.signer.issuer,
            "aud": REFRESH_AUDIENCE,
            "sub": user.local_id,
            "iat": now_s,
            "auth_time": now_s,
            "exp": now_s + REFRESH_LIFETIME_S,
            "credentials": user.credentials,
            "provider": provider,
        }
        return {
            "idToken": self._id_token(user, now_s, provider),
            "refreshToken": self.signer.sign(refresh),
            "expiresIn": str(ID_TOKEN_LIFETIME_S),
        }

    def _id_token(self, user: User, auth_time_s: int, provider: str) -> str:
        name: Json = {"name": user.display_name} if user.display_name else {}
        return self.signer.id_token(
            user.local_id,
            email=user.email,
            email_verified=user.email_verified,
            tenant=user.tenant or None,
            provider=provider,
            identities=user.identities,
            auth_time_s=auth_time_s,
            **name,
        )


_IDP: Final = "identitytoolkit#VerifyAssertionResponse"


def _federated(who: GoogleUser) -> str:
    return f"https://accounts.google.com/{who.sub}"


def _like(mail: Mail) -> Sender:
    """Sends as that mail was sent."""
    link = urlsplit(mail.link)
    asked = dict(parse_qsl(link.query))
    return Sender(link._replace(query="").geturl(), asked["apiKey"], asked["lang"], asked.get("continueUrl", ""))


def _administered(user: User, body: Json) -> User:
    """The user with what only an administrator may set."""
    if "emailVerified" in body:
        user = replace(user, email_verified=body["emailVerified"] is True)
    if "disableUser" in body:
        user = replace(user, disabled=body["disableUser"] is True)
    if body.get("validSince") is not None:
        try:
            user = replace(user, valid_since_s=int(body["validSince"]))
        except (TypeError, ValueError):
            raise invalid_argument("Invalid value at 'valid_since' (TYPE_INT64)") from None
    return user


def _text(body: Json, name: str) -> str:
    value = body.get(name) or ""
    if not isinstance(value, str):
        raise invalid_argument(f"Invalid value at '{name}' (TYPE_STRING)")
    return value


def _email(body: Json, name: str = "email") -> str:
    if body.get(name) is None:
        raise IdentityError("MISSING_EMAIL")
    email = _text(body, name).strip().lower()
    if not EMAIL.fullmatch(email):
        raise IdentityError("INVALID_EMAIL" if name == "email" else "INVALID_NEW_EMAIL")
    return email


def _number(project: str) -> str:
    """A project's number: the Secure Token service names the project by it."""
    return str(int.from_bytes(hashlib.sha256(project.encode()).digest()[:5], "big"))


def _profile(user: User) -> Json:
    return {"localId": user.local_id, "email": user.email, "displayName": user.display_name}


def _changed(user: User) -> Json:
    return {
        "kind": "identitytoolkit#SetAccountInfoResponse",
        **_profile(user),
        "emailVerified": user.email_verified,
        "providerUserInfo": _providers(user),
    }


def _providers(user: User) -> list[Json]:
    named = {"email": user.email, "displayName": user.display_name}
    providers = []
    if user.password_hash:
        providers.append({"providerId": PASSWORD, "federatedId": user.email, "rawId": user.email, **named})
    if user.google_id:
        federated = f"https://accounts.google.com/{user.google_id}"
        providers.append({"providerId": GOOGLE, "federatedId": federated, "rawId": user.google_id, **named})
    return providers


def _record(user: User) -> Json:
    return {
        **_profile(user),
        "emailVerified": user.email_verified,
        "providerUserInfo": _providers(user),
        "validSince": str(user.valid_since_s),
        "disabled": user.disabled,
        "createdAt": str(user.created_at_ms),
        "lastLoginAt": str(user.last_login_at_ms or user.created_at_ms),
        **({"tenantId": user.tenant} if user.tenant else {}),
    }
