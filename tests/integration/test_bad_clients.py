"""Clients that vanish, flood or never read, and 10,000 random messages.

A client's handles go with it, others stay served, memory stays bounded. Memory is what the kernel
says of the process (VmRSS), after a warm-up, with a bound far below what a leak would take.
"""

from __future__ import annotations

import fcntl
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from blocks import pack_block
from caller import WAIT_S, Caller, Refused, open_fds
from daemon_process import DaemonProcess
from jeepney import HeaderFields, MessageType
from jeepney.bus_messages import MatchRule, message_bus
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from kdb.wire import HANDLE_INTERFACE, INTERFACE, OBJECT_PATH
from kdbd.bus.interfaces import methods
from private_bus import PrivateBus

pytestmark = pytest.mark.needs("dbus-daemon")

MIB = 1024 * 1024
APPLY = "a(saya{ss})asta{sv}"


def resident_bytes(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


@pytest.fixture
def witness(kdbd: DaemonProcess) -> Iterator[Caller]:
    """Connect a client that others are not to keep from being served."""
    with Caller(kdbd.bus.address) as connected:
        connected.call("SetString", "ss", "user:/witness", "0")
        yield connected.open()


def check_served(witness: Caller, value: str) -> float:
    """Set and get through the witness; answer how long that took."""
    began = time.monotonic()
    witness.call("SetString", "ss", "user:/witness", value)
    assert witness.call("GetString", "s", "user:/witness") == (value,)
    assert witness.get("user:/witness") == {"user:/witness": value}
    return time.monotonic() - began


# Vanishing


def test_the_handles_of_a_client_that_vanishes_go(
    kdbd: DaemonProcess, witness: Caller, tmp_path: Path
) -> None:
    lock = tmp_path / "there" / ".dir" / ".kdbd.lock"
    lock.parent.parent.mkdir()
    fds = open_fds(kdbd.pid)
    client = Caller(kdbd.bus.address)
    paths = [client.open(lock.parent.parent).handle for _ in range(10)]
    client.call("SetString", "ss", "dir:/x", "1", path=client.handle)
    assert is_locked(lock)
    client.connection.close()
    # Its directory's lock is given up once its last handle is closed
    subprocess.run(["flock", "--wait=20", lock, "true"], check=True)
    for path in paths:
        assert witness.error("Close", path=path, interface=HANDLE_INTERFACE).name.endswith(
            "UnknownObject"
        )
    check_served(witness, "1")
    witness.call("Sync")
    assert open_fds(kdbd.pid) == fds


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_client_has_so_many_handles_at_most(kdbd: DaemonProcess, witness: Caller) -> None:
    with Caller(kdbd.bus.address) as client:
        for _ in range(256):
            client.open()
        assert client.error("Open", "a{sv}", {}).name == "LimitsExceeded"
        client.on_handle("Close")
        client.open()
        check_served(witness, "1")
        for number in range(1_000):
            client.on_handle("Get", "st", f"user:/{number}", 0)
        assert client.handle_error("Get", "st", "user:/one/more", 0).name == "Interface"
        # What was got may be got again, and set
        client.get("user:/0")
        client.put("user:/0", ["user:/0/x", "v", {}, 0])


def test_clients_that_vanish_in_the_middle_of_a_call(kdbd: DaemonProcess, witness: Caller) -> None:
    block = pack_block([[f"user:/v/k{number}", "v" * 50, {}, 0] for number in range(3_000)])

    def vanish(times: int) -> None:
        for number in range(times):
            with Caller(kdbd.bus.address) as client:
                client.open().get("user:/v")
                client.connection.send(
                    client.message(
                        "Set",
                        "sayah",
                        "user:/v",
                        block,
                        [],
                        path=client.handle,
                        interface=HANDLE_INTERFACE,
                    )
                )
                client.connection.send(client.message("SetString", "ss", f"user:/v{number}", "1"))

    vanish(60)
    check_served(witness, "warm")
    fds, memory = open_fds(kdbd.pid), resident_bytes(kdbd.pid)
    vanish(60)
    check_served(witness, "1")
    witness.call("Sync")
    assert open_fds(kdbd.pid) == fds
    assert resident_bytes(kdbd.pid) - memory < 16 * MIB
    # Of a client that is gone before kdbd knows who it is nothing is done; else all.
    assert len(witness.get("user:/v")) in (0, 3_000)


def test_many_clients_come_and_go(kdbd: DaemonProcess, witness: Caller) -> None:
    def come_and_go(times: int) -> None:
        for number in range(times):
            with Caller(kdbd.bus.address) as client:
                client.open().get("user:/")
                client.call("SetString", "ss", f"user:/c{number % 10}", client.name)

    come_and_go(100)
    check_served(witness, "warm")
    memory = resident_bytes(kdbd.pid)
    come_and_go(1_000)
    check_served(witness, "1")
    assert resident_bytes(kdbd.pid) - memory < 4 * MIB


# Flooding


FLOODER = """
import sys
from caller import Caller
client = Caller(sys.argv[1])
print("flooding", flush=True)
for number in range(2_500):
    for member, signature, *body in (
        ("GetString", "s", "user:/witness"),
        ("SetString", "ss", f"user:/f{number % 100}", str(number)),
        ("Remove", "sb", "user:/f", True),
        ("Nothing", "s", "x"),
    ):
        client.connection.send(client.message(member, signature, *body, reply=False))
client.connection.close()
"""


def test_a_flood_of_calls(kdbd: DaemonProcess, witness: Caller) -> None:
    """Two clients send 10,000 calls each, as fast as they can; others are served meanwhile."""

    def flood() -> list[subprocess.Popen[bytes]]:
        flooders = [
            subprocess.Popen(
                [sys.executable, "-c", FLOODER, kdbd.bus.address],
                env={**kdbd.client_environment, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdout=subprocess.PIPE,
            )
            for _ in range(2)
        ]
        for flooder in flooders:
            assert flooder.stdout is not None
            assert flooder.stdout.readline() == b"flooding\n"
        return flooders

    memory = 0
    for round_ in range(2):
        flooders = flood()
        try:
            served = [check_served(witness, f"{round_}.{number}") for number in range(5)]
            assert max(served) < WAIT_S
            for flooder in flooders:
                flooder.communicate(timeout=60)
                assert flooder.returncode == 0
        finally:
            for flooder in flooders:
                flooder.kill()
                flooder.communicate()
        assert check_served(witness, f"{round_} after") < WAIT_S
        memory = memory or resident_bytes(kdbd.pid)
    assert resident_bytes(kdbd.pid) - memory < 32 * MIB


def test_too_many_calls_in_flight_are_refused(kdbd: DaemonProcess, witness: Caller) -> None:
    """Calls that wait for the disk are bounded by client; what is above is refused at once."""
    with Caller(kdbd.bus.address) as client:
        client.call("SetString", "ss", "user:/a", "0")
        serials = {}
        for number in range(3_000):
            serial = next(client.connection.outgoing_serial)
            client.connection.send(
                client.message("SetString", "ss", f"user:/a/{number}", "v"), serial=serial
            )
            serials[serial] = number
        answers: dict[int, str] = {}
        while len(answers) < len(serials):
            reply = client.connection.receive(timeout=30)
            serial = reply.header.fields.get(HeaderFields.reply_serial)
            if serial in serials:
                answers[serials[serial]] = reply.header.fields.get(HeaderFields.error_name, "")
        check_served(witness, "1")
        stored = {f"user:/a/{number}" for number, error in answers.items() if not error}
        assert set(witness.get("user:/a")) - {"user:/a"} == stored
        refused = set(answers.values()) - {""}
        assert refused <= {"org.libelektra.KDB1.Error.LimitsExceeded"}


def test_a_client_that_sends_large_values_waits_for_itself(
    kdbd: DaemonProcess, witness: Caller
) -> None:
    """What others store is stored between one client's large values, not after all of them."""
    large, count = "v" * MIB, 28
    with Caller(kdbd.bus.address) as client, Caller(kdbd.bus.address) as other:
        client.call("SetString", "ss", "user:/large", "")
        (before,) = other.call("SetString", "ss", "user:/small", "0")
        for number in range(count):
            message = client.message("SetString", "ss", f"user:/large/{number}", large)
            client.connection.send(message)
        (small,) = other.call("SetString", "ss", "user:/small", "1")
        assert small < before + count - 4
        revisions = []
        while len(revisions) < count:
            reply = client.connection.receive(timeout=WAIT_S)
            if reply.header.message_type is MessageType.method_return:
                revisions += reply.body
        # Its own come in their order.
        assert revisions == sorted(revisions)
        assert set(range(before + 1, before + count + 2)) == {*revisions, small}
    for number in range(count):
        assert witness.call("GetString", "s", f"user:/large/{number}") == (large,)


# Never reading


def slow_bus_limits() -> str:
    """Answer limits under which one subscriber that never reads blocks its senders soon."""
    return '  <limit name="max_outgoing_bytes">2000000</limit>\n'


def subscriber(address: str) -> DBusConnection:
    """Subscribe to all of kdbd's signals; the connection is then never read."""
    connection = open_dbus_connection(address)
    for interface in ("org.libelektra", INTERFACE):
        rule = MatchRule(type="signal", interface=interface)
        connection.send_and_get_reply(message_bus.AddMatch(rule), timeout=20)
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return connection


def test_a_subscriber_that_never_reads(tmp_path: Path) -> None:
    with (
        PrivateBus(extra=slow_bus_limits()) as bus,
        DaemonProcess(bus, tmp_path) as kdbd,
        Caller(bus.address) as witness,
        subscriber(bus.address),
    ):
        witness.open()
        check_served(witness, "before")
        name = "n" * 1_000
        for round_ in range(40):
            put: list[Any] = [
                (f"user:/{name}/{number}", str(round_).encode(), {}) for number in range(200)
            ]
            retry(kdbd, witness, "Apply", APPLY, put, [], 0, {})
        assert retry(kdbd, witness, "GetString", "s", f"user:/{name}/0") == ("39",)
        memory = resident_bytes(kdbd.pid)
        for round_ in range(60):
            put = [(f"user:/{name}/{number}", b"%d" % round_, {}) for number in range(200)]
            retry(kdbd, witness, "Apply", APPLY, put, [], 0, {})
        assert retry(kdbd, witness, "GetString", "s", f"user:/{name}/0") == ("59",)
        # At most 8 MiB are queued; each of these rounds sends 0.6 MB of names.
        assert resident_bytes(kdbd.pid) - memory < 24 * MIB
        # Its handle survived the new connections of kdbd
        assert witness.get(f"user:/{name}/1") == {f"user:/{name}/1": "59"}


def retry(kdbd: DaemonProcess, caller: Caller, *call: Any) -> tuple[Any, ...]:
    """Call until it is answered: kdbd opens a new connection where the bus takes nothing."""
    while True:
        connected = sum(each.get("event") == "bus.connected" for each in list(kdbd.events))
        try:
            return caller.call(*call)
        except Refused as refused:
            if not refused.name.endswith(("NoReply", "ServiceUnknown")):
                raise
        kdbd.wait_for_event("bus.connected", connected + 1)


def test_a_caller_that_never_reads_its_replies(kdbd: DaemonProcess, witness: Caller) -> None:
    """The bus holds replies up to its own limit; kdbd holds none of them."""
    witness.call("SetString", "ss", "user:/large", "v" * 100_000)

    def ask(times: int) -> None:
        with Caller(kdbd.bus.address) as silent:
            silent.connection.sock.settimeout(20)
            for _ in range(times):
                silent.connection.send(silent.message("GetString", "s", "user:/large"))
            check_served(witness, "meanwhile")

    ask(100)
    memory = resident_bytes(kdbd.pid)
    for _ in range(4):
        ask(100)
    check_served(witness, "1")
    assert resident_bytes(kdbd.pid) - memory < 32 * MIB


def test_a_stopped_client_holds_nobody_up(kdbd: DaemonProcess, witness: Caller) -> None:
    monitor = subprocess.Popen(
        ["dbus-monitor", "--address", kdbd.bus.address, "type='signal'"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert monitor.stdout is not None
        monitor.stdout.readline()
        os.kill(monitor.pid, signal.SIGSTOP)
        for number in range(200):
            check_served(witness, f"{number}")
    finally:
        monitor.kill()
        monitor.communicate()


# Random messages


PATHS = [
    OBJECT_PATH,
    "/",
    "/org",
    "/org/libelektra/configuration",
    f"{OBJECT_PATH}/handle/1",
    f"{OBJECT_PATH}/handle/999999999999999999999",
    "/x",
]
ODD_NAMES = [
    "",
    "/",
    "user:/",
    "user:/a\\b",
    "user:/../..",
    "meta:/m",
    "proc:/p",
    "default:/d",
    "dir:/d",
    "none:/x",
    "user:/#1",
    "user:/%",
    "user:/" + "x/" * 500,
    "/a",
    "spec:/s",
    "system:/elektra/version",
    "system:/elektra/mountpoints/x",
    "user:/ä\U0001f600",
]
INTERFACES = [
    INTERFACE,
    HANDLE_INTERFACE,
    "org.freedesktop.DBus.Properties",
    "org.libelektra",
    "org.freedesktop.DBus.Introspectable",
    "no.such.Interface",
    None,
]


class Fuzz:
    """Random messages that the bus lets through, most of them wrong for kdbd."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def signature(self, depth: int = 0) -> str:
        choice = self.random.choice
        kind = choice("ybnqiuxtdsovaaar(" if depth < 3 else "ybnqiuxtds")
        if kind == "a":
            if self.random.random() < 0.3:
                return f"a{{{choice('sui')}{self.signature(depth + 1)}}}"
            return "a" + self.signature(depth + 1)
        if kind in "(r":
            members = (self.signature(depth + 1) for _ in range(self.random.randint(1, 3)))
            return f"({''.join(members)})"
        return kind

    def value(self, signature: str) -> Any:
        number = self.random.randint
        match signature[0]:
            case "s":
                return self.random.choice([*ODD_NAMES, "v" * number(0, 3_000)])
            case "o":
                return self.random.choice(PATHS)
            case "v":
                inner = self.signature(2)
                return inner, self.value(inner)
            case "b":
                return self.random.random() < 0.5
            case "d":
                return self.random.random() * 10 ** number(-300, 300)
            case "a" if signature == "ay":
                return self.block()
            case "a" if signature[1] == "{":
                key, value = signature[2], signature[3:-1]
                return {self.value(key): self.value(value) for _ in range(number(0, 3))}
            case "a" if signature == "ah":
                return []
            case "a":
                return [self.value(signature[1:]) for _ in range(number(0, 3))]
            case "(":
                return tuple(self.value(each) for each in split(signature[1:-1]))
        low, high = {
            "y": (0, 255),
            "n": (-(2**15), 2**15 - 1),
            "q": (0, 2**16 - 1),
            "i": (-(2**31), 2**31 - 1),
            "u": (0, 2**32 - 1),
            "x": (-(2**63), 2**63 - 1),
            "t": (0, 2**64 - 1),
        }[signature]
        return self.random.choice([low, high, 0, number(low, high)])

    def block(self) -> bytes:
        kind = self.random.randrange(4)
        if kind == 0:
            return self.random.randbytes(self.random.randint(0, 300))
        entries = [
            [self.thing() for _ in range(self.random.choice([4, 4, 4, 3, 5]))]
            for _ in range(self.random.randint(0, 4))
        ]
        data = bytearray(msgpack.packb(entries))
        if kind == 1 and data:
            data[self.random.randrange(len(data))] = self.random.randrange(256)
        if kind == 2:
            del data[self.random.randrange(len(data) + 1) :]
        return bytes(data)

    def thing(self) -> Any:
        return self.random.choice(
            [
                None,
                True,
                -1,
                2**64 - 1,
                1.5,
                b"\xff\0",
                [],
                {},
                {"m": 1},
                {1: "m"},
                {"binary": ""},
                *ODD_NAMES,
            ]
        )

    def wrong(self, client: Caller) -> Any:
        """Make the next message."""
        path = self.random.choice([*PATHS, client.handle, client.handle])
        interface = self.random.choice([*INTERFACES, INTERFACE, HANDLE_INTERFACE, HANDLE_INTERFACE])
        known = methods(interface) if interface and not interface.startswith("no.") else {}
        member = self.random.choice([*known, "Nothing", "Introspect"])
        signature = "".join(self.signature() for _ in range(self.random.randint(0, 4)))
        right = member in known and self.random.random() < 0.7
        if right:
            signature = known[member].takes
        body = [self.value(each) for each in split(signature)]
        if right and member in ("SetString", "Set", "SetMeta", "Apply", "Mount"):
            body = self.harmless(member, body)
        return client.message(
            member,
            signature,
            *body,
            path=path,
            interface=interface,
            reply=self.random.random() < 0.9,
        )

    def harmless(self, member: str, body: list[Any]) -> list[Any]:
        """Let a write be one that stores nothing: this is about what is wrong."""
        if member == "Apply":
            body[0] = [("meta:/x", b"", {})]
        elif member != "Set" or isinstance(body[1], bytes):
            stored = body[0].startswith(("user:/", "system:/", "spec:/"))
            if stored and "\\" not in body[0] and ".." not in body[0]:
                body[0] = "proc:/x"
        return body


def split(signature: str) -> list[str]:
    """Split a signature into complete types."""
    types, start, depth = [], 0, 0
    for at, code in enumerate(signature):
        depth += (code in "({") - (code in ")}")
        if depth == 0 and code != "a":
            types.append(signature[start : at + 1])
            start = at + 1
    return types


def test_10_000_random_messages_leave_it_answering_with_memory_flat(
    kdbd: DaemonProcess, witness: Caller, soak: bool
) -> None:
    fuzz = Fuzz(20_240_229)
    errors: dict[str, int] = {}

    def send(client: Caller, count: int) -> None:
        expected = 0
        for number in range(count):
            message = fuzz.wrong(client)
            client.connection.send(message)
            expected += not message.header.flags
            if expected == 50 or number == count - 1:
                while expected:
                    reply = client.connection.receive(timeout=30)
                    if reply.header.message_type is MessageType.signal:
                        continue
                    name = reply.header.fields.get(HeaderFields.error_name, "")
                    errors[name] = errors.get(name, 0) + 1
                    expected -= 1

    with Caller(kdbd.bus.address) as client:
        client.open().get("user:/")
        send(client, 3_000)
        check_served(witness, "warm")
        witness.call("Sync")
        # Whatever reads the history first opens the journal's log.
        witness.call("Changes", "tsu", 0, "user:/", 1)
        memory, fds = resident_bytes(kdbd.pid), open_fds(kdbd.pid)
        for _ in range(10 if soak else 1):
            send(client, 10_000)
        check_served(witness, "1")
        witness.call("Sync")
        assert open_fds(kdbd.pid) == fds
        assert resident_bytes(kdbd.pid) - memory < 2 * MIB
    # Whatever was wrong has a name; nothing of kdbd's own failed.
    assert "org.libelektra.KDB1.Error.Internal" not in errors, errors
    assert sum(count for name, count in errors.items() if name) > 5_000
    assert len(errors) >= 8
    levels = {each.get("level") for each in kdbd.events}
    assert not levels & {"error", "critical"}, [
        each for each in kdbd.events if each.get("level") == "error"
    ]
