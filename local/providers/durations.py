"""How long a generation takes."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Literal

Distribution = Literal["fixed", "lognormal"]


@dataclass(frozen=True)
class Durations:
    """Seconds of one generation.

    fixed: `min_seconds`, each time. lognormal: between both bounds, their geometric mean as the median and the bounds
    2.5 standard deviations away; with 11 and 360 s (the provider's published fastest and slowest) the median is 63 s.
    """

    min_seconds: float = 3.0
    max_seconds: float = 3.0
    distribution: Distribution = "fixed"

    def __post_init__(self) -> None:
        if not 0 <= self.min_seconds <= self.max_seconds:
            raise ValueError(f"durations must be 0 <= {self.min_seconds} <= {self.max_seconds}")
        if self.distribution not in ("fixed", "lognormal"):
            raise ValueError(f"the distribution must be fixed or lognormal, not {self.distribution}")
        if self.distribution == "lognormal" and self.min_seconds == 0:
            raise ValueError("a lognormal distribution needs a shortest duration above 0")

    def draw(self, chance: random.Random) -> float:
        """The seconds of the next generation."""
        if self.distribution == "fixed":
            return self.min_seconds
        low, high = math.log(self.min_seconds), math.log(self.max_seconds)
        drawn = math.exp(chance.gauss((low + high) / 2, (high - low) / 5))
        return min(max(drawn, self.min_seconds), self.max_seconds)
