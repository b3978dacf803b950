"""A watch across the ends of kdbd and of the bus: every change exactly once, in order."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemon_process import DaemonProcess
from restarting import kill_both, kill_daemon, restart_bus

from private_bus import PrivateBus

TESTS = Path(__file__).parents[1]
PARENT = "user:/watched"
WRITES = 1_000
WAIT_S = 60.0
WATCHES = ("blocking", "dispatch", "aio")


@contextmanager
def client(kdbd: DaemonProcess, script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, str(TESTS / script), *arguments],
        env=kdbd.client_environment,
        cwd=kdbd.work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


ENDS: tuple[Callable[[DaemonProcess, PrivateBus], None], ...] = (
    kill_daemon,
    restart_bus,
    kill_daemon,
    restart_bus,
    kill_both,
    restart_bus,
    kill_daemon,
    kill_both,
)


@pytest.mark.parametrize("watch", WATCHES)
def test_a_watch_delivers_every_change_exactly_once_and_in_order(
    watch: str, kdbd: DaemonProcess, bus: PrivateBus
) -> None:
    chance = random.Random(watch)
    # Not at round numbers, and with a rest before the end.
    moments = dict(zip(sorted(chance.sample(range(20, WRITES - 20), len(ENDS))), ENDS, strict=True))
    with client(kdbd, "watching_client.py", watch, PARENT) as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline() == "ready\n"
        with client(kdbd, "writing_client.py", PARENT, str(WRITES)) as writing:
            assert writing.stdout is not None
            for line in writing.stdout:
                if end := moments.pop(int(line), None):
                    end(kdbd, bus)
            assert writing.wait(WAIT_S) == 0
        assert not moments
        told, _ = watching.communicate(timeout=WAIT_S)
        assert watching.returncode == 0
    changes = [line.split(" ", 2) for line in told.splitlines()]
    names = [*(f"{PARENT}/{number:04}" for number in range(WRITES)), f"{PARENT}/end"]
    assert [(kind, name) for _, kind, name in changes] == [("added", name) for name in names]
    revisions = [int(revision) for revision, _, _ in changes]
    assert revisions == sorted(set(revisions))
