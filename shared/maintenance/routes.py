"""The routes of this package: what Cloud Scheduler calls."""

from __future__ import annotations

from shared.api.routing import Route

ROUTES: tuple[Route, ...] = (
    Route("sweep", "POST", "/tasks/sweep", "cleanup", "Put back the jobs that fell", caller="scheduler"),
    Route(
        "reconcile",
        "POST",
        "/tasks/reconcile",
        "cleanup",
        "Compare every balance with its ledger",
        caller="scheduler",
    ),
    Route("retain", "POST", "/tasks/retain", "cleanup", "Remove files that are no longer kept", caller="scheduler"),
    Route("digest", "POST", "/tasks/digest", "cleanup", "Sum up the week for the operators", caller="scheduler"),
)
