"""Measuring whole key sets through a handle of the library."""

from __future__ import annotations

import gc
import time

import kdb
from calls import Clock
from figures import Figure, percentile
from plan import Plan
from proc import cpu_s
from running import Running
from seeds import PARENT, path_of

__all__ = ["handle_get", "handle_set"]

_PARENT = f"user:{PARENT}"
_MS = 1e3
# Of a get that finds nothing changed a run is the median of so many.
_AGAIN = 50
# By then a commit of one key is announced, and the file is not yet written again.
_ANNOUNCED_S = 0.05


def handle_get(running: Running, keys: int, plan: Plan) -> tuple[Figure, Figure]:
    """Return the time of a get into an empty key set in s, and of the same again in ms."""
    first, again = [], []
    with running.database() as db:
        for _ in range(plan.runs):
            ks = kdb.KeySet()
            gc.collect()
            began = time.perf_counter()
            db.get(ks, _PARENT)
            first.append(time.perf_counter() - began)
            assert len(ks) == keys
            times = []
            for _ in range(_AGAIN):
                began = time.perf_counter()
                result = db.get(ks, _PARENT)
                times.append((time.perf_counter() - began) * _MS)
                assert result == 2
            again.append(percentile(times, 50))
            del ks
    return Figure(tuple(first)), Figure(tuple(again))


def handle_set(running: Running, keys: int, plan: Plan, clock: Clock) -> tuple[Figure, Figure]:
    """Return the time of a set that changes one key, and kdbd's processor time for it, in ms.

    Each waits until the file is written, so that this is not measured. What kdbd does after its
    reply, announcing, is counted.
    """
    times, cpu = [], []
    with running.database() as db:
        ks = kdb.KeySet()
        db.get(ks, _PARENT)
        for number in range(plan.runs * 2):
            ks[f"user:{path_of(number * 17 % keys)}"].value = f"{next(clock):012d}"
            running.sync()
            gc.collect()
            before = cpu_s(running.pid)
            began = time.perf_counter()
            result = db.set(ks, _PARENT)
            times.append((time.perf_counter() - began) * _MS)
            time.sleep(_ANNOUNCED_S)
            cpu.append((cpu_s(running.pid) - before) * _MS)
            assert result == 1
    return Figure(tuple(times)), Figure(tuple(cpu))
