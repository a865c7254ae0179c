"""One job driven by events through the pure core: no store, no queue, no clock but the `now` of each call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.core import events as e
from shared.core import ledger, lifecycle
from shared.core.admission import Submission
from shared.core.documents import Account, Job, LiveSettings, Output, Transaction, VideoRequest
from shared.core.lifecycle import Change, decide

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
CONFIG = LiveSettings(signup_credits=500)
REQUEST = VideoRequest(
    prompt="a paper boat", model="veo-3.1-fast", seconds=8, aspect_ratio="16:9", resolution="720p", generate_audio=True
)
STORED = Output(uri="gs://b/x.mp4", object="x.mp4", size_bytes=2_000, crc32c="AAAAAA==", seconds=8.0)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def account(**changes: Any) -> Account:
    fresh = Account(id="alice", issuer="i", sub="s", tenant="default", created_at=NOW, change_id="x")
    opened, _ = ledger.open_account(fresh, True, CONFIG, NOW)
    assert isinstance(opened, Account)
    return opened.changed(**changes)


def submitted(config: LiveSettings = CONFIG, **request: Any) -> Change:
    asked = REQUEST.model_copy(update=request)
    plan = Submission("video_abc", asked, 80 * asked.count, expected_s=60.0, fingerprint="f", provider="vertex")
    return lifecycle.submit(plan, account(), NOW, config)


class Life:
    """One job driven by events; keeps the resulting ledger and tasks."""

    def __init__(self, config: LiveSettings = CONFIG, **request: Any) -> None:
        self.config = config
        change = submitted(config, **request)
        assert change.account is not None
        self.job: Job = change.job
        self.account: Account = change.account
        self.entries: list[Transaction] = list(change.transactions)
        self.tasks = [change.task]
        self.signals: list[str] = []

    def hear(self, event: e.Event, at: datetime = NOW) -> Change | None:
        change = decide(self.job, self.account, event, at, self.config)
        if change is not None:
            self.job = change.job
            self.account = change.account or self.account
            self.entries += change.transactions
            self.tasks += [change.task] if change.task else []
            self.signals += change.signals
        return change

    def claimed(self, at: datetime = NOW) -> Life:
        self.hear(e.LeaseRequested(self.job.step, "h1"), at)
        return self

    def generating(self, at: datetime = NOW) -> Life:
        self.claimed(at).hear(e.Accepted(self.job.attempt, "op-1"), at)
        return self

    def storing(self, at: datetime = NOW, uris: tuple[str, ...] = ("gs://b/x.mp4",), filtered: int = 0) -> Life:
        self.generating(at).hear(e.GenerationFinished(self.job.step, "h2", uris, filtered, "why"), at)
        return self

    def completed(self, at: datetime = NOW) -> Life:
        self.storing(at).hear(e.Stored(self.job.step, "h2", (STORED,)), at)
        return self

    def uncertain(self, at: datetime = NOW) -> Life:
        self.claimed(at).hear(e.StartUnknown(self.job.step, "h1"), at)
        return self

    @property
    def amounts(self) -> list[int]:
        return [entry.amount for entry in self.entries]
