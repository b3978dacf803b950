"""What the clients make of a bus that rejects, hangs up, hangs, or sends what is no message."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from fake_bus import HELLO, FakeBus

from kdb import _aio_connection, _connection
from kdb.requests import Call, Disconnected, TimedOut

KDB = Path(sysconfig.get_path("scripts")) / "kdb"
OK = b"OK 0123456789abcdef0123456789abcdef\r\n"
GARBAGE = b"no message" + bytes(60)

BUSES = [
    pytest.param(b"REJECTED EXTERNAL\r\n", b"", id="rejects"),
    pytest.param(b"", b"", id="says nothing and hangs up"),
    pytest.param(OK, b"", id="hangs up after the greeting"),
    pytest.param(OK, GARBAGE, id="sends garbage"),
]


# What waits for a bus that says nothing need not wait long here.
SHORT_S = 0.2


@pytest.mark.parametrize(("greeting", "then"), BUSES)
def test_the_blocking_connection_is_disconnected(tmp_path, greeting, then):
    with FakeBus(tmp_path, greeting, then) as bus, pytest.raises(Disconnected):
        _connection.Connection(bus.address, SHORT_S)


@pytest.mark.parametrize(("greeting", "then"), BUSES)
async def test_the_connection_for_asyncio_is_disconnected(tmp_path, greeting, then):
    with FakeBus(tmp_path, greeting, then) as bus, pytest.raises(Disconnected):
        await _aio_connection.Connection(bus.address, SHORT_S).connect()


@pytest.mark.parametrize(("greeting", "then"), BUSES)
def test_the_command_says_how_to_start_kdbd(tmp_path, greeting, then):
    with FakeBus(tmp_path, greeting, then) as bus:
        done = command(bus)
    assert (done.returncode, done.stdout) == (5, "")
    assert "systemctl --user start kdbd" in done.stderr


def test_the_command_never_shows_a_traceback(tmp_path):
    with FakeBus(tmp_path, OK, b"l\2\0\1" + bytes(8) + b"\x10\0\0\0" + b"\xff" * 16) as bus:
        done = command(bus)
    assert done.returncode == 5
    assert done.stderr.count("\n") == 1


def command(bus):
    environment = os.environ | {"DBUS_SESSION_BUS_ADDRESS": bus.address}
    return subprocess.run([KDB, "get", "user:/x"], env=environment, capture_output=True, text=True)


def test_a_hello_without_an_answer_does_not_hang(tmp_path):
    with FakeBus(tmp_path, OK, hold=True) as bus, pytest.raises(Disconnected, match="hello"):
        _connection.Connection(bus.address, SHORT_S)


def test_garbage_after_hello_ends_the_connection(tmp_path):
    with (
        FakeBus(tmp_path, OK, HELLO + GARBAGE, hold=True) as bus,
        pytest.raises(Disconnected, match="could not be read"),
    ):
        _connection.Connection(bus.address, SHORT_S).call(Call("Sync"), 5.0)


def test_a_connection_that_stays_silent_is_waited_for_no_longer_than_asked(tmp_path):
    with FakeBus(tmp_path, OK, HELLO, hold=True) as bus:
        connection = _connection.Connection(bus.address, SHORT_S)
        with pytest.raises(TimedOut):
            connection.call(Call("Sync"), 0.01)
        connection.close()


def test_the_command_gives_up_in_the_end(tmp_path):
    script = (
        "from kdb.cli import bus, command\n"
        "bus._TIMEOUT_S = 0.05\n"
        "raise SystemExit(command.run(['get', 'user:/x']))\n"
    )
    with FakeBus(tmp_path, OK, HELLO, hold=True) as bus:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"DBUS_SESSION_BUS_ADDRESS": bus.address},
            capture_output=True,
            text=True,
        )
    assert (done.returncode, done.stdout) == (5, "")
    assert "C01100" in done.stderr
    assert "no answer within" in done.stderr
