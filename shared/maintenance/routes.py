"""The routes of this package, which Cloud Scheduler calls."""

from __future__ import annotations

from shared.api.routing import Route

ROUTES: tuple[Route, ...] = (
    Route("sweep", "POST", "/tasks/sweep", "cleanup", "Re-enqueue lost jobs and end overdue ones", caller="scheduler"),
    Route(
        "reconcile",
        "POST",
        "/tasks/reconcile",
        "cleanup",
        "Compare every balance with its ledger",
        caller="scheduler",
    ),
    Route("retain", "POST", "/tasks/retain", "cleanup", "Delete files whose retention has ended", caller="scheduler"),
    Route("digest", "POST", "/tasks/digest", "cleanup", "Report on last week for the operators", caller="scheduler"),
)
