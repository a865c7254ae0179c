"""The parts of `make bench`, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bench import cold_start, costs, history, hot_account, peers, polling, serving, streams, submit
from bench.environment import Stand
from bench.goals import Part

PARTS: Final[Mapping[str, Callable[[Stand], Part]]] = {
    "submit": submit.measure,
    "hot-account": hot_account.measure,
    "peers": peers.measure,
    "cold-start": cold_start.measure,
    "serving": serving.measure,
    "events": streams.measure,
    "looks": polling.measure,
    "costs": costs.measure,
    "history": history.measure,
}
