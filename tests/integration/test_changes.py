"""The history as the bus tells it: whole commits, a handle's own directory, and its end."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from daemon_process import DaemonProcess
from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from private_bus import PrivateBus

NAME = INTERFACE = "org.libelektra.KDB1"
ROOT = "/org/libelektra/KDB1"
HISTORY_LOST = "org.libelektra.KDB1.Error.HistoryLost"


class Caller:
    """A blocking client of one kdbd."""

    def __init__(self, bus: PrivateBus) -> None:
        self.connection: DBusConnection = open_dbus_connection(bus=bus.address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def call(
        self, member: str, signature: str, *body: object, path: str = ROOT
    ) -> tuple[object, ...]:
        """Call a method; answer the reply's body, or (error name, text)."""
        address = DBusAddress(path, bus_name=NAME, interface=INTERFACE)
        reply = self.connection.send_and_get_reply(
            new_method_call(address, member, signature, body)
        )
        if reply.header.message_type is MessageType.error:
            return (reply.header.fields[HeaderFields.error_name], *reply.body)
        return tuple(reply.body)


INTERFACE_ERROR = "org.libelektra.KDB1.Error.Interface"


@pytest.fixture
def caller(kdbd: DaemonProcess) -> Iterator[Caller]:
    with Caller(kdbd.bus) as caller:
        yield caller


def test_commits_come_whole_however_small_the_limit(caller: Caller) -> None:
    put = [(f"user:/a/{number}", b"1", {}) for number in range(5)]
    caller.call("Apply", "a(saya{ss})asta{sv}", put, [], 0, {})
    caller.call("SetString", "ss", "user:/b", "1")
    first = caller.call("Changes", "tsu", 0, "user:/", 2)
    assert first == ([(1, "added", f"user:/a/{number}") for number in range(5)], True, 1)
    assert caller.call("Changes", "tsu", 1, "user:/", 2) == ([(2, "added", "user:/b")], False, 2)


def test_only_commits_that_fit_whole_are_told_at_once(caller: Caller) -> None:
    caller.call("SetString", "ss", "user:/a", "1")
    put = [(f"user:/b/{number}", b"1", {}) for number in range(3)]
    caller.call("Apply", "a(saya{ss})asta{sv}", put, [], 0, {})
    assert caller.call("Changes", "tsu", 0, "/", 2) == ([(1, "added", "user:/a")], True, 1)


def test_a_handle_is_told_of_its_own_directory_and_the_root_object_of_none(
    caller: Caller, tmp_path: Path
) -> None:
    handles = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        contract = {"directory": ("s", str(tmp_path / name))}
        (handle,) = caller.call("Open", "a{sv}", contract)
        handles.append(handle)
        caller.call("SetString", "ss", f"dir:/{name}", "1", path=handle)
    one = caller.call("Changes", "tsu", 0, "/", 0, path=handles[0])
    two = caller.call("Changes", "tsu", 0, "dir:/", 0, path=handles[1])
    assert one == ([(1, "added", "dir:/one")], False, 2)
    assert two == ([(2, "added", "dir:/two")], False, 2)
    assert caller.call("Changes", "tsu", 0, "/", 0) == ([], False, 2)


def test_a_revision_older_than_the_history_is_an_error_of_its_own(
    bus: PrivateBus, tmp_path: Path
) -> None:
    running = DaemonProcess(bus, tmp_path, options=["--history-mib=1"])
    with running as kdbd, Caller(bus) as caller:
        for number in range(24):
            caller.call("SetString", "ss", "user:/large", f"{number}" * 50_000)
        last = caller.call("Changes", "tsu", 23, "user:/", 0)
        assert last == ([(24, "changed", "user:/large")], False, 24)
        kdbd.wait_for_event("history.trimmed")
        name, text = caller.call("Changes", "tsu", 0, "user:/", 0)
        assert name == HISTORY_LOST
        assert text.startswith("The history after revision 0 is no longer kept. Read the keys")
        assert caller.call("GetString", "s", "user:/large") == ("23" * 50_000,)


def test_the_history_stays_within_its_bound_and_a_damaged_file_lacks_nothing_by_it(
    bus: PrivateBus, tmp_path: Path
) -> None:
    def history_bytes() -> int:
        connection = sqlite3.connect(kdbd.state / "journal.sqlite")
        (row,) = connection.execute("SELECT history_bytes FROM state").fetchall()
        connection.close()
        return int(row[0])

    running = DaemonProcess(bus, tmp_path, options=["--history-mib=1"])
    with running as kdbd, Caller(bus) as caller:
        file = kdbd.user / "default.ecf"
        caller.call("SetString", "ss", "user:/a", "1")
        caller.call("Sync", "")
        before = file.read_bytes()
        caller.call("SetString", "ss", "user:/a", "2")
        file.write_bytes(b"garbage")
        name, _ = caller.call("GetString", "s", "user:/a")
        assert name == "org.libelektra.KDB1.Error.Syntactic"
        for number in range(1_000):
            caller.call("SetString", "ss", "system:/b", f"{number}" * 1_000)
        kdbd.wait_for_event("history.trimmed")
        assert caller.call("Changes", "tsu", 2, "user:/", 0)[0] == HISTORY_LOST
        kdbd.kill()
        assert history_bytes() <= 2**20
        # What the file lacked is known still.
        file.write_bytes(before)
        kdbd.start()
        assert caller.call("GetString", "s", "user:/a") == ("2",)
        caller.call("Sync", "")
        assert file.read_bytes() == before.replace(b"\n1\n", b"\n2\n")


def test_a_revision_that_is_not_there_yet_is_of_another_store(caller: Caller) -> None:
    name, text = caller.call("Changes", "tsu", 7, "user:/", 0)
    assert name == HISTORY_LOST
    assert text.startswith("There is no revision 7 yet")


def test_what_can_never_change_has_no_history(caller: Caller) -> None:
    use = "Use a parent in spec:/, dir:/, user:/, system:/ or a cascading one"
    assert caller.call("Changes", "tsu", 0, "proc:/", 0) == (
        INTERFACE_ERROR,
        f"proc:/ cannot be followed: proc:/ is each process's own. {use}",
    )
    for name in ("meta:/x", "default:/x"):
        assert caller.call("Changes", "tsu", 0, name, 0) == (
            INTERFACE_ERROR,
            f"{name} cannot be a parent key: its namespace is not stored. {use}",
        )
