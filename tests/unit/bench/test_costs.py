"""What a video costs in operations: no more than it did, and priced with what infra/ sets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.costs import ARMOR, MEMORY_GIB, SCHEDULER_JOBS, WARM
from bench.counting import Life, Video, play, sweep
from bench.scaling import DELIVER_AT_ONCE, DELIVER_INSTANCES, GENERATE_AT_ONCE, INSTANCES

INFRA = Path(__file__).parents[3] / "infra"


@pytest.fixture(scope="module")
def veo() -> Video:
    return play(Life("veo-3.1-fast", events=True))


@pytest.fixture(scope="module")
def omni() -> Video:
    return play(Life("omni-flash", events=False))


def test_submit_takes_3_writes_and_a_job_13(veo: Video, omni: Video) -> None:
    for video in (veo, omni):
        assert video.operations["Firestore writes"] <= 13
        assert video.operations["writes of accounts"] == 2
        assert video.operations["writes of credit_transactions"] == 1


def test_video_takes_few_tasks(veo: Video, omni: Video) -> None:
    assert omni.operations["Cloud Tasks operations"] <= 14
    assert veo.operations["Cloud Tasks operations"] <= 16


def test_video_takes_about_20_reads_besides_client_polls(veo: Video, omni: Video) -> None:
    for video in (veo, omni):
        assert video.operations["Firestore reads"] - video.requests["history"] <= 23


def test_video_written_by_the_provider_is_not_uploaded(veo: Video) -> None:
    # Only the poster, and the video's metadata.
    assert veo.operations["Cloud Storage class A"] == 2


def test_sparse_polling_halves_a_jobs_writes(veo: Video) -> None:
    rare = play(Life("veo-3.1-fast", events=True, polling="rarely"))
    assert rare.operations["writes of jobs"] <= veo.operations["writes of jobs"] / 2


def test_idle_sweep_takes_5_reads() -> None:
    operations, _ = sweep()
    assert operations == {"Firestore reads": 5}


def test_priced_resources_are_the_deployed_ones() -> None:
    functions = (INFRA / "functions.tf").read_text()
    memory, most, warm = {}, {}, []
    for name in MEMORY_GIB:
        block = functions.partition(f"    {name} = {{")[2].partition("    }")[0]
        size, unit = re.search(r'memory\s+= "(\d+)([GM])i"', block).groups()  # type: ignore[union-attr]
        memory[name] = int(size) / (1 if unit == "G" else 1024)
        numbers = (re.search(rf"{field}\s+= (\d+)", block) for field in ("max", "concurrency"))
        most[name] = tuple(int(found[1]) for found in numbers if found)
        warm += [name] if re.search(r"warm\s+= true", block) else []
    assert memory == MEMORY_GIB
    assert {name: most[name] for name in INSTANCES} == INSTANCES
    assert most["deliver"] == (DELIVER_INSTANCES, DELIVER_AT_ONCE)
    assert sorted(warm) == sorted(WARM)


def test_monthly_costs_cover_the_deployed_resources() -> None:
    scheduled = (INFRA / "scheduler.tf").read_text().partition("schedules = {")[2].partition("  }\n")[0]
    assert scheduled.count("schedule =") == SCHEDULER_JOBS
    assert 5 + (INFRA / "armor.tf").read_text().count("  rule {") == ARMOR
    assert f"max_concurrent_dispatches = {GENERATE_AT_ONCE}\n" in (INFRA / "queues.tf").read_text()
