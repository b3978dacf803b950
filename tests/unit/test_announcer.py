"""Telling what changed. The bus is a fake of the port."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from core_state import content, key, mounted, mounts
from structlog.testing import CapturingLogger

from kdbd.announcer import MAX_TOLD_NAMES, Announcer, Told
from kdbd.core.commit import Caller, Commit, KeyChange
from kdbd.core.database import Database

OLD, NEW = content("1", revision=1), content("2", revision=2)
SIGNALS = ("/org/libelektra/configuration", "org.libelektra")
OBJECT = ("/org/libelektra/KDB1", "org.libelektra.KDB1")
REVISION_CHANGED = (
    *(OBJECT[0], "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as"),
    ["org.libelektra.KDB1", {}, ["Revision"]],
)
HOOK = "system:/elektra/hook/notification/send/plugins"


class Bus:
    """A bus that notes what it is sent, and takes it only while it is open."""

    def __init__(self):
        self.sent = []
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()

    def signal(self, path, interface, member, signature, body):
        self.sent.append((path, interface, member, signature, body))

    async def drain(self):
        self.asked.set()
        await self.open.wait()


class Scene:
    """An announcer with what it works with."""

    def __init__(self, keys=None, clock=lambda: 0.0):
        self.bus = Bus()
        self.announced = []
        self.log = CapturingLogger()
        self.printed = []
        self.worked_out = []
        root = mounted(1, "system:/", keys)
        self.announcer = Announcer(
            Database(0, {"system:/": mounts(root)}),
            self.bus,
            self.announced.append,
            self._work_out,
            self.log,
            self.printed.append,
            clock=clock,
        )

    async def _work_out(self, function, commit):
        self.worked_out.append(commit.revision)
        return function(commit)

    @asynccontextmanager
    async def running(self, before=()):
        task = asyncio.create_task(self.announcer.run(before))
        try:
            yield
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def tell(self, *commits):
        """Announce commits; return the signals."""
        async with self.running():
            self.announcer.announce(commits)
            await self.announcer.drain()
        return self.bus.sent


def change(name, old=None, new=NEW, *, where=None, **options):
    unescaped = name if isinstance(name, bytes) else key(name)
    return KeyChange(where or mounted(1, "user:/"), unescaped, old, new, **options)


def commit(revision, *changes, origin="client"):
    return Commit(revision, list(changes), Caller(":1.7", 1000, 42, "kdb"), origin)


def signal(member, name):
    return (*SIGNALS, member, "s", [name])


def committed(revision, added=(), changed=(), removed=(), *, complete=True):
    body = [revision, list(added), list(changed), list(removed), complete]
    return (*OBJECT, "Committed", "tasasasb", body)


# What is said of a commit


def test_the_names_are_told_by_kind_in_key_order():
    told = Told.of(
        commit(
            7,
            change("user:/z", OLD, None),
            change("user:/b"),
            change("user:/c", OLD, NEW),
            change("user:/a"),
            change("user:/hidden", announced=False),
        )
    )
    names = (["user:/a", "user:/b"], ["user:/c"], ["user:/z"])
    assert told == Told(7, (2, 1, 1), names, [], names)
    assert told.complete is True


def test_a_mountpoint_that_announces_once_stands_for_its_keys():
    once = mounted(2, "user:/m", announce_once=True)
    told = Told.of(
        commit(
            7,
            change("user:/m/b", where=once),
            change("user:/a"),
            change("user:/m/a", OLD, None, where=once),
        )
    )
    assert told == Told(
        7,
        (2, 0, 1),
        (["user:/a", "user:/m/b"], [], ["user:/m/a"]),
        ["user:/m"],
        (["user:/a"], [], []),
    )


def test_mountpoints_are_told_in_key_order_and_none_for_hidden_keys():
    late, early, hidden = (
        mounted(number, f"user:/{name}", announce_once=True)
        for number, name in enumerate(("z", "a", "h"), start=2)
    )
    told = Told.of(
        commit(
            7,
            change("user:/z/k", where=late),
            change("user:/a/k", where=early),
            change("user:/h/k", where=hidden, announced=False),
        )
    )
    assert told.mountpoints == ["user:/a", "user:/z"]


def test_names_that_no_string_of_the_bus_carries_are_only_counted():
    told = Told.of(commit(7, change(b"\x06\0\xff"), change("user:/ü")))
    assert told == Told(7, (2, 0, 0), (["user:/ü"], [], []), [], (["user:/ü"], [], []))
    assert told.complete is False


@pytest.mark.parametrize(("count", "complete"), [(MAX_TOLD_NAMES, True), (1_001, False)])
def test_no_more_than_1000_names_are_told(count, complete):
    assert MAX_TOLD_NAMES == 1_000
    told = Told.of(commit(7, *(change(f"user:/{number}") for number in range(count))))
    assert told.complete is complete


@pytest.mark.parametrize(("length", "complete"), [(65_530, True), (65_531, False)])
def test_no_more_than_a_mebibyte_of_names_is_told(length, complete):
    # Sixteen names of 65,536 characters are 1 MiB.
    changes = [change("user:/" + chr(ord("a") + number) * 65_530) for number in range(15)]
    last = change(b"\x06\0" + b"z" * length)
    assert Told.of(commit(7, *changes, last)).complete is complete


# Signals


async def test_added_changed_removed_then_committed_then_the_revision():
    assert await Scene().tell(
        commit(
            7,
            change("user:/removed", OLD, None),
            change("user:/changed", OLD, NEW),
            change("user:/added"),
        )
    ) == [
        signal("KeyAdded", "user:/added"),
        signal("KeyChanged", "user:/changed"),
        signal("KeyDeleted", "user:/removed"),
        committed(7, ["user:/added"], ["user:/changed"], ["user:/removed"]),
        REVISION_CHANGED,
    ]


async def test_a_mountpoint_that_announces_once_is_signalled_instead_of_its_keys():
    once = mounted(2, "user:/m", announce_once=True)
    assert await Scene().tell(commit(7, change("user:/m/a", where=once), change("user:/b"))) == [
        signal("Commit", "user:/m"),
        signal("KeyAdded", "user:/b"),
        committed(7, ["user:/b", "user:/m/a"]),
        REVISION_CHANGED,
    ]


async def test_a_large_commit_is_signalled_whole_and_committed_without_names():
    names = [f"user:/{number:04}" for number in range(MAX_TOLD_NAMES + 1)]
    scene = Scene()
    assert await scene.tell(commit(7, *map(change, names))) == [
        *(signal("KeyAdded", name) for name in names),
        committed(7, complete=False),
        REVISION_CHANGED,
    ]
    assert scene.worked_out == [7]


async def test_commits_that_wait_are_told_in_their_order_and_the_revision_once():
    scene = Scene()
    assert await scene.tell(commit(1, change("user:/b")), commit(2, change("user:/a"))) == [
        signal("KeyAdded", "user:/b"),
        committed(1, ["user:/b"]),
        signal("KeyAdded", "user:/a"),
        committed(2, ["user:/a"]),
        REVISION_CHANGED,
    ]
    assert scene.worked_out == []
    assert scene.announced[-1] == 2


async def test_what_is_announced_later_is_told_later():
    scene = Scene()
    async with scene.running():
        for revision in (1, 2):
            scene.announcer.announce([commit(revision)])
            await scene.announcer.drain()
    assert scene.bus.sent == [committed(1), REVISION_CHANGED, committed(2), REVISION_CHANGED]


async def test_what_a_crash_kept_from_being_announced_comes_first():
    scene = Scene()
    scene.announcer.announce([commit(3)])
    async with scene.running([commit(1), commit(2)]):
        await scene.announcer.drain()
    assert scene.bus.sent == [committed(1), committed(2), committed(3), REVISION_CHANGED]


async def test_until_it_runs_nothing_is_told_and_who_drains_waits():
    scene = Scene()
    scene.announcer.announce([commit(1)])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await scene.announcer.drain()
    assert scene.bus.sent == []


async def test_with_nothing_to_tell_nothing_is_told():
    scene = Scene()
    async with scene.running():
        await scene.announcer.drain()
    assert (scene.bus.sent, scene.announced, scene.log.calls) == ([], [], [])


async def test_announced_is_what_the_bus_has_taken():
    scene = Scene()
    scene.bus.open.clear()
    async with scene.running():
        scene.announcer.announce([commit(1)])
        await scene.bus.asked.wait()
        assert scene.bus.sent[:1] == [committed(1)]
        assert scene.announced == []
        scene.bus.open.set()
        await scene.announcer.drain()
    assert set(scene.announced) == {1}


async def test_many_signals_wait_for_the_bus_in_slices_of_5_ms():
    now = 0.0

    def clock():
        nonlocal now
        now += 0.004
        return now

    names = [f"user:/{number:03}" for number in range(300)]
    scene = Scene(clock=clock)
    scene.bus.open.clear()
    async with scene.running():
        scene.announcer.announce([commit(1, *map(change, names))])
        await scene.bus.asked.wait()
        # The clock is looked at after each 64 signals; at the second look 8 ms have passed.
        assert len(scene.bus.sent) == 128
        scene.bus.open.set()
        await scene.announcer.drain()
    assert [body[0] for *_, body in scene.bus.sent[:300]] == names
    assert scene.bus.sent[300:] == [committed(1, names), REVISION_CHANGED]


# The log


async def test_each_commit_is_one_line_of_the_log_without_any_value():
    scene = Scene()
    changes = [change("user:/a"), change("user:/b", OLD, NEW), change("user:/c", OLD, NEW)]
    await scene.tell(commit(7, *changes, change("user:/d", OLD, None), origin="file"))
    (call,) = scene.log.calls
    assert (call.method_name, call.args) == ("info", ("commit",))
    assert call.kwargs == {
        "revision": 7,
        "origin": "file",
        "caller": ":1.7",
        "program": "kdb",
        "pid": 42,
        "uid": 1000,
        "added": 1,
        "changed": 2,
        "removed": 1,
    }


@pytest.mark.parametrize(
    "hooks", [{}, {f"{HOOK}/#0": content("dbus")}, {HOOK: content("logchange")}]
)
async def test_without_the_hook_nothing_is_printed(hooks):
    scene = Scene(hooks)
    await scene.tell(commit(7, change("user:/a")))
    assert scene.printed == []


async def test_the_hook_logchange_prints_what_libelektra_prints():
    hooks = {f"{HOOK}/#0": content("dbus"), f"{HOOK}/#1": content("logchange")}
    once = mounted(2, "user:/m", announce_once=True)
    scene = Scene(hooks)
    await scene.tell(
        commit(
            7,
            change("user:/d", OLD, None),
            change("user:/c", OLD, NEW),
            change("user:/ü"),
            change("user:/m/a", where=once),
        )
    )
    assert scene.printed == [
        "added key: user:/m/a\nadded key: user:/ü\nchanged key: user:/c\nremoved key: user:/d\n"
    ]
