"""Set what Terraform cannot set at Identity Platform, or check that it is set: `python -m tools.identity_settings`.

The page that links in mail lead to is ours, and no answer tells which addresses have an account. Who runs it needs
roles/identityplatform.admin (to check, roles/identityplatform.viewer).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
SERVICE = "https://identitytoolkit.googleapis.com"
TIMEOUT_S = 30.0


def wanted(domain: str) -> Json:
    """The settings of an installation, as projects.updateConfig takes them."""
    return {
        "emailPrivacyConfig": {"enableImprovedEmailPrivacy": True},
        "notification": {"sendEmail": {"callbackUri": f"https://{domain}/"}},
    }


def leaves(settings: Json, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted path, value) of each setting."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def differences(config: Json, domain: str) -> list[str]:
    """One line for each setting that isn't as wanted."""
    there = dict(leaves(config))
    return [
        f"{path} is {there.get(path)!r}, not {value!r}"
        for path, value in leaves(wanted(domain))
        if there.get(path) != value
    ]


def call(method: str, url: str, project: str, body: Json | None = None) -> Json:
    """A call as the user that gcloud knows, or with the token in ACCESS_TOKEN. Raises OSError."""
    token = os.environ.get("ACCESS_TOKEN") or _gcloud_token()
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        # A user's own credentials name the project that the call is counted for.
        "X-Goog-User-Project": project,
    }
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - ours or an operator's
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        said: Json = json.load(answer)
        return said


def _gcloud_token() -> str:
    command = ["gcloud", "auth", "print-access-token"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - fixed


def main(arguments: list[str] | None = None) -> int:
    """0 if the settings are as wanted in the end, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tools.identity_settings", description=__doc__)
    parser.add_argument("action", choices=["apply", "check"])
    parser.add_argument("project")
    parser.add_argument("domain", help="the studio's, as in the tfvars")
    parser.add_argument("--service", default=SERVICE, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    url = f"{options.service}/admin/v2/projects/{options.project}/config"
    if options.action == "apply":
        mask = ",".join(path for path, _ in leaves(wanted(options.domain)))
        call("PATCH", f"{url}?updateMask={mask}", options.project, wanted(options.domain))
    found = differences(call("GET", url, options.project), options.domain)
    for line in found:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
