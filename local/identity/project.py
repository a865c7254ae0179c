"""The project's configuration, as Identity Platform's admin/v2 API reads and changes it."""

from __future__ import annotations

import copy
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from local.files import read_json, write_json
from local.identity.errors import IdentityError, invalid_argument

Json = dict[str, Any]
# As infra/ and docs/operations.md set up an installation.
DEFAULTS: Final[Json] = {
    "authorizedDomains": ["localhost", "127.0.0.1"],
    "client": {"permissions": {"disabledUserSignup": False, "disabledUserDeletion": True}},
    "emailPrivacyConfig": {"enableImprovedEmailPrivacy": True},
    "quota": {},
    "passwordPolicyConfig": {
        "passwordPolicyEnforcementState": "ENFORCE",
        "passwordPolicyVersions": [{"customStrengthOptions": {"minPasswordLength": 6, "maxPasswordLength": 4096}}],
    },
    "notification": {"sendEmail": {"method": "DEFAULT", "callbackUri": ""}},
}
MASK: Final = re.compile(r"[A-Za-z]+(\.[A-Za-z]+)*")


class Project:
    """The configuration and the tenants of the one project that is served."""

    def __init__(self, path: Path, name: str, sign_ups_per_hour: int | None = None) -> None:
        self._path = path
        self.name = name
        stored: Json = read_json(path) or {}
        self.tenants: list[str] = stored.get("tenants", [])
        self._config: Json = copy.deepcopy(DEFAULTS) | stored.get("config", {})
        self._sign_ups_per_hour = sign_ups_per_hour

    def config(self) -> Json:
        return {"name": f"projects/{self.name}/config", **copy.deepcopy(self._config)}

    def update(self, body: Json, masks: Iterable[str]) -> Json:
        """Set the fields of the mask to what the body says; a field that the body lacks is reset."""
        for mask in masks:
            if not MASK.fullmatch(mask):
                raise invalid_argument(f"Invalid field mask: {mask}")
            *parents, last = mask.split(".")
            target, given = self._config, body
            for parent in parents:
                target, given = target.setdefault(parent, {}), given.get(parent) or {}
            target[last] = copy.deepcopy(given.get(last))
        self._write()
        return self.config()

    def add_tenant(self, display_name: str) -> Json:
        tenant = f"{display_name}-{secrets.token_hex(3)}"
        self.tenants.append(tenant)
        self._write()
        return {"name": f"projects/{self.name}/tenants/{tenant}", "displayName": display_name}

    def check_tenant(self, tenant: str) -> str:
        """Raises IdentityError INVALID_TENANT_ID."""
        if tenant and tenant not in self.tenants:
            raise IdentityError("INVALID_TENANT_ID")
        return tenant

    def check_continue_url(self, url: str) -> str:
        """Raises IdentityError unless the URL is absolute and on an authorized domain; "" is none."""
        if not url:
            return ""
        try:
            parts = urlsplit(url)
            host = parts.hostname
        except ValueError:
            raise IdentityError("INVALID_CONTINUE_URI") from None
        if parts.scheme not in ("http", "https") or not host:
            raise IdentityError("INVALID_CONTINUE_URI")
        if host not in self._config["authorizedDomains"]:
            raise IdentityError(f"UNAUTHORIZED_DOMAIN : Domain not allowlisted by project: {host}")
        return url

    def check_password(self, password: str) -> str:
        """Raises IdentityError for a new password that the policy doesn't allow."""
        least, most = self._strength["minPasswordLength"], self._strength["maxPasswordLength"]
        if len(password) < least:
            raise IdentityError(f"WEAK_PASSWORD : Password should be at least {least} characters")
        if len(password) > most:
            missing = f"Password may contain at most {most} characters"
            raise IdentityError(f"PASSWORD_DOES_NOT_MEET_REQUIREMENTS : Missing password requirements: [{missing}]")
        return password

    @property
    def password_policy(self) -> Json:
        """As GET /v2/passwordPolicy answers it."""
        policy = self._config["passwordPolicyConfig"]
        return {
            "customStrengthOptions": self._strength,
            "schemaVersion": 1,
            "enforcementState": policy["passwordPolicyEnforcementState"],
            "forceUpgradeOnSignin": False,
        }

    @property
    def callback_url(self) -> str:
        """Where links in mail lead; "" is the installation's own page."""
        return str(self._config["notification"]["sendEmail"].get("callbackUri") or "")

    @property
    def hides_addresses(self) -> bool:
        """Whether answers hide which addresses have an account."""
        return bool(self._config["emailPrivacyConfig"]["enableImprovedEmailPrivacy"])

    def may(self, act: str) -> bool:
        """Whether users may do this without an administrator: Signup or Deletion."""
        return not self._config["client"]["permissions"].get(f"disabledUser{act}")

    @property
    def sign_ups_per_hour(self) -> int:
        """New accounts from one address; signUpQuotaConfig replaces the number for a while, here for good."""
        return self._sign_ups_per_hour or int(self._config["quota"].get("signUpQuotaConfig", {}).get("quota", 100))

    @property
    def _strength(self) -> Json:
        options: Json = self._config["passwordPolicyConfig"]["passwordPolicyVersions"][0]["customStrengthOptions"]
        return options

    def _write(self) -> None:
        write_json(self._path, {"config": self._config, "tenants": self.tenants})
