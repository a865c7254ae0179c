"""Hypothesis drives the ledger and the pure job core, and checks their invariants after every step."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from testing.simulation.machines import JobMachine, LedgerMachine

SHORT = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


class TestLedgerMachine(LedgerMachine.TestCase):  # type: ignore[valid-type,misc]
    """The ledger balances in any order of preparing and committing."""

    settings = SHORT


class TestJobMachine(JobMachine.TestCase):  # type: ignore[valid-type,misc]
    """Whatever a job hears, it is charged once, ends once, and is due until it has ended."""

    settings = SHORT
