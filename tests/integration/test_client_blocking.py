"""kdb.KDB against a real kdbd on a real bus."""

import os
import signal
import sys
import threading

import pytest

import kdb
from kdb import errors
from kdb._connection import Connection
from kdb.model.errors import ConflictError
from kdb.requests import Call, CallFailed, Disconnected, TimedOut
from kdb.wire import HANDLE_INTERFACE
from private_bus import PrivateBus

BIG = "ä" * (3 << 20)


@pytest.fixture
def db(kdbd, monkeypatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
    with kdb.KDB(directory=kdbd.work) as opened:
        yield opened


def values(ks):
    return {key.name: key.value for key in ks}


def stored(db, parent="user:/"):
    ks = kdb.KeySet()
    db.get(ks, parent)
    return values(ks)


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_what_is_set_is_got(db):
    ks = kdb.KeySet()
    assert db.get(ks, "user:/") == 1
    ks.append(kdb.Key("user:/a", "1", {"meta:/type": "long"}))
    ks.append(kdb.Key("user:/b", b"\0\xff"))
    assert db.set(ks, "user:/") == 1
    assert db.set(ks, "user:/") == 0
    assert db.get(ks, kdb.Key("user:/")) == 2
    found = kdb.KeySet()
    db.get(found, "user:/")
    assert values(found) == {"user:/a": "1", "user:/b": b"\0\xff"}
    assert found["user:/a"].getMeta("type").value == "long"


def test_what_would_change_is_told_and_not_done(db):
    ks = kdb.KeySet()
    db.get(ks, "user:/")
    ks.append(kdb.Key("user:/a", "1"))
    db.set(ks, "user:/")
    ks["user:/a"].value = "2"
    ks.append(kdb.Key("user:/b", "1"))
    diff = db.calculateChanges(ks, "user:/")
    assert values(diff.getAddedKeys()) == {"user:/b": "1"}
    assert values(diff.getModifiedKeys()) == {"user:/a": "1"}
    assert values(diff.getRemovedKeys()) == {}
    assert stored(db) == {"user:/a": "1"}


def test_of_many_keys_too_it_is_told_what_would_change(db):
    ks = kdb.KeySet()
    db.get(ks, "user:/")
    ks.extend(kdb.Key(f"user:/{number:05}", "1") for number in range(20_000))
    db.set(ks, "user:/")
    db.get(ks, "user:/")
    for key in ks:
        key.value = "2"
    diff = db.calculateChanges(ks, "user:/")
    assert (len(diff.getAddedKeys()), len(diff.getRemovedKeys())) == (0, 0)
    assert values(diff.getModifiedKeys()) == {f"user:/{number:05}": "1" for number in range(20_000)}
    assert set(stored(db).values()) == {"1"}


def test_one_string_is_set_and_looked_up(db):
    revision = db.set_string("user:/a", "1")
    assert db.set_string("/a", "2") == revision + 1
    assert db.get_string("/a") == "2"


def test_keys_are_put_and_removed_at_once_without_a_get(db):
    db.set_string("user:/old", "1")
    keys = [kdb.Key("user:/a", "1", {"type": "long"}), kdb.Key("user:/b", b"\xff")]
    revision = db.apply(keys, ["user:/old", kdb.Key("user:/none")], reason="a test")
    assert revision == db.revision() == 2
    assert stored(db) == {"user:/a": "1", "user:/b": b"\xff"}
    assert db.apply(keys, ["user:/old"]) == 0
    assert db.revision() == 2


def test_a_key_that_changed_after_the_expected_revision_is_a_conflict(db):
    seen = db.set_string("user:/a", "1")
    db.set_string("user:/a", "theirs")
    with pytest.raises(kdb.KDBException) as caught:
        db.apply([kdb.Key("user:/a", "ours"), kdb.Key("user:/b", "1")], expected=seen)
    assert [each.name for each in caught.value.error.conflicts] == ["user:/a"]
    assert stored(db) == {"user:/a": "theirs"}


def test_a_block_over_1_mib_travels_both_ways_and_leaves_no_descriptor(db):
    ks = kdb.KeySet()
    db.get(ks, "user:/")
    before = descriptors()
    ks.append(kdb.Key("user:/big", BIG))
    assert db.set(ks, "user:/") == 1
    assert stored(db) == {"user:/big": BIG}
    ks["user:/big"].value = BIG + "!"
    (modified,) = db.calculateChanges(ks, "user:/").getModifiedKeys()
    assert modified.value == BIG
    assert descriptors() == before


def test_a_conflict_is_an_exception_and_is_noted_on_the_parent(db):
    ks, other = kdb.KeySet(), kdb.KeySet()
    db.set_string("user:/a", "1")
    db.get(ks, "user:/")
    with kdb.KDB() as second:
        second.get(other, "user:/")
        other["user:/a"].value = "theirs"
        second.set(other, "user:/")
    ks["user:/a"].value = "ours"
    parent = kdb.Key("user:/")
    with pytest.raises(kdb.KDBException) as caught:
        db.set(ks, parent)
    assert caught.value.number == "C02000"
    assert isinstance(caught.value.error, ConflictError)
    assert [each.name for each in caught.value.error.conflicts] == ["user:/a"]
    assert errors.get_error(parent).number == "C02000"
    assert ks["user:/a"].value == "ours"
    assert db.get(ks, parent) == 1
    assert errors.get_error(parent) is None
    assert ks["user:/a"].value == "theirs"


def test_a_set_without_a_get_names_both_parents(db):
    db.get(kdb.KeySet(), "user:/got")
    with pytest.raises(kdb.KDBException) as caught:
        db.set(kdb.KeySet(0, kdb.Key("user:/other/a", "1")), "user:/other")
    assert caught.value.number == "C01320"
    assert "user:/other" in caught.value.reason
    assert "user:/got" in caught.value.reason


@pytest.mark.parametrize("parent", ["meta:/", "default:/"])
def test_a_parent_that_holds_nothing_is_refused(db, parent):
    with pytest.raises(kdb.KDBException) as caught:
        db.get(kdb.KeySet(), parent)
    assert caught.value.number == "C01320"


def test_a_key_that_can_be_stored_nowhere_is_refused(db):
    ks = kdb.KeySet()
    db.get(ks, "user:/")
    ks.append(kdb.Key("/a", "1"))
    with pytest.raises(kdb.KDBException) as caught:
        db.set(ks, "user:/")
    assert caught.value.number == "C01320"


def test_dir_is_that_of_the_directory(db, kdbd, tmp_path):
    ks = kdb.KeySet()
    db.get(ks, "dir:/")
    ks.append(kdb.Key("dir:/a", "here"))
    assert db.set(ks, "dir:/") == 1
    assert db.get_string("/a") == "here"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with kdb.KDB(directory=elsewhere) as other:
        assert stored(other, "dir:/") == {}


@pytest.mark.parametrize("text", ["a\0b", "\udcff", "ä\ud800"])
def test_what_the_bus_would_cut_us_off_for_is_refused_before(db, text):
    with pytest.raises(kdb.KDBException) as caught:
        db.set_string("user:/a", text)
    assert caught.value.error.dbus == "InvalidValue"
    assert db.set_string("user:/a", "fine")


def test_an_error_of_the_service_has_its_number(db):
    with pytest.raises(kdb.KDBException) as caught:
        db.get_string("user:/none")
    assert caught.value.error.dbus == "KeyNotFound"


def test_after_a_restart_of_kdbd_it_goes_on(db, kdbd):
    ks = kdb.KeySet()
    db.set_string("user:/a", "1")
    db.get(ks, "user:/")
    db.set_string("user:/b", "1")
    kdbd.kill()
    kdbd.start()
    ks["user:/a"].value = "2"
    assert db.set(ks, "user:/") == 1
    assert stored(db) == {"user:/a": "2", "user:/b": "1"}


def test_after_a_restart_of_the_bus_it_goes_on(db, kdbd):
    ks = kdb.KeySet()
    db.set_string("user:/a", "1")
    db.get(ks, "user:/")
    kdbd.bus.restart()
    ks["user:/a"].value = "2"
    assert db.set(ks, "user:/") == 1
    assert stored(db) == {"user:/a": "2"}


def test_a_lost_connection_is_made_anew(db):
    db.set_string("user:/a", "1")
    db._connection.close()
    assert db.get_string("user:/a") == "1"


def test_the_first_socket_that_answers_is_taken(kdbd, monkeypatch):
    address = f"unix:path=/nowhere/bus;{kdbd.bus.address}"
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    with kdb.KDB() as db:
        assert stored(db) == {}


def test_a_bus_at_an_abstract_address_is_found():
    address = f"unix:abstract=kdbd%20test-{os.getpid()}"
    with PrivateBus(extra=f"<listen>{address}</listen>"):
        Connection(address).close()


def test_kdbd_is_waited_for(db, kdbd):
    kdbd.stop()
    starter = threading.Thread(target=kdbd.start)
    starter.start()
    assert db.set_string("user:/a", "1")
    starter.join()


def test_a_closed_database_can_be_opened_again(db):
    db.close()
    with pytest.raises(ValueError, match="closed"):
        db.get_string("user:/a")
    db.close()
    db.open(kdb.Key("user:/"))
    assert stored(db) == {}


def test_a_contract_for_change_tracking_is_granted(db):
    contract = kdb.KeySet(1, kdb.Key("system:/elektra/contract/changetracking"))
    with kdb.KDB(contract) as other:
        assert stored(other) == {}
    with pytest.raises(kdb.ContractException):
        kdb.KDB(kdb.KeySet(1, kdb.Key("system:/elektra/contract/gopts")))


def test_without_kdbd_it_says_how_to_start_it(bus, monkeypatch):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
    parent = kdb.Key("user:/")
    with pytest.raises(kdb.KDBException) as caught:
        kdb.KDB(parent)
    assert caught.value.number == "C01200"
    assert "systemctl --user start kdbd" in caught.value.reason
    assert errors.get_error(parent).number == "C01200"


@pytest.mark.parametrize(
    "address", ["", "unix:path=/nowhere/bus", "tcp:host=localhost,port=1", "unix:abstract=nowhere"]
)
def test_without_a_bus_it_says_so(monkeypatch, address):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with pytest.raises(kdb.KDBException) as caught:
        kdb.KDB()
    assert caught.value.number == "C01200"


# --- the connection by itself ---------------------------------------------------------------------


@pytest.fixture
def connection(kdbd):
    made = Connection(kdbd.bus.address)
    yield made
    made.close()


def test_a_call_ends_when_its_time_is_over_and_its_late_answer_is_dropped(connection, kdbd):
    assert kdbd.process is not None
    kdbd.process.send_signal(signal.SIGSTOP)
    with pytest.raises(TimedOut):
        connection.call(Call("GetString", "s", ("user:/a",)), 0.05)
    kdbd.process.send_signal(signal.SIGCONT)
    with pytest.raises(CallFailed) as caught:
        connection.call(Call("GetString", "s", ("user:/none",)))
    assert caught.value.name == "org.libelektra.KDB1.Error.KeyNotFound"
    assert "user:/none" in caught.value.text
    assert connection._replies == {}


def test_the_descriptor_of_a_late_answer_is_closed(connection, kdbd):
    connection.call(Call("SetString", "ss", ("user:/big", BIG)))
    handle = connection.call(Call("Open", "a{sv}", ({},))).body[0]
    get = Call("Get", "st", ("user:/", 0), path=handle, interface=HANDLE_INTERFACE)
    connection.call(get)
    before = descriptors()
    assert kdbd.process is not None
    kdbd.process.send_signal(signal.SIGSTOP)
    with pytest.raises(TimedOut):
        connection.call(get, 0.05)
    connection.send(get)
    kdbd.process.send_signal(signal.SIGCONT)
    connection.call(Call("Sync"))
    # The answer to the second is there, and nobody takes it.
    connection.close()
    assert descriptors() == before - 1


def test_a_stopped_bus_hangs_nobody(connection, kdbd):
    kdbd.bus.suspend()
    try:
        with pytest.raises(TimedOut):
            connection.call(Call("GetString", "s", ("user:/a",)), 0.05)
        with pytest.raises(Disconnected):
            connection.call(Call("SetString", "ss", ("user:/a", "x" * (8 << 20))), 0.05)
    finally:
        kdbd.bus.resume()
    assert connection.closed
    assert connection.fileno() == -1


def test_a_bus_that_never_says_hello_hangs_nobody(bus):
    bus.suspend()
    try:
        with pytest.raises(Disconnected):
            Connection(bus.address, 0.05)
    finally:
        bus.resume()


def test_a_bus_that_goes_is_noticed(connection, kdbd):
    kdbd.bus.kill()
    with pytest.raises(Disconnected):
        connection.call(Call("GetString", "s", ("user:/a",)))
    with pytest.raises(Disconnected):
        connection.call(Call("GetString", "s", ("user:/a",)))
    kdbd.bus.start()


def test_a_signal_is_waited_for_once(connection):
    connection.call(Call("Sync"))  # the bus's own NameAcquired has come then
    connection.signalled = False
    with pytest.raises(TimedOut):
        connection.await_signal(0.01)
    rule = "type='signal',interface='org.libelektra'"
    connection.call(
        Call(
            "AddMatch",
            "s",
            (rule,),
            path="/org/freedesktop/DBus",
            interface="org.freedesktop.DBus",
            destination="org.freedesktop.DBus",
        )
    )
    connection.signalled = False
    connection.send(Call("SetString", "ss", ("user:/a", "1")))
    connection.await_signal(None)
    assert not connection.signalled


def test_a_bus_that_goes_ends_no_program_that_lets_sigpipe_end_it(kdbd):
    script = (
        "import os, signal, sys, kdb\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "with kdb.KDB() as db:\n"
        "    os.kill(int(sys.argv[1]), signal.SIGKILL)\n"
        "    try:\n"
        "        while True:\n"
        "            db.get_string('user:/a')\n"
        "    except kdb.KDBException as error:\n"
        "        if error.number == 'C01200':\n"
        "            print('told', flush=True)\n"
        "            os._exit(0)\n"
    )
    done = kdbd.run(sys.executable, "-c", script, str(kdbd.bus.pid), check=False)
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr
