"""kdb.aio.KDB against a real kdbd on a real bus, on the D-Bus library under test."""

import asyncio
import os
import signal

import pytest

import kdb
import kdb.aio
from kdb import errors
from kdb._aio_connection import Connection
from kdb._dbus_library import NAME
from kdb.requests import Call, CallFailed, Disconnected, TimedOut
from kdb.wire import HANDLE_INTERFACE
from private_bus import PrivateBus

BIG = "ä" * (3 << 20)


@pytest.fixture
def address(kdbd, monkeypatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
    return kdbd.bus.address


@pytest.fixture
async def db(address, kdbd):
    async with kdb.aio.KDB(directory=kdbd.work) as opened:
        yield opened


def values(ks):
    return {key.name: key.value for key in ks}


async def stored(db, parent="user:/"):
    ks = kdb.KeySet()
    await db.get(ks, parent)
    return values(ks)


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_it_runs_on_the_library_under_test(dbus_library):
    assert dbus_library == NAME


async def test_what_is_set_is_got(db):
    ks = kdb.KeySet()
    assert await db.get(ks, "user:/") == 1
    ks.append(kdb.Key("user:/a", "1", {"meta:/type": "long"}))
    ks.append(kdb.Key("user:/b", b"\0\xff"))
    assert await db.set(ks, "user:/") == 1
    assert await db.set(ks, "user:/") == 0
    assert await db.get(ks, kdb.Key("user:/")) == 2
    assert await stored(db) == {"user:/a": "1", "user:/b": b"\0\xff"}


async def test_what_would_change_is_told_and_not_done(db):
    ks = kdb.KeySet()
    await db.get(ks, "user:/")
    ks.append(kdb.Key("user:/a", "1"))
    diff = await db.calculateChanges(ks, "user:/")
    assert values(diff.getAddedKeys()) == {"user:/a": "1"}
    assert await stored(db) == {}


async def test_one_string_is_set_and_looked_up(db):
    revision = await db.set_string("user:/a", "1")
    assert await db.set_string("/a", "2") == revision + 1
    assert await db.get_string("/a") == "2"


async def test_keys_are_put_and_removed_at_once_without_a_get(db):
    await db.set_string("user:/old", "1")
    keys = [kdb.Key("user:/a", "1", {"type": "long"}), kdb.Key("user:/b", b"\xff")]
    revision = await db.apply(keys, ["user:/old", kdb.Key("user:/none")], reason="a test")
    assert revision == await db.revision() == 2
    assert await stored(db) == {"user:/a": "1", "user:/b": b"\xff"}
    assert await db.apply(keys, ["user:/old"]) == 0
    assert await db.revision() == 2


async def test_a_key_that_changed_after_the_expected_revision_is_a_conflict(db):
    seen = await db.set_string("user:/a", "1")
    await db.set_string("user:/a", "theirs")
    with pytest.raises(kdb.KDBException) as caught:
        await db.apply([kdb.Key("user:/a", "ours"), kdb.Key("user:/b", "1")], expected=seen)
    assert [each.name for each in caught.value.error.conflicts] == ["user:/a"]
    assert await stored(db) == {"user:/a": "theirs"}


async def test_a_block_over_1_mib_travels_both_ways_and_leaves_no_descriptor(db):
    ks = kdb.KeySet()
    await db.get(ks, "user:/")
    before = descriptors()
    ks.append(kdb.Key("user:/big", BIG))
    assert await db.set(ks, "user:/") == 1
    assert await stored(db) == {"user:/big": BIG}
    ks["user:/big"].value = BIG + "!"
    (modified,) = (await db.calculateChanges(ks, "user:/")).getModifiedKeys()
    assert modified.value == BIG
    assert descriptors() == before


async def test_large_messages_among_many_small_ones_all_arrive(db):
    texts = [f"{number:02}" * (300_000 if number % 5 == 0 else 1) for number in range(40)]
    await asyncio.gather(
        *(db.set_string(f"user:/{number}", text) for number, text in enumerate(texts))
    )
    found = await asyncio.gather(*(db.get_string(f"user:/{number}") for number in range(40)))
    assert found == texts


async def test_many_callers_are_served(db):
    await asyncio.gather(*(db.set_string(f"user:/{number}", "1") for number in range(500)))
    assert len(await stored(db)) == 500


async def test_a_conflict_is_an_exception_and_is_noted_on_the_parent(db):
    ks = kdb.KeySet()
    await db.set_string("user:/a", "1")
    await db.get(ks, "user:/")
    await db.set_string("user:/a", "theirs")
    ks["user:/a"].value = "ours"
    parent = kdb.Key("user:/")
    with pytest.raises(kdb.KDBException) as caught:
        await db.set(ks, parent)
    assert caught.value.number == "C02000"
    assert errors.get_error(parent).number == "C02000"


@pytest.mark.parametrize("text", ["a\0b", "\udcff"])
async def test_what_the_bus_would_cut_us_off_for_is_refused_before(db, text):
    with pytest.raises(kdb.KDBException) as caught:
        await db.set_string("user:/a", text)
    assert caught.value.error.dbus == "InvalidValue"
    assert await db.set_string("user:/a", "fine")


async def test_after_a_restart_of_kdbd_it_goes_on(db, kdbd):
    ks = kdb.KeySet()
    await db.set_string("user:/a", "1")
    await db.get(ks, "user:/")
    kdbd.kill()
    await asyncio.to_thread(kdbd.start)
    ks["user:/a"].value = "2"
    assert await db.set(ks, "user:/") == 1
    assert await stored(db) == {"user:/a": "2"}


async def test_after_a_restart_of_the_bus_it_goes_on(db, kdbd):
    ks = kdb.KeySet()
    await db.set_string("user:/a", "1")
    await db.get(ks, "user:/")
    await asyncio.to_thread(kdbd.bus.restart)
    ks["user:/a"].value = "2"
    assert await db.set(ks, "user:/") == 1
    assert await stored(db) == {"user:/a": "2"}


async def test_the_first_socket_that_answers_is_taken(kdbd, monkeypatch):
    address = f"unix:path=/nowhere/bus;{kdbd.bus.address}"
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    async with kdb.aio.KDB() as db:
        assert await stored(db) == {}


async def test_a_bus_at_an_abstract_address_is_found():
    address = f"unix:abstract=kdbd%20test-{os.getpid()}"
    with PrivateBus(extra=f"<listen>{address}</listen>"):
        connection = Connection(address)
        await connection.connect()
        await connection.close()


async def test_kdbd_is_waited_for(db, kdbd):
    kdbd.stop()
    revision, _ = await asyncio.gather(db.set_string("user:/a", "1"), asyncio.to_thread(kdbd.start))
    assert revision


async def test_a_cancelled_call_leaves_nothing_behind(db, kdbd):
    assert kdbd.process is not None
    kdbd.process.send_signal(signal.SIGSTOP)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await db.get_string("user:/a")
    kdbd.process.send_signal(signal.SIGCONT)
    assert await db.set_string("user:/a", "1")


async def test_it_is_opened_first(address):
    db = kdb.aio.KDB()
    with pytest.raises(ValueError, match="not open"):
        await db.get_string("user:/a")
    await db.close()
    await db.open()
    await db.set_string("user:/a", "1")
    await db.close()
    await db.open()
    assert await stored(db) == {"user:/a": "1"}
    await db.close()


async def test_without_kdbd_it_says_how_to_start_it(bus, monkeypatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
    parent = kdb.Key("user:/")
    with pytest.raises(kdb.KDBException) as caught:
        await kdb.aio.KDB(parent).open()
    assert caught.value.number == "C01200"
    assert "systemctl --user start kdbd" in caught.value.reason
    assert errors.get_error(parent).number == "C01200"


@pytest.mark.parametrize(
    "bus_address",
    ["", "unix:path=/nowhere/bus", "tcp:host=localhost,port=1", "unix:abstract=nowhere"],
)
async def test_without_a_bus_it_says_so(monkeypatch, bus_address):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus_address)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with pytest.raises(kdb.KDBException) as caught:
        await kdb.aio.KDB().open()
    assert caught.value.number == "C01200"


# --- the connection by itself ---------------------------------------------------------------------


@pytest.fixture
async def connection(address):
    made = Connection(address)
    await made.connect()
    yield made
    await made.close()


async def test_a_call_ends_when_its_time_is_over_and_its_late_answer_is_dropped(connection, kdbd):
    assert kdbd.process is not None
    kdbd.process.send_signal(signal.SIGSTOP)
    with pytest.raises(TimedOut):
        await connection.call(Call("GetString", "s", ("user:/a",)), 0.05)
    kdbd.process.send_signal(signal.SIGCONT)
    with pytest.raises(CallFailed) as caught:
        await connection.call(Call("GetString", "s", ("user:/none",)))
    assert caught.value.name == "org.libelektra.KDB1.Error.KeyNotFound"
    assert connection._replies == {}


async def test_the_descriptor_of_a_late_answer_is_closed(connection, kdbd):
    await connection.call(Call("SetString", "ss", ("user:/big", BIG)))
    handle = (await connection.call(Call("Open", "a{sv}", ({},)))).body[0]
    get = Call("Get", "st", ("user:/", 0), path=handle, interface=HANDLE_INTERFACE)
    await connection.call(get)
    before = descriptors()
    assert kdbd.process is not None
    kdbd.process.send_signal(signal.SIGSTOP)
    with pytest.raises(TimedOut):
        await connection.call(get, 0.05)
    kdbd.process.send_signal(signal.SIGCONT)
    await connection.call(Call("Sync"))
    assert descriptors() == before


async def test_a_bus_that_takes_nothing_for_a_moment_is_not_the_end(connection, kdbd):
    kdbd.bus.suspend()
    texts = ["x" * 100_000] * 20
    calls = [
        asyncio.ensure_future(connection.call(Call("SetString", "ss", (f"user:/{number}", text))))
        for number, text in enumerate(texts)
    ]
    await asyncio.wait(calls, timeout=0.2)
    kdbd.bus.resume()
    assert len(await asyncio.gather(*calls)) == 20
    assert not connection.closed


async def test_a_cancelled_call_is_written_to_its_end(connection, kdbd):
    kdbd.bus.suspend()
    large = asyncio.ensure_future(
        connection.call(Call("SetString", "ss", ("user:/a", "x" * (4 << 20))))
    )
    await asyncio.wait([large], timeout=0.1)
    large.cancel()
    await asyncio.wait([large])
    kdbd.bus.resume()
    with pytest.raises(CallFailed):
        await connection.call(Call("GetString", "s", ("user:/none",)))


async def test_a_bus_that_goes_is_noticed(connection, kdbd):
    call = asyncio.ensure_future(connection.call(Call("Sync")))
    kdbd.bus.suspend()
    waiting = asyncio.ensure_future(connection.call(Call("GetString", "s", ("user:/a",))))
    await asyncio.wait([waiting], timeout=0.05)
    kdbd.bus.kill()
    with pytest.raises(Disconnected):
        await waiting
    with pytest.raises(Disconnected):
        await connection.call(Call("GetString", "s", ("user:/a",)))
    assert connection.closed
    await asyncio.wait([call])
    call.exception()
    kdbd.bus.start()


async def test_a_bus_that_never_says_hello_hangs_nobody(bus):
    bus.suspend()
    try:
        with pytest.raises(Disconnected):
            await Connection(bus.address, 0.05).connect()
    finally:
        bus.resume()


async def test_a_bus_that_closes_while_it_greets_hangs_nobody(tmp_path):
    async def close(reader, writer):
        writer.close()

    server = await asyncio.start_unix_server(close, tmp_path / "bus")
    async with server:
        with pytest.raises(Disconnected):
            await Connection(f"unix:path={tmp_path / 'bus'}").connect()


async def test_a_cancelled_connect_leaves_no_descriptor(address, kdbd):
    before = descriptors()
    kdbd.bus.suspend()
    connecting = asyncio.ensure_future(Connection(address).connect())
    await asyncio.wait([connecting], timeout=0.05)
    connecting.cancel()
    await asyncio.wait([connecting])
    kdbd.bus.resume()
    assert connecting.cancelled()
    assert descriptors() == before


async def test_calls_of_others_are_answered(connection, kdbd):
    process = await asyncio.create_subprocess_exec(
        "busctl",
        f"--address={kdbd.bus.address}",
        "call",
        connection._bus.unique_name,
        "/",
        "org.freedesktop.DBus.Peer",
        "Ping",
    )
    assert await process.wait() == 0


async def test_a_message_that_waits_for_room_is_not_sent_after_the_end(connection, kdbd):
    kdbd.bus.suspend()
    calls = [
        asyncio.ensure_future(
            connection.call(Call("SetString", "ss", (f"user:/{number}", "x" * 1_000_000)))
        )
        for number in range(3)
    ]
    await asyncio.wait(calls, timeout=0.1)
    kdbd.bus.kill()
    for call in calls:
        with pytest.raises(Disconnected):
            await call
    kdbd.bus.start()


async def test_closing_leaves_no_descriptor(address):
    before = descriptors()
    for _ in range(3):
        connection = Connection(address)
        await connection.connect()
        await connection.close()
        await connection.close()
    assert descriptors() == before
