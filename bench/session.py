"""All measurements of one subject at one number of keys, and of all subjects' idleness."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import calls
import keysets
import processes
import state
from beside import beside
from calls import Clock
from figures import Figure
from plan import Plan
from running import Running
from subjects import Subject

__all__ = ["Results", "idle", "measure", "sizes_for"]

Results = dict[tuple[str, int | None], dict[str, Figure]]
"""Figures by (what was measured, at how many keys), then by subject."""

Say = Callable[[str], None]

_AT_EACH_SIZE: Final = {
    "small": {"set", "throughput", "get", "signal", "process"},
    "middle": {"set", "get"},
    "large": {
        "set", "throughput", "get", "signal", "handle-get", "handle-set", "beside", "rewriting",
        "memory", "start", "process",
    },
    "huge": {"set"},
}  # fmt: skip


def sizes_for(plan: Plan, wanted: Collection[str], subject: Subject) -> list[tuple[int, set[str]]]:
    """Return at how many keys which work of those wanted is measured, small before large."""
    found = []
    if "memory" in wanted:
        found.append((0, {"memory"}))
    for size, work in _AT_EACH_SIZE.items():
        keys: int | None = getattr(plan, size)
        # The peers' figures at a million keys are not asked for, and dconf's take an hour.
        if keys is not None and work & set(wanted) and (subject.is_kdbd or size != "huge"):
            found.append((keys, work & set(wanted)))
    return found


class Session:
    """One subject with so many keys; its figures go to `results`."""

    def __init__(
        self, running: Running, keys: int, plan: Plan, *, clock: Clock, results: Results, say: Say
    ) -> None:
        self._running = running
        self._keys = keys
        self._plan = plan
        self._clock = clock
        self._results = results
        self._say = say

    def measure(self, work: set[str]) -> None:
        """Do this work, in an order in which nothing disturbs what comes after it."""
        running, keys, plan, clock = self._running, self._keys, self._plan, self._clock
        kdbd = running.subject.is_kdbd
        running.sync()
        # The keys that it took in are announced to the end, so that they are not again later.
        state.settle(running, plan)
        if "start" in work:
            self._note("start", state.start(running, plan))
        elif keys:
            # What was read from the file the first time is read from the journal from now on.
            running.stop()
            running.start()
        state.settle(running, plan)
        if "memory" in work:
            rss, pss = state.memory(running)
            self._note("memory", rss)
            self._note("pss", pss)
        if "get" in work and (got := calls.get_string(running, keys, plan)) is not None:
            self._note("get", got[0])
            self._note("get-cpu", got[1])
        if "process" in work:
            for what, figure in processes.measure(running, keys, plan, clock).items():
                self._note(what, figure)
        if "handle-get" in work and kdbd:
            self._pair("handle-get", "handle-get-again", keysets.handle_get(running, keys, plan))
        if "handle-set" in work and kdbd:
            pair = keysets.handle_set(running, keys, plan, clock)
            self._pair("handle-set", "handle-set-cpu", pair)
        if "beside" in work and kdbd:
            self._pair("beside-get", "beside-set", beside(running, plan, clock))
        if "set" in work:
            self._pair("set", "set-cpu", calls.set_string(running, keys, plan, clock))
        if "signal" in work:
            pair = calls.signal(running, keys, plan, clock)
            self._pair("signal", "signal-from-call", pair)
        if "throughput" in work:
            pair = calls.throughput(running, keys, plan, clock)
            self._pair("throughput", "throughput-cpu", pair)
        if "rewriting" in work:
            self._note("rewriting", calls.rewriting(running, keys, plan, clock))
        if "memory" in work and keys:
            self._note("memory-after", state.memory(running)[0])

    def _pair(self, first: str, second: str, figures: tuple[Figure, Figure]) -> None:
        self._note(first, figures[0])
        self._note(second, figures[1])

    def _note(self, what: str, figure: Figure) -> None:
        subject = self._running.subject.name
        self._results.setdefault((what, self._keys), {})[subject] = figure
        self._say(f"{subject:10} {self._keys:>9,} keys  {what:18} {figure.median:.4g}")


def measure(
    subject: Subject,
    keys: int,
    work: set[str],
    scratch: Path,
    plan: Plan,
    *,
    clock: Clock,
    results: Results,
    say: Say,
) -> None:
    """Start a subject with so many keys and measure this work."""
    running = Running(subject, scratch / f"{subject.name}-{keys}")
    running.seed(keys)
    began = time.perf_counter()
    with running:
        say(f"{subject.name:10} {keys:>9,} keys  ready in {time.perf_counter() - began:.1f} s")
        Session(running, keys, plan, clock=clock, results=results, say=say).measure(work)


def idle(subjects: Collection[Subject], scratch: Path, plan: Plan, results: Results) -> None:
    """Leave all subjects alone together, each on a bus of its own, and count wake-ups."""
    with ExitStack() as stack:
        services = []
        for subject in subjects:
            running = Running(subject, scratch / f"{subject.name}-idle")
            running.seed(plan.middle)
            services.append(stack.enter_context(running))
            running.sync()
        figures = state.idle(services, plan)
    for subject, figure in zip(subjects, figures, strict=True):
        results.setdefault(("idle", None), {})[subject.name] = figure
