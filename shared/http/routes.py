"""The table of all routes: which function serves each, for which callers, with which bodies.

Each package lists its own routes; functions/*/main.py bind handlers to them by name. The local gateway, the load
balancer's URL map, openapi.json and the access tests are generated from the same table.
"""

from __future__ import annotations

from shared.accounts.routes import ROUTES as ACCOUNTS
from shared.admin.routes import ROUTES as ADMIN
from shared.api import routing
from shared.api.routing import Function, Route
from shared.http.agent_tools import ROUTES as AGENT_TOOLS
from shared.jobs.routes import ROUTES as JOBS
from shared.maintenance.routes import ROUTES as MAINTENANCE
from shared.streaming.routes import ROUTES as STREAMING
from shared.webhooks.routes import ROUTES as WEBHOOKS
from shared.workspace.routes import ROUTES as WORKSPACE

ROUTES: tuple[Route, ...] = (
    *JOBS,
    *STREAMING,
    *ACCOUNTS,
    *WEBHOOKS,
    *WORKSPACE,
    *ADMIN,
    *AGENT_TOOLS,
    *MAINTENANCE,
)


def of(function: Function) -> tuple[Route, ...]:
    """One function's routes, in table order."""
    return routing.of(function, ROUTES)
