"""The audit log: who did what, for actions that an administrator may have to account for later.

Entries are structured log lines with the label `log: audit`; a log sink keeps them as long as the law requires. They
contain ids and hashes, never a prompt, an address or a key.
"""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from shared.platform import log
from shared.platform.identity import Caller

Action = Literal[
    "video_generated",
    "video_canceled",
    "video_deleted",
    "videos_listed_as_admin",
    "video_viewed_as_admin",
    "users_listed_as_admin",
    "user_viewed_as_admin",
    "user_changed",
    "credits_granted",
    "project_made",
    "project_changed",
    "config_changed",
    "tenant_viewed_as_operator",
    "tenant_credits_granted",
    "admin_action_denied",
    "webhook_endpoint_created",
    "webhook_endpoint_changed",
    "webhook_endpoint_secret_rotated",
    "webhook_endpoint_deleted",
    "webhook_redelivered",
    "webhook_secret_viewed",
    "webhook_secret_rotated",
    "api_key_made",
    "api_key_revoked",
    "account_exported",
    "account_deleted",
]


def record(action: Action, caller: Caller, **facts: Any) -> None:
    """Write one entry. The caller and the request are included automatically; `facts` are ids, hashes and numbers."""
    log.audit(action, user=caller.account, tenant=caller.tenant, role=caller.role, api_key=caller.key, **facts)


def prompt_sha256(prompt: str) -> str:
    """A hash that shows whether two entries are about the same prompt, without revealing it."""
    return hashlib.sha256(prompt.encode()).hexdigest()
