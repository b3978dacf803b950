"""Acknowledged means durable: seen in the system calls of kdbd."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import strace_log
from caller import Caller
from daemon_process import UNMEASURED, DaemonProcess
from jeepney import HeaderFields, MessageType
from strace_log import SENDS, SYNCS, SystemCall

from private_bus import PrivateBus

SETS = 100
CALLERS = 32
WAL = "journal.sqlite-wal"


class Traced:
    """A kdbd under strace; ``calls`` are what it did, once it is stopped."""

    def __init__(self, bus: PrivateBus, directory: Path) -> None:
        self._log = directory / "strace.log"
        command = (*strace_log.ARGUMENTS, f"--output={self._log}", sys.executable, "-m", "kdbd")
        self.daemon = DaemonProcess(bus, directory, command=command, environment=UNMEASURED)

    def calls(self) -> list[SystemCall]:
        """Stop it; answer its system calls."""
        # strace holds the daemon's standard error too, so the end of that is the end of the log.
        assert self.daemon.stop() == 0
        with self._log.open(encoding="latin-1") as log:
            return list(strace_log.parse(log))


@pytest.fixture
def traced(bus: PrivateBus, tmp_path: Path) -> Iterator[Traced]:
    traced = Traced(bus, tmp_path)
    with traced.daemon:
        yield traced


def syncs(calls: list[SystemCall]) -> list[SystemCall]:
    return [call for call in calls if call.name in SYNCS and call.file.endswith(WAL)]


def replies(calls: list[SystemCall]) -> dict[tuple[str, int], SystemCall]:
    """Answer the call that sent each reply, by its receiver and the serial that it answers."""
    found = {}
    for call, message in strace_log.messages(_sent_to_bus(calls)):
        if message.header.message_type is MessageType.method_return:
            fields = message.header.fields
            found[fields[HeaderFields.destination], fields[HeaderFields.reply_serial]] = call
    return found


def _sent_to_bus(calls: list[SystemCall]) -> list[SystemCall]:
    """Leave out what went elsewhere, and the authentication: lines of text, the last is BEGIN."""
    sends = [call for call in calls if call.name in SENDS]
    begin = next(i for i, call in enumerate(sends) if call.data.endswith(b"BEGIN\r\n"))
    return [call for call in sends[begin + 1 :] if call.file == sends[begin].file]


@pytest.mark.needs("strace")
def test_each_set_is_synced_before_its_reply_is_sent(traced: Traced, bus: PrivateBus) -> None:
    with Caller(bus.address) as caller:
        serials = []
        for number in range(SETS):
            serials.append(send(caller, "user:/durable", token(number)))
            wait_for_reply(caller, serials[-1])
        name = caller.name
    calls = traced.calls()
    sent = replies(calls)
    log_writes = [call for call in calls if call.name == "pwrite64" and call.file.endswith(WAL)]
    synced = syncs(calls)
    for number, serial in enumerate(serials):
        reply = sent[name, serial]
        # The value is in the log, ...
        written = [call for call in log_writes if token(number) in call.arguments]
        assert written, f"set {number} is not written to the log"
        # ... and the log is synced, from after that until before the reply.
        assert any(
            written[0].returned < sync.began and sync.returned < reply.began for sync in synced
        ), f"set {number} is answered before the log is synced"
    # No sync stands for two: the caller had waited for each reply.
    assert len(synced) >= SETS


def token(number: int) -> str:
    return f"token-{number:03}."


def send(caller: Caller, name: str, value: str) -> int:
    """Send a SetString; answer its serial number."""
    serial: int = next(caller.connection.outgoing_serial)
    caller.connection.send(caller.message("SetString", "ss", name, value), serial=serial)
    return serial


def wait_for_reply(caller: Caller, serial: int) -> None:
    while True:
        reply = caller.connection.receive(timeout=30)
        if reply.header.fields.get(HeaderFields.reply_serial) == serial:
            assert reply.header.message_type is MessageType.method_return, reply.body
            return


@pytest.mark.needs("strace")
def test_sets_that_come_together_are_synced_together(traced: Traced, bus: PrivateBus) -> None:
    callers = [Caller(bus.address) for _ in range(CALLERS)]
    rounds = 10
    for each in range(rounds):
        serials = [
            send(caller, f"user:/group/{number}", str(each))
            for number, caller in enumerate(callers)
        ]
        for caller, serial in zip(callers, serials, strict=True):
            wait_for_reply(caller, serial)
    for caller in callers:
        caller.connection.close()
    count = len(syncs(traced.calls()))
    # Each round of 32 takes a few transactions; one for each set would be 320.
    assert rounds <= count < rounds * CALLERS / 2
