"""Jobs started by an earlier release finish under this one: recorded histories, continued from every commit."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from shared.core.documents import FINAL, Stage
from testing.faults import histories

LIVES = histories.recorded()
ROUNDS = 3


def test_current_release_has_recorded_histories() -> None:
    recorded = {path.stem for path in LIVES if path.parent.name == histories.release()}
    assert recorded == {life.replace(" ", "-") for life in histories.LIVES}, "python -m testing.faults.histories"


def test_recorded_histories_cover_every_stage() -> None:
    stages = {entry.job.stage for path in LIVES for entry in histories.load(path).entries if entry.job is not None}
    assert stages == set(Stage)


@pytest.mark.parametrize("path", LIVES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_recorded_decisions_are_reproduced(path: Path) -> None:
    for entry, differences in histories.replay(histories.load(path)):
        assert not differences, f"{entry.event} at {entry.now}: {differences}"


@pytest.mark.parametrize("with_task", [True, False], ids=["with its task", "found by the sweeper"])
@pytest.mark.parametrize("path", LIVES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_job_continues_from_every_commit_to_its_end(path: Path, with_task: bool) -> None:
    history = histories.load(path)
    seen: Counter[tuple[Stage, bool]] = Counter()
    for number, entry in enumerate(history.entries):
        if entry.job is None:
            continue
        # Repeated steps (polls, cleanup) are continued only from their first rounds.
        round_ = entry.job.stage, entry.job.lease is not None
        seen[round_] += 1
        if seen[round_] > ROUNDS:
            continue
        ended = histories.resume(history, number, with_task)
        if entry.job.stage in FINAL:
            assert ended.stage is entry.job.stage, f"{entry.job.stage} became {ended.stage}"
