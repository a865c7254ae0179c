"""A user with one of everything, so that requests reach further than to an id that does not exist."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from testing.cloud import Cloud, User

Json = dict[str, Any]
SMALL = {"model": "omni-flash", "seconds": 3, "resolution": "360p"}


@dataclass(frozen=True)
class Things:
    """What the ids in paths may be: by the longest beginning of the path."""

    user: User
    by_path: dict[str, tuple[str, ...]]

    @classmethod
    def made(cls, cloud: Cloud, admin: User, project: str | None) -> Things:
        """`project`: an id for a new project. The first project of a tenant binds all its users to name one."""
        user, other = cloud.user(), cloud.user()
        key = secrets.token_hex(8)
        finished = user.create("a paper boat", **SMALL)["id"]
        running = user.create("a paper boat [never finishes]", **SMALL)["id"]
        failed = _post(user, "/v1/videos", {"prompt": "x [blocked]", **SMALL}, key)["id"]
        user.wait(finished)
        user.wait(failed)
        endpoint = _post(user, "/v1/webhook-endpoints", {"url": f"{cloud.url}/healthz"})
        if project is not None:
            _post(admin, "/v1/projects", {"id": project, "title": "Fuzz"})
        videos = (finished, running, failed)
        return cls(
            user,
            {
                "/v1/videos": videos,
                "/v1/admin/videos": videos,
                "/v1/idempotency-keys": (key,),
                "/v1/api-keys": (_post(user, "/v1/api-keys", {"name": "fuzz", "scope": "read"})["id"],),
                "/v1/webhook-endpoints": (endpoint["id"],),
                "/v1/projects": (project,) if project is not None else (),
                "/v1/admin/users": (other.account["id"],),
                "/v1/account/exports": (_post(user, "/v1/account/export", {})["id"],),
                "/v1/models": ("veo-3.1-fast", "omni-flash", "veo-3.0-generate-preview"),
            },
        )

    def ids(self, path: str) -> tuple[str, ...]:
        fitting = [prefix for prefix in self.by_path if path.startswith(f"{prefix}/{{")]
        return self.by_path[max(fitting, key=len)] if fitting else ()


def _post(user: User, path: str, body: Json, key: str | None = None) -> Json:
    answer = user.call("POST", path, json=body, headers={"Idempotency-Key": key} if key else {})
    assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
    made: Json = answer.json()
    return made
