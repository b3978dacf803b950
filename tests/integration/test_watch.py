"""Watches on a real bus: every change once, in order, whatever restarts."""

import asyncio
import selectors
import signal
import subprocess
import sys
import threading
import time
from itertools import islice

import pytest

import kdb
import kdb.aio
from kdb.watching import WatchEvent

WAIT_S = 30.0
WRITES = 1_000
# A program of its own, so that nothing of the watching process helps it; it goes on after restarts.
WRITER = """
import sys
import kdb
with kdb.KDB() as db:
    for number in range(int(sys.argv[1])):
        while True:
            try:
                db.set_string(f"user:/w/{number % 7}", str(number))
                break
            except kdb.KDBException:
                continue
"""


@pytest.fixture
def db(kdbd, monkeypatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
    with kdb.KDB(directory=kdbd.work) as opened:
        yield opened


def taken(watch, count):
    return [(event.kind, event.name) for event in islice(watch, count)]


def dispatched(watch, wanted):
    """Take changes as an event loop does, until there are so many."""
    found = []
    end_s = time.monotonic() + WAIT_S
    with selectors.DefaultSelector() as selector:
        selector.register(watch, selectors.EVENT_READ)
        while len(found) < wanted:
            assert selector.select(end_s - time.monotonic()), found
            found += watch.dispatch()
    return found


def history(db, parent="user:/"):
    """What kdbd says happened, since the beginning."""
    rows, since, more = [], 0, True
    while more:
        page, more, since = db._run(db._session.one_key("Changes", "tsu", (since, parent, 0)))
        rows += page
    return [WatchEvent(*row) for row in rows]


def test_changes_come_in_order(db):
    with db.watch("user:/a") as watch:
        db.set_string("user:/a", "1")
        db.set_string("user:/ab", "1")
        db.set_string("user:/a/b", "1")
        db.set_string("user:/a", "2")
        db._run(db._session.one_key("Remove", "sb", ("user:/a", True)))
        assert taken(watch, 5) == [
            ("added", "user:/a"),
            ("added", "user:/a/b"),
            ("changed", "user:/a"),
            ("removed", "user:/a"),
            ("removed", "user:/a/b"),
        ]
    assert list(watch) == []


def test_a_watch_goes_on_from_a_revision(db):
    revision = db.set_string("user:/a", "1")
    db.set_string("user:/b", "1")
    with db.watch(kdb.Key("user:/"), since=revision) as watch:
        assert taken(watch, 1) == [("added", "user:/b")]


@pytest.mark.parametrize(
    "name", ["user:/", "user:/it's", r"user:/sl\/ash", "user:/ä", "user:/" + "long/" * 300 + "x"]
)
def test_any_name_can_be_watched(db, name):
    with db.watch(name) as watch:
        db.set_string(name, "1")
        db.set_string(name, "2")
        canonical = kdb.Key(name).name
        assert taken(watch, 2) == [("added", canonical), ("changed", canonical)]


def test_a_cascading_parent_is_watched_in_all_namespaces(db):
    with db.watch("/a") as watch:
        for name in ("system:/a", "user:/a/b", "spec:/a", "dir:/a", "user:/ab"):
            db.set_string(name, "1")
        assert taken(watch, 4) == [
            ("added", name) for name in ("system:/a", "user:/a/b", "spec:/a", "dir:/a")
        ]


def test_a_mountpoint_that_announces_once_is_watched_key_by_key(db):
    db._run(db._session.one_key("Mount", "ssa{ss}", ("user:/m", "m.ecf", {"announce": "once"})))
    with db.watch("user:/m/a") as watch:
        db.set_string("user:/m/a", "1")
        assert taken(watch, 1) == [("added", "user:/m/a")]


def test_an_event_loop_is_told_by_the_descriptor(db):
    with db.watch("user:/") as watch:
        assert watch.dispatch() == []
        for number in range(3):
            db.set_string(f"user:/{number}", "1")
        assert [event.name for event in dispatched(watch, 3)] == [
            f"user:/{number}" for number in range(3)
        ]


def test_one_descriptor_serves_across_restarts(db, kdbd):
    with db.watch("user:/") as watch:
        before = watch.fileno()
        db.set_string("user:/a", "1")
        kdbd.bus.kill()
        stopped = [event.name for event in watch.dispatch()]
        kdbd.bus.start()
        db.set_string("user:/b", "1")
        kdbd.kill()
        kdbd.start()
        db.set_string("user:/c", "1")
        names = stopped + [event.name for event in dispatched(watch, 3 - len(stopped))]
        assert names == ["user:/a", "user:/b", "user:/c"]
        assert watch.fileno() == before


def test_a_watch_ends_when_it_is_closed(db):
    watch = db.watch("user:/")
    watch.close()
    watch.close()
    assert list(watch) == []
    assert watch.dispatch() == []


def test_what_is_no_name_is_refused(db):
    with pytest.raises(kdb.KeyInvalidName):
        db.watch("nowhere")


NEVER_CHANGING = ["proc:/a", "meta:/a", "default:/", "default:/a"]


@pytest.mark.parametrize("name", NEVER_CHANGING)
def test_what_can_never_change_is_not_watched(db, name):
    db.set_string("user:/a", "1")
    for since in (None, 0):
        with pytest.raises(kdb.KDBException, match=f"C01320\n.*{name} c.*Use a parent in"):
            db.watch(name, since=since)


@pytest.mark.parametrize("name", NEVER_CHANGING)
async def test_what_can_never_change_is_not_watched_with_asyncio(db, name):
    async with kdb.aio.KDB() as other:
        with pytest.raises(kdb.KDBException, match=f"C01320\n.*{name} c.*Use a parent in"):
            await other.watch(name).start()
        with pytest.raises(kdb.KDBException, match="C01320"):
            await anext(other.watch(name))


def test_without_kdbd_a_watch_does_not_start(db, kdbd):
    kdbd.stop()
    with pytest.raises(kdb.KDBException) as caught:
        db.watch("user:/")
    assert caught.value.number == "C01200"


def writer(kdbd, count=WRITES):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(count)],
        env=kdbd.client_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


class Trouble(threading.Thread):
    """Kills bus and daemon in turn, each time that so many changes were seen."""

    def __init__(self, kdbd, seen):
        super().__init__()
        self.kdbd = kdbd
        self.seen = seen
        self.happened = []

    def run(self):
        for turn, at in enumerate((100, 300, 500, 700)):
            with self.seen:
                assert self.seen.wait_for(lambda at=at: self.seen.count >= at, WAIT_S)
            if turn % 2:
                self.kdbd.bus.restart()
            else:
                self.kdbd.kill()
                self.kdbd.start()
            self.happened.append(turn)


class Seen(threading.Condition):
    """Counts the changes that were seen."""

    count = 0

    def more(self, count):
        with self:
            self.count += count
            self.notify_all()


def finished(process, trouble):
    output, _ = process.communicate(timeout=WAIT_S)
    trouble.join(WAIT_S)
    assert (process.returncode, output) == (0, b"")
    assert trouble.happened == [0, 1, 2, 3]


def all_of(events, db):
    """Compare with what kdbd says happened; each value was written at least once."""
    expected = [event for event in history(db) if event.name.startswith("user:/w")]
    assert events == expected
    assert len(expected) >= WRITES


@pytest.mark.parametrize("way", ["iterate", "dispatch"])
def test_bus_and_daemon_killed_during_1000_foreign_writes(db, kdbd, way):
    seen = Seen()
    events = []
    with db.watch("user:/w") as watch:
        trouble = Trouble(kdbd, seen)
        trouble.start()
        process = writer(kdbd)
        while len(events) < WRITES:
            found = [next(watch)] if way == "iterate" else dispatched(watch, 1)
            events += found
            seen.more(len(found))
        finished(process, trouble)
    all_of(events, db)


async def test_bus_and_daemon_killed_during_1000_foreign_writes_with_asyncio(db, kdbd):
    seen = Seen()
    events = []
    async with kdb.aio.KDB() as other, other.watch("user:/w") as watch:
        trouble = Trouble(kdbd, seen)
        trouble.start()
        process = writer(kdbd)
        async for event in watch:
            events.append(event)
            seen.more(1)
            if len(events) == WRITES:
                break
        await asyncio.to_thread(finished, process, trouble)
        while len(events) < len(history(db, "user:/w")):
            events.append(await anext(watch))
    all_of(events, db)


# --- asyncio --------------------------------------------------------------------------------------


async def test_changes_come_in_order_with_asyncio(db):
    async with kdb.aio.KDB() as other, other.watch("user:/a") as watch:
        await other.set_string("user:/a", "1")
        await other.set_string("user:/b", "1")
        await other.set_string("user:/a", "2")
        events = []
        async for event in watch:
            events.append((event.kind, event.name))
            if len(events) == 2:
                break
        assert events == [("added", "user:/a"), ("changed", "user:/a")]
    assert [event async for event in watch] == []


async def test_a_watch_starts_with_its_first_iteration(db):
    async with kdb.aio.KDB() as other:
        watch = other.watch("user:/")
        first = asyncio.ensure_future(anext(watch))
        number = 0
        while not first.done():
            number += 1
            await other.set_string("user:/a", str(number))
        assert (await first).name == "user:/a"


async def test_a_cancelled_wait_loses_nothing(db):
    async with kdb.aio.KDB() as other, other.watch("user:/") as watch:
        for number in range(20):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001 * (number % 3)):
                    await anext(watch)
        await other.set_string("user:/a", "1")
        assert (await anext(watch)).name == "user:/a"


async def test_a_closed_watch_does_not_start(db):
    async with kdb.aio.KDB() as other:
        watch = other.watch("user:/")
        await watch.aclose()
        await watch.start()
        assert [event async for event in watch] == []


def test_a_kdbd_that_does_not_answer_keeps_a_watch_from_starting(db, kdbd, monkeypatch):
    monkeypatch.setattr("kdb._watch.CALL_TIMEOUT_S", 0.05)
    kdbd.process.send_signal(signal.SIGSTOP)
    with pytest.raises(kdb.KDBException) as caught:
        db.watch("user:/")
    kdbd.process.send_signal(signal.SIGCONT)
    assert caught.value.number == "C01100"


async def test_closing_the_database_ends_its_watches(db):
    async with kdb.aio.KDB() as other:
        watch = other.watch("user:/")
        await watch.start()
        waiting = asyncio.ensure_future(anext(watch))
        await asyncio.sleep(0)
    with pytest.raises(StopAsyncIteration):
        await waiting
    assert [event async for event in watch] == []


async def test_without_kdbd_a_watch_does_not_start_with_asyncio(db, kdbd):
    async with kdb.aio.KDB() as other:
        kdbd.stop()
        with pytest.raises(kdb.KDBException) as caught:
            await other.watch("user:/").start()
        assert caught.value.number == "C01200"
        kdbd.start()
