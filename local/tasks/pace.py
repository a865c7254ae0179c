"""How fast a queue may dispatch: a token bucket whose rate falls when the target says that it is overloaded."""

import math
from typing import Final

# Half the rate for each second with a 429 or 503, a tenth of the full rate back for each second without.
SLOWEST_FRACTION: Final = 1 / 64
RECOVERY_PER_S: Final = 0.1
SLOW_DOWN_INTERVAL_S: Final = 1.0
# Rounding must not cost a token that is there.
ROUNDING: Final = 1e-9


class Pace:
    """A bucket that holds one second's worth of dispatches, at least one. Times are seconds of one monotonic clock."""

    def __init__(self, max_per_s: float, now_s: float) -> None:
        self._max_per_s = max_per_s
        self._burst = max(1, math.ceil(max_per_s))
        self._fraction = 1.0
        self._tokens = float(self._burst)
        self._updated_s = now_s
        self._slowed_s = -math.inf

    @property
    def burst(self) -> int:
        """How many dispatches may go out at once."""
        return self._burst

    def per_s(self, now_s: float) -> float:
        """The rate in force."""
        self._advance(now_s)
        return self._max_per_s * self._fraction

    def take(self, now_s: float) -> bool:
        """Takes a token; False when there is none."""
        self._advance(now_s)
        if self._tokens < 1 - ROUNDING:
            return False
        self._tokens -= 1
        return True

    def wait_s(self, now_s: float) -> float:
        """Seconds until there may be a token."""
        self._advance(now_s)
        return max(0.0, (1 - self._tokens) / (self._max_per_s * self._fraction))

    def slow_down(self, now_s: float) -> None:
        """Halves the rate. Answers of one burst count once."""
        self._advance(now_s)
        if now_s - self._slowed_s < SLOW_DOWN_INTERVAL_S:
            return
        self._slowed_s = now_s
        self._fraction = max(SLOWEST_FRACTION, self._fraction / 2)
        self._tokens = min(self._tokens, max(1.0, self._burst * self._fraction))

    def _advance(self, now_s: float) -> None:
        elapsed_s = max(0.0, now_s - self._updated_s)
        before = self._fraction
        self._fraction = min(1.0, before + RECOVERY_PER_S * elapsed_s)
        gained = self._max_per_s * (before + self._fraction) / 2 * elapsed_s
        self._tokens = min(self._tokens + gained, max(1.0, self._burst * self._fraction))
        self._updated_s = now_s
