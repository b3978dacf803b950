"""One fault at each call of the disk port and at each of the journal's, and a crash at each.

One fixed history touches all that uses these ports: default files, mountpoints' files before the
reply, files edited by hand, mounting, unmounting, a directory, a restart. It is run once to count
its calls, then once for each call and fault.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kdb.model.content import make
from kdb.model.names import unescape
from kdb.protocol import OBJECT_PATH
from simulated.clients import Asked
from simulated.world import World

DISK_FAULTS = {
    name: (lambda number=number: OSError(number, os.strerror(number)))
    for name, number in (("full", errno.ENOSPC), ("broken", errno.EIO), ("denied", errno.EACCES))
}
JOURNAL_FAULTS: dict[str, Callable[[], sqlite3.Error]] = {
    "full": lambda: sqlite3.OperationalError("database or disk is full"),
    "broken": lambda: sqlite3.DatabaseError("database disk image is malformed"),
}
# Of so many parts each test takes one, so that two processors share them.
PARTS = 4


def history(world: World) -> None:
    """Do the same each time, whatever of it fails."""
    writes = world.requests

    def write(name: str, value: str) -> None:
        world.ask(writes.write_string(world._sender(), "", OBJECT_PATH, name, value))

    def mount(mountpoint: str, path: str) -> None:
        body, expect = writes.declaring(mountpoint, path)
        world.ask(Asked(world._sender(), "Mount", "ssa{ss}", body, expect=expect))

    def sync() -> None:
        world.ask(Asked(world._sender(), "Sync", "", []))
        world.finish()

    client = world.clients[1]  # in a directory
    write("user:/a", "1")
    mount("user:/m", "m.ecf")
    world.finish()
    write("user:/m/x", "1")
    write("user:/b", "1")
    world.finish()
    world.get(client, "/")
    world.finish()
    client.keys[unescape("dir:/d")] = make("1")
    if client.base is not None:
        world.set(client, "/")
        world.finish()
    sync()
    default, mounted = (world.locations.user + name for name in ("/default.ecf", "/m.ecf"))
    world.disk.edit(default, b"kdbOpen 2\n$key string 1 1\na\n2\n$key string 1 1\nc\n2\n$end\n")
    world.disk.edit(mounted, b"kdbOpen 2\n$key string 1 1\nx\n2\n$key string 1 1\ny\n2\n$end\n")
    write("user:/b", "3")
    write("user:/m/z", "3")
    world.finish()
    sync()
    world.restart()
    body = ["user:/m", True]
    world.ask(writes.removing(world._sender(), *body))
    world.ask(writes.unmount(world._sender(), "user:/m"))
    write("user:/e", "4")
    world.finish()
    sync()


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[World], None]], World]:
    """Run the history in a new world, changed beforehand; then all comes to rest, and again."""
    numbers: Iterator[int] = iter(range(10**6))

    def once(change: Callable[[World], None]) -> World:
        directory = tmp_path / str(next(numbers))
        directory.mkdir()
        world = World(directory, 1)
        change(world)
        try:
            world.start()
            history(world)
            world.history_passed = world.passed
            world.quiesce()
            world.restart()
            world.quiesce()
        except BaseException:
            print("\n".join(world.trace[-80:]))  # noqa: T201 - pytest shows it with the failure
            raise
        finally:
            world.close()
        return world

    return once


def calls_of(run: Callable[[Callable[[World], None]], World], kind: type[Exception]) -> list[int]:
    """Answer which calls, counted from 1, of the untroubled history are of a port."""
    world = run(lambda world: None)
    kinds = world.kinds_passed[: world.history_passed]
    return [number for number, each in enumerate(kinds, start=1) if each is kind]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("fault", DISK_FAULTS)
def test_an_error_at_any_call_of_the_disk(
    run: Callable[[Callable[[World], None]], World], fault: str, part: int
) -> None:
    calls = calls_of(run, OSError)
    assert len(calls) > 60
    for call in calls[part::PARTS]:

        def change(world: World, call: int = call) -> None:
            world.fault_at, world.fault = call, DISK_FAULTS[fault]()

        assert run(change).troubles == 1


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("fault", JOURNAL_FAULTS)
def test_an_error_at_any_call_of_the_journal(
    run: Callable[[Callable[[World], None]], World], fault: str, part: int
) -> None:
    calls = calls_of(run, sqlite3.Error)
    assert len(calls) > 40
    for call in calls[part::PARTS]:

        def change(world: World, call: int = call) -> None:
            world.fault_at, world.fault = call, JOURNAL_FAULTS[fault]()

        assert run(change).troubles == 1


@pytest.mark.parametrize("part", range(PARTS))
def test_a_crash_at_any_call_of_either(
    run: Callable[[Callable[[World], None]], World], part: int
) -> None:
    calls = sorted(calls_of(run, OSError) + calls_of(run, sqlite3.Error))
    for call in calls[part::PARTS]:
        crashed = run(lambda world, call=call: setattr(world, "crash_at", call))
        assert any(line.strip() == "crash" for line in crashed.trace)
