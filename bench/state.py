"""Measuring what a service takes when it does nothing: memory, its start, wake-ups."""

from __future__ import annotations

import time

from figures import Figure
from plan import Plan
from proc import memory_mb, peak_mb, voluntary_switches
from running import Running

__all__ = ["idle", "memory", "settle", "start"]

_LOOK_S = 0.5
_QUIET_LOOKS = 4


def memory(running: Running) -> tuple[Figure, Figure]:
    """Return resident memory and PSS, in MB."""
    rss, pss = memory_mb(running.pid)
    return Figure((rss,), {"peak": peak_mb(running.pid)}), Figure((pss,))


def start(running: Running, plan: Plan) -> Figure:
    """Return the seconds from the start of the process until it answers; it runs afterwards."""
    times = []
    for _ in range(plan.runs):
        running.stop()
        times.append(running.start())
    return Figure(tuple(times))


def settle(running: Running, plan: Plan) -> None:
    """Wait until the service has been quiet for a while, at most `settle_s`."""
    before, quiet = voluntary_switches(running.pid), 0
    until = time.perf_counter() + plan.settle_s
    while quiet < _QUIET_LOOKS and time.perf_counter() < until:
        time.sleep(_LOOK_S)
        now = voluntary_switches(running.pid)
        quiet = quiet + 1 if now == before else 0
        before = now


def idle(services: list[Running], plan: Plan) -> list[Figure]:
    """Return how often each service woke up within `idle_s`; all are left alone together."""
    for running in services:
        settle(running, plan)
    before = [voluntary_switches(running.pid) for running in services]
    time.sleep(plan.idle_s)
    after = [voluntary_switches(running.pid) for running in services]
    return [
        Figure((float(sum(count - old.get(thread, 0) for thread, count in new.items())),))
        for old, new in zip(before, after, strict=True)
    ]
