"""Interleavings that once went wrong, or nearly: each as a history of its own, in a fixed order.

Threads' calls are done when the test says so: ``work`` does all calls of a thread that wait now,
``hand over`` lets the loop know.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kdb.model.content import make
from kdb.model.names import escape, unescape
from kdb.protocol import OBJECT_PATH
from kdbd.core.commit import REBUILD_CHANGES, Caller
from kdbd.core.requests import set_string
from simulated.clients import Asked
from simulated.model import Place
from simulated.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path, 0)
    world.start()
    world.finish()
    yield world
    world.quiesce()
    world.restart()
    world.quiesce()
    world.close()


def write(world: World, name: str, value: str) -> Asked:
    return world.ask(world.requests.write_string(world._sender(), "", OBJECT_PATH, name, value))


def put_many(world: World, names: list[str], value: str) -> Asked:
    return world.ask(world.requests.putting(world._sender(), names, value))


def mount(world: World, mountpoint: str, path: str) -> Asked:
    body, expect = world.requests.declaring(mountpoint, path)
    return world.ask(Asked(world._sender(), "Mount", "ssa{ss}", body, expect=expect))


def sync(world: World) -> Asked:
    return world.ask(Asked(world._sender(), "Sync", "", []))


def user_file(world: World, name: str) -> str:
    return f"{world.locations.user}/{name}"


def do(world: World, step: str, thread: str = "kdbd-writer") -> None:
    """Let one thread do what waits for it, or hand over what it has done."""
    world.settle()
    (worker,) = [each for each in world.workers if each.name == thread]
    if step == "work":
        while worker.has_work:
            worker.work()
    else:
        while worker.has_results:
            worker.hand_over()
        world.settle()


def error_of(asked: Asked) -> str:
    assert asked.answer is not None, "answered"
    return asked.answer.error


def shown(world: World) -> dict[str, object]:
    return {
        escape(name): content.value
        for (_, name), content in world.model.visible().items()
        if b"elektra" not in name
    }


def at_next(world: World, kind: type[Exception], then: Callable[[], None]) -> None:
    """Do something when a port is called next."""
    passes = world._passes

    def once(passed: type[Exception]) -> object:
        if passed is kind:
            world._passes = passes  # type: ignore[method-assign]  # back to what it was
            then()
        return passes(passed)

    world._passes = once  # type: ignore[method-assign, assignment]  # the world is the test's own


def test_nothing_is_answered_as_done_that_is_not_durable(world: World) -> None:
    first = write(world, "user:/a", "1")
    again = write(world, "user:/a", "1")
    missing = world.ask(world.requests.removing(world._sender(), "user:/b", False))
    world.settle()
    assert first.answer is None
    assert again.answer is None, "it rests on the first"
    assert missing.answer is None
    world.finish()
    assert not error_of(again)
    assert error_of(missing) == "KeyNotFound"


def test_what_rested_on_a_commit_that_failed_is_asked_anew(world: World) -> None:
    first = write(world, "user:/a", "1")
    again = write(world, "user:/a", "1")
    world.fault_at, world.fault = world.passed, sqlite3.DatabaseError("malformed")
    world.finish()
    assert error_of(first) == "Resource"
    assert not error_of(again)
    assert again.commits, "now it is the one that changes the key"
    assert shown(world) == {"user:/a": "1"}


def test_an_edited_file_of_a_mountpoint_is_merged_before_its_batch_goes_on(world: World) -> None:
    mount(world, "user:/m", "m.ecf")
    write(world, "user:/m/x", "1")
    world.finish()
    asked = write(world, "user:/m/y", "2")
    world.settle()
    data = b"kdbOpen 2\n$key string 1 1\nx\n9\n$key string 1 1\nz\n9\n$end\n"
    world.disk.edit(user_file(world, "m.ecf"), data)
    world.finish()
    assert not error_of(asked)
    assert shown(world) == {"user:/m/x": "9", "user:/m/y": "2", "user:/m/z": "9"}


def test_a_merge_that_waits_goes_before_the_batch_that_found_the_edit_too(world: World) -> None:
    mount(world, "user:/m", "m.ecf")
    write(world, "user:/m/x", "1")
    world.finish()
    data = b"kdbOpen 2\n$key string 1 1\nx\n9\n$end\n"
    world.disk.edit(user_file(world, "m.ecf"), data)
    read = world.ask(Asked(world._sender(), "GetAll", "ssu", ["user:/m", "", 0]))
    world.settle()
    # The read waits for the file; what is written meanwhile was asked before the edit was seen.
    view = world.database.view
    late = world.requests.write_string(":late", "", OBJECT_PATH, "user:/m/y", "2")
    world._senders[":late"] = late
    assert world.app is not None
    name = unescape("user:/m/y")
    future = world.app._pipeline.submit(set_string(view, name, "2"), Caller(":late"))
    world.finish()
    assert future.done()
    assert not error_of(read)
    assert shown(world) == {"user:/m/x": "9", "user:/m/y": "2"}


@pytest.mark.parametrize("value", [b"9", b"1"])
def test_an_edit_between_transaction_and_rename_is_not_overwritten(
    world: World, value: bytes
) -> None:
    mount(world, "user:/m", "m.ecf")
    write(world, "user:/m/x", "1")
    world.finish()
    asked = write(world, "user:/m/y", "2")
    world.settle()
    data = b"kdbOpen 2\n$key string 1 1\nx\n" + value + b"\n$key string 1 1\nz\n9\n$end\n"
    at_next(world, sqlite3.Error, lambda: world.disk.edit(user_file(world, "m.ecf"), data) and None)
    world.finish()
    assert not error_of(asked)
    read = world.ask(Asked(world._sender(), "GetAll", "ssu", ["user:/m", "", 0]))
    world.finish()
    assert not error_of(read)
    assert shown(world) == {"user:/m/x": value.decode(), "user:/m/y": "2", "user:/m/z": "9"}


def test_a_removal_by_hand_after_a_rewrite_is_seen_over_a_crash(world: World) -> None:
    write(world, "user:/a", "1")
    write(world, "user:/b", "1")
    world.finish()
    sync(world)
    world.finish()
    # The journal has not been told yet that the file is in place.
    world.disk.edit(user_file(world, "default.ecf"), b"kdbOpen 2\n$key string 1 1\nb\n1\n$end\n")
    world.crash()
    world.finish()
    assert shown(world) == {"user:/b": "1"}


def test_a_commit_after_a_rewrite_is_kept_over_a_crash_and_an_edit(world: World) -> None:
    write(world, "user:/a", "1")
    world.finish()
    sync(world)
    world.finish()
    write(world, "user:/a", "2")
    do(world, "work")
    world.disk.edit(
        user_file(world, "default.ecf"),
        b"kdbOpen 2\n$key string 1 1\na\n1\n$key string 1 1\nb\n9\n$end\n",
    )
    world.crash()
    world.finish()
    assert shown(world) == {"user:/a": "2", "user:/b": "9"}, "a is as it was in the file"


def test_a_small_commit_beside_a_large_one_in_a_batch_is_kept(world: World) -> None:
    names = [f"user:/k/{number:05}" for number in range(REBUILD_CHANGES)]
    write(world, "user:/first", "1")
    world.settle()
    small = write(world, "user:/a", "1")
    large = put_many(world, names, "1")
    after = write(world, "user:/z", "1")
    again = put_many(world, [*names, "user:/more"], "2")
    world.finish()
    assert not any(map(error_of, (small, large, after, again)))
    read = world.ask(Asked(world._sender(), "Get", "s", ["user:/a"]))
    world.finish()
    assert not error_of(read)
    world.check_memory()


def test_keys_are_all_removed_while_earlier_commits_land(world: World) -> None:
    names = [f"user:/k/{number:04}" for number in range(700)]
    put_many(world, names[::2], "1")
    world.finish()
    put_many(world, names[1::2], "1")
    world.settle()
    world.ask(world.requests.removing(world._sender(), "user:/k", True))
    world.finish()
    assert shown(world) == {}


@pytest.mark.parametrize("turns", range(1, 24))
def test_a_file_never_holds_half_of_a_commit(world: World, turns: int) -> None:
    mount(world, "user:/m", "m.ecf")
    world.finish()
    write(world, "user:/m/a", "1")
    world.settle()
    write(world, "user:/m/b", "1")
    world.settle()
    put_many(world, [f"user:/m/{number:03}" for number in range(1500)], "2")
    for _ in range(turns):
        world.loop.turn()
    # The first lands while the third is drafted, or admitted, in slices.
    (writer,) = [each for each in world.workers if each.name == "kdbd-writer"]
    writer.work()
    writer.hand_over()
    world.finish()
    place = Place(unescape("user:/m"), "", user_file(world, "m.ecf"))
    assert len(world.model.tables[place].keys) == 1502


def test_a_file_found_as_before_its_rewrite_is_rewritten_with_all_that_was_acknowledged(
    world: World,
) -> None:
    world.restart()
    write(world, "user:/a", "1")
    world.finish()
    assert world.app is not None
    (file,) = [
        each for each in world.app._stores.files.values() if each.path.endswith("user/default.ecf")
    ]
    file.news = True
    sync(world)
    world.settle()
    do(world, "work", "kdbd-unhurried")
    do(world, "hand over", "kdbd-unhurried")
    write(world, "system:/b", "1")
    world.settle()
    do(world, "work")
    # Both are done and the file is in place, of which the journal does not know yet. Then somebody
    # makes it what it was: nothing. That cannot be told from a rename that was lost.
    world.disk.edit(file.path, None)
    world.crash()
    world.finish()
    assert shown(world) == {"user:/a": "1", "system:/b": "1"}


def test_what_is_set_is_in_the_file_before_its_unmount(world: World) -> None:
    mount(world, "user:/m", "m.ecf")
    world.finish()
    content = "x" * 300_000
    write(world, "user:/m/large", content)
    world.finish()
    write(world, "user:/m/small", "1")
    unmounted = world.ask(world.requests.unmount(world._sender(), "user:/m"))
    world.finish()
    assert not error_of(unmounted)
    mount(world, "user:/m", "m.ecf")
    world.finish()
    assert shown(world) == {"user:/m/large": content, "user:/m/small": "1"}


def test_keys_set_with_the_mountpoint_that_takes_them_go_into_its_file(world: World) -> None:
    write(world, "user:/m/old", "1")
    world.finish()
    world.disk.edit(user_file(world, "m.ecf"), b"kdbOpen 2\n$key string 1 1\nx\n1\n$end\n")
    asked = world.ask(
        world.requests.putting(
            world._sender(), ["user:/m/x", "user:/m/new"], "2", mountpoint=("user:/m", "m.ecf")
        )
    )
    world.finish()
    assert not error_of(asked)
    assert shown(world) == {"user:/m/x": "2", "user:/m/new": "2"}
    told = world.model.told[world.model.revision].names
    assert [[name for name in names if "elektra" not in name] for names in told] == [
        ["user:/m/new", "user:/m/x"], [], ["user:/m/old"],
    ]  # fmt: skip
    unmounted = world.ask(world.requests.unmount(world._sender(), "user:/m"))
    world.finish()
    assert not error_of(unmounted)
    assert shown(world) == {"user:/m/old": "1"}


def test_a_directory_that_opens_while_something_is_mounted_is_kept(world: World) -> None:
    mount(world, "user:/m", "m.ecf")
    world.settle()
    world.get(world.clients[1], "dir:/")
    world.finish()
    client = world.clients[1]
    client.keys[unescape("dir:/a")] = make("1")
    world.set(client, "dir:/")
    world.finish()
    assert not isinstance(client.result, Exception)
    assert shown(world) == {"dir:/a": "1"}


def test_while_an_edit_cannot_be_stored_the_writers_of_its_file_are_told(world: World) -> None:
    mount(world, "user:/m", "m.ecf")
    write(world, "user:/m/x", "1")
    write(world, "user:/a", "1")
    world.finish()
    asked = write(world, "user:/m/y", "2")
    world.settle()
    world.disk.edit(user_file(world, "m.ecf"), b"kdbOpen 2\n$key string 1 1\nx\n9\n$end\n")
    world.full = True
    world.finish()
    assert error_of(asked) == "Resource"
    world.heal()
    again = write(world, "user:/m/y", "3")
    world.finish()
    assert not error_of(again)
    assert shown(world) == {"user:/a": "1", "user:/m/x": "9", "user:/m/y": "3"}


def test_declarations_found_damaged_after_a_mount_was_prepared_are_not_overwritten(
    world: World,
) -> None:
    mount(world, "user:/m", "m.ecf")
    world.finish()
    path = f"{world.locations.system}/elektra.ecf"
    asked = mount(world, "user:/n", "n.ecf")
    world.settle()  # the new mountpoint's file is looked at
    world.damages += 1
    world.disk.edit(path, b"garbage")
    read = world.ask(Asked(world._sender(), "GetAll", "ssu", ["system:/elektra", "", 0]))
    world.finish()
    assert error_of(read) == "Syntactic"
    assert error_of(asked) == "Syntactic"
    assert world.disk.at(path).data == b"garbage"


def test_signals_that_did_not_leave_are_told_after_a_crash(world: World) -> None:
    write(world, "user:/a", "1")
    do(world, "work")
    do(world, "hand over")
    write(world, "user:/b", "1")
    do(world, "work")
    assert world.bus.full, "the bus took none of the first's"
    world.crash()
    world.finish()
    assert world._told == 2
