"""When a failed attempt is repeated, by a queue's or a task's RetryConfig."""

import dataclasses
from typing import Any

from local.tasks.messages import seconds


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """`max_attempts` -1 and `max_retry_s` 0 mean unlimited."""

    max_attempts: int
    max_retry_s: float
    min_backoff_s: float
    max_backoff_s: float
    max_doublings: int

    @classmethod
    def from_message(cls, message: Any) -> "RetryPolicy":
        """The policy of a RetryConfig whose defaults are filled in."""
        return cls(
            max_attempts=message.max_attempts,
            max_retry_s=seconds(message.max_retry_duration),
            min_backoff_s=seconds(message.min_backoff),
            max_backoff_s=seconds(message.max_backoff),
            max_doublings=message.max_doublings,
        )

    def delay_s(self, failures: int) -> float:
        """Seconds to wait after that many failures (1 or more): doubling, then growing by the last doubling's step.

        10 s to 300 s with 3 doublings gives 10, 20, 40, 80, 160, 240, 300, 300, ...
        """
        doublings = min(failures - 1, self.max_doublings)
        linear_steps = failures - doublings
        # A float overflows beyond 2 ** 1023; no back-off is that long.
        step = self.min_backoff_s * 2.0 ** min(doublings, 1000)
        return min(step * linear_steps, self.max_backoff_s)

    def is_exhausted(self, attempts: int, age_s: float) -> bool:
        """Whether a task is given up: only when both limits are reached. `age_s` counts from its first attempt."""
        if self.max_attempts == -1 or attempts < self.max_attempts:
            return False
        return self.max_retry_s == 0 or age_s >= self.max_retry_s
