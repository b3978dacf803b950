"""Measuring how long others wait while one client sets every key at once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import IO

from jeepney import DBusAddress, new_method_call

from calls import Clock
from figures import Figure
from kdb.protocol import BUS_NAME, INTERFACE, OBJECT_PATH
from plan import Plan
from raw import PLACEHOLDER, Caller
from running import Running
from seeds import PARENT

__all__ = ["beside"]

_MS = 1e3
_ADDRESS = DBusAddress(OBJECT_PATH, BUS_NAME, INTERFACE)
# Outside what is set at once, so that none of these sets is a conflict.
_OTHER = "user:/beside"
# So long the others call before and after, so that they are at it the whole time.
_AROUND_S = 0.3
# A process of its own: its keys must not keep the others' threads waiting.
_SETTER = f"""
import sys, kdb
with kdb.KDB() as db:
    ks = kdb.KeySet()
    db.get(ks, "user:{PARENT}")
    for line in sys.stdin:
        for key in ks:
            key.value = line.strip()
        print("ready", flush=True)
        sys.stdin.readline()
        db.set(ks, "user:{PARENT}")
        print("done", flush=True)
"""


def beside(running: Running, plan: Plan, clock: Clock) -> tuple[Figure, Figure]:
    """Return the longest get and the longest set of others while all keys are set, in ms."""
    gets, sets, took = [], [], []
    with running.database() as db:
        db.set_string(_OTHER, "")
    with _setter(running) as (asking, telling):
        for _ in range(plan.runs):
            running.sync()
            _ask(asking, telling, f"{next(clock)}", "ready")
            with (
                _calling(running, "GetString", clock) as got,
                _calling(running, "SetString", clock) as was_set,
            ):
                time.sleep(_AROUND_S)
                began = time.perf_counter()
                _ask(asking, telling, "now", "done")
                took.append(time.perf_counter() - began)
                time.sleep(_AROUND_S)
            gets.append(max(got))
            sets.append(max(was_set))
    return Figure(tuple(gets), {"the_large_set_s": max(took)}), Figure(tuple(sets))


@contextmanager
def _setter(running: Running) -> Iterator[tuple[IO[str], IO[str]]]:
    command = [sys.executable, "-c", _SETTER]
    with subprocess.Popen(
        command,
        env=running.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield process.stdin, process.stdout
        process.stdin.close()


def _ask(asking: IO[str], telling: IO[str], line: str, answer: str) -> None:
    asking.write(f"{line}\n")
    asking.flush()
    told = telling.readline()
    if told != f"{answer}\n":
        raise RuntimeError(f"the client that sets all keys said {told!r} instead of {answer!r}")


@contextmanager
def _calling(running: Running, member: str, clock: Clock) -> Iterator[list[float]]:
    """Call one after the other until the end of the block; the list gets how long each took."""
    signature, body = ("s", (_OTHER,)) if member == "GetString" else ("ss", (_OTHER, PLACEHOLDER))
    message = new_method_call(_ADDRESS, member, signature, body)
    caller = Caller(running.bus.socket, message if member == "SetString" else None)
    took: list[float] = []
    stop = Event()

    def call() -> None:
        while not stop.is_set():
            began = time.perf_counter()
            if member == "SetString":
                caller.call(next(clock))
                while not caller.receive():
                    pass
            else:
                caller.ask(message)
            took.append((time.perf_counter() - began) * _MS)

    thread = Thread(target=call)
    thread.start()
    try:
        yield took
    finally:
        stop.set()
        thread.join()
        caller.close()
