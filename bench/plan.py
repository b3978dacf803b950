"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["FULL", "QUICK", "WORK", "Plan"]

WORK: Final = {
    "set": "one durable SetString by a blocking client",
    "throughput": "durable sets a second from 32 callers",
    "get": "GetString by a blocking client",
    "handle-get": "a handle's get of all keys, and again unchanged",
    "handle-set": "a handle's set that changes one of all keys",
    "beside": "what others wait while all keys are set at once",
    "rewriting": "sets while the default file is being rewritten",
    "signal": "from a set's reply to the signal at a subscriber",
    "memory": "memory empty and with all keys",
    "start": "start with all keys",
    "process": "kdb get and kdb set as processes, beside xfconf-query, dconf and gsettings",
    "idle": "wake-ups when idle",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes, numbers of runs, and times.

    A run of single calls ends after `run_s`, waiting for quiet after `settle_s` at the latest.
    """

    small: int
    middle: int
    large: int
    huge: int | None
    runs: int
    calls: int
    run_s: float
    throughput_s: float
    rewriting_s: float
    idle_s: float
    settle_s: float


FULL: Final = Plan(
    small=10,
    middle=1_000,
    large=100_000,
    huge=1_000_000,
    runs=5,
    calls=300,
    run_s=2.0,
    throughput_s=2.0,
    rewriting_s=10.0,
    idle_s=60.0,
    settle_s=120.0,
)
QUICK: Final = Plan(
    small=10,
    middle=100,
    large=10_000,
    huge=None,
    runs=2,
    calls=50,
    run_s=0.5,
    throughput_s=0.3,
    rewriting_s=2.0,
    idle_s=3.0,
    settle_s=10.0,
)
