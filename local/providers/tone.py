"""The sound of a film: a soft chord chosen by prompt and seed."""

from __future__ import annotations

import numpy as np

from local.providers.scene import generator_of
from local.providers.sprite import Floats

SAMPLE_RATE = 48_000
_PENTATONIC = (0, 2, 4, 7, 9)
_LOUDNESS = 0.09
_FADE_S = 0.25


def chord(prompt: str, seed: int, samples: int) -> Floats:
    """(2, samples) stereo in -1..1 at SAMPLE_RATE: root, fifth and octave, slowly breathing, faded at both ends."""
    chance = generator_of(prompt, seed)
    root = 110.0 * 2 ** ((int(chance.choice(_PENTATONIC)) + 12 * int(chance.integers(0, 2))) / 12)
    time = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    sound = np.zeros((2, samples), np.float32)
    for number, ratio in enumerate((1.0, 1.5, 2.0)):
        breath = 0.7 + 0.3 * np.sin(2 * np.pi * (0.11 + 0.07 * number) * time)
        for side, detune in enumerate((0.999, 1.001)):
            sound[side] += breath * np.sin(2 * np.pi * root * ratio * detune * time) / (number + 1)
    fade = np.clip(np.minimum(time, samples / SAMPLE_RATE - time) / _FADE_S, 0, 1)
    return (sound * fade * _LOUDNESS).astype(np.float32)
