"""What bad input gets: an error of its own name, and nothing else happens.

The rows of the table about calls are here. Damaged files, full disks and read-only stores are in
`test_bad_stores`, clients that vanish, flood or never read, and random messages, in
`test_bad_clients`.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from blocks import pack_block
from caller import Caller, Refused, open_fds, unaffected
from daemon_process import DaemonProcess
from jeepney import HeaderFields

import kdb
import kdb.aio
from kdb.model.content import MAX_VALUE_BYTES
from kdb.model.names import MAX_NAME_BYTES
from kdb.wire import HANDLE_INTERFACE, INTERFACE, MAX_BLOCK_BYTES, OBJECT_PATH
from kdbd.bus.frames import MAX_MESSAGE_BYTES
from kdbd.bus.interfaces import methods
from private_bus import PrivateBus

pytestmark = pytest.mark.needs("dbus-daemon")

NAMES = json.loads((Path(__file__).parents[1] / "data/oracle/keynames.json").read_text("utf-8"))
INVALID_NAMES = [each["input"] for each in NAMES if not each["valid"]]
INVALID_ARGS = "org.freedesktop.DBus.Error.InvalidArgs"
SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK
NOWHERE = "/there/is/nothing"

# Every place of a call where a key's name stands; {} is the name.
NAMED: list[tuple[str, str, tuple[Any, ...]]] = [
    ("GetString", "s", ("{}",)),
    ("Get", "s", ("{}",)),
    ("GetAll", "ssu", ("{}", "", 0)),
    ("GetAll", "ssu", ("user:/", "{}", 0)),
    ("List", "ssu", ("{}", "", 0)),
    ("List", "ssu", ("user:/", "{}", 0)),
    ("SetString", "ss", ("{}", "v")),
    ("Set", "saya{ss}", ("{}", b"v", {})),
    ("Set", "saya{ss}", ("user:/a", b"v", {"{}": "v"})),
    ("SetMeta", "sss", ("{}", "m", "v")),
    ("SetMeta", "sss", ("user:/a", "{}", "v")),
    ("RemoveMeta", "ss", ("{}", "m")),
    ("RemoveMeta", "ss", ("user:/a", "{}")),
    ("Remove", "sb", ("{}", False)),
    ("Remove", "sb", ("{}", True)),
    ("Apply", "a(saya{ss})asta{sv}", ([("{}", b"v", {})], [], 0, {})),
    ("Apply", "a(saya{ss})asta{sv}", ([("user:/a", b"v", {"{}": "v"})], [], 0, {})),
    ("Apply", "a(saya{ss})asta{sv}", ([], ["{}"], 0, {})),
    ("Changes", "tsu", (0, "{}", 0)),
    ("Mount", "ssa{ss}", ("{}", "file.ecf", {})),
    ("Unmount", "s", ("{}",)),
]
# A metadata name is put behind meta:/, where these would be whole names' faults.
BAD_NAME, LONG_NAME = "user:/a\\b", "user:/" + "n" * MAX_NAME_BYTES


@pytest.fixture(scope="module")
def kdbd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """Run one kdbd for all tests here: none of them is to change what it holds or has open."""
    directory = tmp_path_factory.mktemp("kdbd")
    with PrivateBus() as bus, DaemonProcess(bus, directory) as running:
        yield running
        complaints = [each for each in running.events if each.get("level") != "info"]
        assert not complaints, json.dumps(complaints, indent=1)


@pytest.fixture
def caller(kdbd: DaemonProcess) -> Iterator[Caller]:
    """Connect a client with an open handle, on a store with two keys."""
    with Caller(kdbd.bus.address) as connected:
        connected.call("Apply", "a(saya{ss})asta{sv}", [], ["user:/c", "user:/big"], 0, {})
        connected.call("SetString", "ss", "user:/a", "1")
        connected.call("SetString", "ss", "user:/b", "2")
        connected.open().get("user:/")
        yield connected


def filled(value: Any, name: str) -> Any:
    """Put a name where {} stands."""
    if isinstance(value, str):
        return name if value == "{}" else value
    if isinstance(value, dict):
        return {filled(key, name): filled(each, name) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(filled(each, name) for each in value)
    return value


# An invalid name


@pytest.mark.parametrize(("member", "signature", "body"), NAMED)
def test_an_invalid_name(
    kdbd: DaemonProcess, caller: Caller, member: str, signature: str, body: tuple[Any, ...]
) -> None:
    with unaffected(kdbd, caller):
        error = caller.error(member, signature, *filled(body, BAD_NAME))
        assert error.name == "InvalidName"
        assert repr(BAD_NAME) in error.text or repr(f"meta:/{BAD_NAME}") in error.text


def test_every_invalid_name_of_libelektra(kdbd: DaemonProcess, caller: Caller) -> None:
    with unaffected(kdbd, caller):
        errors = {name: caller.error("SetString", "ss", name, "v").name for name in INVALID_NAMES}
    assert len(errors) > 200
    assert set(errors.values()) == {"InvalidName"}


@pytest.mark.parametrize(("member", "signature", "body"), NAMED)
def test_a_name_over_64_kib(
    kdbd: DaemonProcess, caller: Caller, member: str, signature: str, body: tuple[Any, ...]
) -> None:
    with unaffected(kdbd, caller):
        assert caller.error(member, signature, *filled(body, LONG_NAME)).name == "NameTooLong"


def test_names_of_a_handles_calls(kdbd: DaemonProcess, caller: Caller) -> None:
    put = [["user:/a/\\b", "v", {}, 0]]
    with unaffected(kdbd, caller):
        for name, error in ((BAD_NAME, "InvalidName"), (LONG_NAME, "NameTooLong")):
            block = pack_block([[name, "v", {}, 0]])
            meta = pack_block([["user:/a", "v", {name: "v"}, 0]])
            removed = pack_block([[name, None, None, 0]])
            assert caller.handle_error("Get", "st", name, 0).name == error
            for member in ("Set", "Diff"):
                assert caller.handle_error(member, "sayah", name, pack_block([]), []).name == error
                for each in (block, meta, removed):
                    assert caller.handle_error(member, "sayah", "user:/", each, []).name == error
        assert caller.handle_error("Set", "sayah", "user:/", pack_block(put), []).name == (
            "InvalidName"
        )


def test_the_longest_name_is_kept(caller: Caller) -> None:
    name = LONG_NAME[:MAX_NAME_BYTES]
    caller.call("SetString", "ss", name, "v")
    assert caller.call("GetString", "s", name) == ("v",)


# A wrong signature


@pytest.mark.parametrize(
    ("interface", "member"),
    [(each, member) for each in (INTERFACE, HANDLE_INTERFACE) for member in methods(each)],
)
def test_a_wrong_signature(
    kdbd: DaemonProcess, caller: Caller, interface: str, member: str
) -> None:
    path = OBJECT_PATH if interface == INTERFACE else caller.handle
    wrong = {"": ("s", "x"), "s": ("u", 1)}.get(methods(interface)[member].takes, ("", None))
    body = wrong[1:] if wrong[0] else ()
    with unaffected(kdbd, caller):
        for signature, arguments in ((wrong[0], body), ("a{sv}d", ({}, 1.5))):
            error = caller.error(member, signature, *arguments, path=path, interface=interface)
            assert error.name == INVALID_ARGS
            assert f"not '{signature}'" in error.text


# A value over 16 MiB


def test_a_value_of_16_mib_is_kept(caller: Caller) -> None:
    value = "v" * MAX_VALUE_BYTES
    caller.call("SetString", "ss", "user:/big", value)
    # A reply has at most 8 MiB, a block 64.
    assert caller.error("GetString", "s", "user:/big").name == "LimitsExceeded"
    assert caller.get("user:/big") == {"user:/big": value}
    caller.call("Remove", "sb", "user:/big", False)


def test_a_get_of_more_than_64_mib(caller: Caller) -> None:
    for number in range(5):
        caller.call("SetString", "ss", f"user:/big/{number}", "v" * MAX_VALUE_BYTES)
    error = caller.handle_error("Get", "st", "user:/big", 0)
    assert error.name == "LimitsExceeded"
    assert "narrower" in error.text
    assert len(caller.get("user:/big/1")["user:/big/1"]) == MAX_VALUE_BYTES
    caller.call("Remove", "sb", "user:/big", True)


@pytest.mark.parametrize(
    ("member", "signature", "body"),
    [
        ("SetString", "ss", ("user:/a", "{}")),
        ("SetMeta", "sss", ("user:/a", "m", "{}")),
        ("Set", "saya{ss}", ("user:/a", b"v", {"m": "{}"})),
        ("Apply", "a(saya{ss})asta{sv}", ([("user:/a", b"v", {"m": "{}"})], [], 0, {})),
    ],
)
def test_a_value_over_16_mib(
    kdbd: DaemonProcess, caller: Caller, member: str, signature: str, body: tuple[Any, ...]
) -> None:
    with unaffected(kdbd, caller):
        error = caller.error(member, signature, *filled(body, "v" * (MAX_VALUE_BYTES + 1)))
        assert error.name == "ValueTooLarge"


def test_bytes_over_16_mib(kdbd: DaemonProcess, caller: Caller) -> None:
    large, binary = b"v" * (MAX_VALUE_BYTES + 1), {"binary": ""}
    with unaffected(kdbd, caller):
        for metadata in ({}, binary):
            put: list[Any] = [("user:/a", large, metadata)]
            apply: tuple[Any, ...] = ("Apply", "a(saya{ss})asta{sv}", put, [], 0, {})
            assert caller.error("Set", "saya{ss}", "user:/a", large, metadata).name == (
                "ValueTooLarge"
            )
            assert caller.error(*apply).name == "ValueTooLarge"
        for value, metadata in (
            (large, binary),
            ("v" * len(large), {}),
            ("v", {"m": "v" * len(large)}),
        ):
            with memfd(pack_block([["user:/a", value, metadata, 0]])) as fd:
                for member in ("Set", "Diff"):
                    error = caller.handle_error(member, "sayah", "user:/", b"", [fd])
                    assert error.name == "ValueTooLarge"


def test_a_message_over_32_mib(tmp_path: Path) -> None:
    # As on a desktop's bus; a system bus cuts such a sender off.
    limits = "".join(
        f'  <limit name="{name}">1000000000</limit>\n'
        for name in ("max_message_size", "max_incoming_bytes", "max_outgoing_bytes")
    )
    with (
        PrivateBus(extra=limits) as bus,
        DaemonProcess(bus, tmp_path) as kdbd,
        Caller(bus.address) as caller,
        unaffected(kdbd, caller),
    ):
        error = caller.error("SetString", "ss", "user:/a", "v" * MAX_MESSAGE_BYTES)
        assert error.name == "LimitsExceeded"


# A malformed block


KEY = ["user:/c", "v", {}, 0]
MALFORMED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "InvalidBlock"),
    "no msgpack": (b"\xc1", "InvalidBlock"),
    "a map": (msgpack.packb({"user:/c": 1}), "InvalidBlock"),
    "a string": (msgpack.packb("user:/c"), "InvalidBlock"),
    "cut off": (pack_block([KEY])[:-1], "InvalidBlock"),
    "bytes behind it": (pack_block([KEY]) + b"\0", "InvalidBlock"),
    "two arrays": (pack_block([KEY]) * 2, "InvalidBlock"),
    "an array of more than it has": (b"\xdd\xff\xff\xff\xff", "InvalidBlock"),
    "a string longer than the block": (b"\x91\x94\xdb\xff\xff\xff\xff", "InvalidBlock"),
    "an entry that is no array": (pack_block([1]), "InvalidBlock"),  # type: ignore[list-item]
    "an entry that is a string": (pack_block(["abcd"]), "InvalidBlock"),
    "three fields": (pack_block([KEY[:3]]), "InvalidBlock"),
    "five fields": (pack_block([[*KEY, 1]]), "InvalidBlock"),
    "a name that is a number": (pack_block([[1, "v", {}, 0]]), "InvalidBlock"),
    "a name of bytes": (pack_block([[b"user:/c", "v", {}, 0]]), "InvalidBlock"),
    "a value that is a number": (pack_block([["user:/c", 1, {}, 0]]), "InvalidBlock"),
    "a value that is a list": (pack_block([["user:/c", [], {}, 0]]), "InvalidBlock"),
    "a value without metadata": (pack_block([["user:/c", "v", None, 0]]), "InvalidBlock"),
    "metadata without a value": (pack_block([["user:/c", None, {}, 0]]), "InvalidBlock"),
    "metadata that are a list": (pack_block([["user:/c", "v", ["m"], 0]]), "InvalidBlock"),
    "metadata of numbers": (pack_block([["user:/c", "v", {"m": 1}, 0]]), "InvalidBlock"),
    "metadata named by a number": (pack_block([["user:/c", "v", {1: "m"}, 0]]), "InvalidBlock"),
    "metadata named twice": (
        pack_block([["user:/c", "v", {"m": "", "meta:/m": ""}, 0]]),
        "InvalidName",
    ),
    "a negative revision": (pack_block([["user:/c", "v", {}, -1]]), "InvalidBlock"),
    "a revision that is a string": (pack_block([["user:/c", "v", {}, "1"]]), "InvalidBlock"),
    "a revision that is true": (pack_block([["user:/c", "v", {}, True]]), "InvalidBlock"),
    "a key twice": (pack_block([KEY, KEY]), "InvalidBlock"),
    "a key twice, spelt differently": (
        pack_block([KEY, ["user://c", "v", {}, 0]]),
        "InvalidBlock",
    ),
    "bytes without binary": (pack_block([["user:/c", b"v", {}, 0]]), "InvalidValue"),
    "a string with binary": (pack_block([["user:/c", "v", {"binary": ""}, 0]]), "InvalidValue"),
    "an extension type": (msgpack.packb([msgpack.ExtType(1, b"x")]), "InvalidBlock"),
    "nested deeply": (b"\x91" * 100_000, "InvalidBlock"),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_malformed_block(kdbd: DaemonProcess, caller: Caller, kind: str) -> None:
    block, error = MALFORMED[kind]
    with unaffected(kdbd, caller):
        for member in ("Set", "Diff"):
            assert caller.handle_error(member, "sayah", "user:/", block, []).name == error
            with memfd(block) as fd:
                assert caller.handle_error(member, "sayah", "user:/", b"", [fd]).name == error


def test_a_block_that_comes_twice_or_not_at_all(kdbd: DaemonProcess, caller: Caller) -> None:
    block = pack_block([KEY])
    with unaffected(kdbd, caller), memfd(block) as one, memfd(block) as other:
        for data, fds in ((block, [one]), (b"", []), (b"", [one, other]), (b"", [one, one])):
            for member in ("Set", "Diff"):
                error = caller.handle_error(member, "sayah", "user:/", data, fds)
                assert error.name == "InvalidBlock"


def test_a_large_malformed_block(kdbd: DaemonProcess, caller: Caller) -> None:
    # Above 64 KiB a block is unpacked in another thread.
    keys = [[f"user:/k{number}", "v" * 100, {}, 0] for number in range(5_000)]
    with unaffected(kdbd, caller):
        for wrong, error in (([1], "InvalidBlock"), (["user:/\\x", "", {}, 0], "InvalidName")):
            block = pack_block([*keys, wrong])
            for member in ("Set", "Diff"):
                assert caller.handle_error(member, "sayah", "user:/", block, []).name == error


# A malformed descriptor


class memfd:  # noqa: N801 - it reads as what it is
    """A memory file for the time of a block."""

    def __init__(self, data: bytes = b"", *, seals: int = SEALS, size: int | None = None) -> None:
        self.fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with open(self.fd, "wb", closefd=False) as file:
            file.write(data)
        if size is not None:
            os.truncate(self.fd, size)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)

    def __enter__(self) -> int:
        return self.fd

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def plain_file(directory: Path) -> int:
    path = directory / "block"
    path.write_bytes(pack_block([KEY]))
    return os.open(path, os.O_RDWR)


def fifo(directory: Path) -> int:
    # It holds a whole block, and a reader that reads on would wait for ever.
    os.mkfifo(directory / "fifo")
    fd = os.open(directory / "fifo", os.O_RDWR)
    os.write(fd, pack_block([KEY]))
    return fd


def pipe(_: Path) -> int:
    read_end, write_end = os.pipe()
    os.write(write_end, pack_block([KEY]))
    os.close(write_end)
    return read_end


def unix_socket(_: Path) -> int:
    one, other = socket.socketpair()
    other.detach()
    return one.detach()


def sealed(seals: int) -> Callable[[Path], int]:
    return lambda _: memfd(pack_block([KEY]), seals=seals).fd


DESCRIPTORS: dict[str, Callable[[Path], int]] = {
    "a plain file": plain_file,
    "a FIFO": fifo,
    "a pipe": pipe,
    "a socket": unix_socket,
    "an eventfd": lambda _: os.eventfd(1),
    "a directory": lambda directory: os.open(directory, os.O_RDONLY),
    "a device": lambda _: os.open("/dev/zero", os.O_RDONLY),
    "an O_PATH descriptor": lambda directory: os.open(directory, os.O_PATH),
    "an unsealed memfd": sealed(0),
    "a memfd that may be written": sealed(SEALS & ~fcntl.F_SEAL_WRITE),
    "a memfd that may grow": sealed(SEALS & ~fcntl.F_SEAL_GROW),
    "a memfd that may shrink": sealed(SEALS & ~fcntl.F_SEAL_SHRINK),
    "a memfd that may be written through a mapping": sealed(
        (SEALS & ~fcntl.F_SEAL_WRITE) | fcntl.F_SEAL_SEAL
    ),
    "a memfd over 64 MiB": lambda _: memfd(size=MAX_BLOCK_BYTES + 1).fd,
    "a memfd of 1 TiB": lambda _: memfd(size=1 << 40).fd,
}


@pytest.mark.parametrize("kind", DESCRIPTORS)
def test_a_malformed_descriptor(
    kdbd: DaemonProcess, caller: Caller, tmp_path: Path, kind: str
) -> None:
    fd = DESCRIPTORS[kind](tmp_path)
    try:
        with unaffected(kdbd, caller):
            for member in ("Set", "Diff"):
                error = caller.handle_error(member, "sayah", "user:/", b"", [fd])
                assert error.name == "InvalidFileDescriptor"
    finally:
        os.close(fd)


def test_descriptors_that_nobody_asked_for(kdbd: DaemonProcess, caller: Caller) -> None:
    with unaffected(kdbd, caller), memfd(pack_block([KEY])) as fd:
        fds = [fd] * 16  # dbus-daemon lets as many through
        assert caller.error("GetString", "ah", fds).name == INVALID_ARGS
        assert caller.handle_error("Close", "h", fd).name == INVALID_ARGS
        assert caller.handle_error("Set", "sayah", "user:/", b"", fds).name == "InvalidBlock"
        assert caller.handle_error("Set", "sayah", "system:/", b"", [fd]).name == "Interface"
        assert caller.error("Nothing", "ah", fds).name.endswith("UnknownMethod")
        assert caller.error("Get", "ah", fds, path=NOWHERE).name.endswith("UnknownObject")
        # Behind the last descriptor of the message
        message = caller.message(
            "Set", "sayau", "user:/", b"", [7], path=caller.handle, interface=HANDLE_INTERFACE
        )
        message.header.fields[HeaderFields.signature] = "sayah"
        with pytest.raises(Refused) as refused:
            caller.answer(message)
        assert refused.value.name == "InvalidFileDescriptor"


def test_descriptors_without_a_reply(kdbd: DaemonProcess, caller: Caller, tmp_path: Path) -> None:
    before = open_fds(kdbd.pid)
    with memfd() as fd:
        for _ in range(50):
            where: dict[str, Any] = {
                "path": caller.handle,
                "interface": HANDLE_INTERFACE,
                "reply": False,
            }
            caller.connection.send(caller.message("Set", "sayah", "user:/", b"", [fd], **where))
    caller.call("GetString", "s", "user:/a")  # messages are taken in their order
    assert open_fds(kdbd.pid) == before


# NUL and invalid UTF-8


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_the_blocking_library_refuses_what_no_string_may_hold(
    kdbd: DaemonProcess, caller: Caller, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
    with kdb.KDB() as db:
        for name, value in (("user:/a", text), (f"user:/{text}", "v")):
            with pytest.raises(kdb.KDBException, match="C01320"):
                db.set_string(name, value)
        with pytest.raises(kdb.KDBException, match="C01320"):
            db.get_string(f"user:/{text}")
        assert db.get_string("user:/a") == "1"  # the connection stays


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
async def test_the_library_for_asyncio_refuses_what_no_string_may_hold(
    kdbd: DaemonProcess, caller: Caller, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
    async with kdb.aio.KDB() as db:
        for name, value in (("user:/a", text), (f"user:/{text}", "v")):
            with pytest.raises(kdb.KDBException, match="C01320"):
                await db.set_string(name, value)
        assert await db.get_string("user:/a") == "1"  # the connection stays


@pytest.mark.parametrize("placed", [b"a\0b", b"a\xffb", b"\xed\xa0\x80", b"\xc0\x80b"])
def test_the_bus_cuts_off_who_sends_it_raw(
    kdbd: DaemonProcess, caller: Caller, placed: bytes
) -> None:
    with Caller(kdbd.bus.address) as raw:
        message = raw.message("SetString", "ss", "user:/a", "QQQ")
        data = message.serialise(serial=99).replace(b"QQQ", placed)
        with unaffected(kdbd, caller):
            raw.connection.sock.sendall(data)
            raw.connection.receive(timeout=20)  # NameAcquired
            with pytest.raises((ConnectionError, EOFError)):
                raw.connection.receive(timeout=20)
    assert caller.call("GetString", "s", "user:/a") == ("1",)


@pytest.mark.parametrize("value", [b"a\0b", b"\xff", b"\xed\xa0\x80", b"\xc0\x80"])
def test_nul_and_invalid_utf8_within_bytes(
    kdbd: DaemonProcess, caller: Caller, value: bytes
) -> None:
    put: list[Any] = [("user:/a", value, {})]
    with unaffected(kdbd, caller):
        assert caller.error("Set", "saya{ss}", "user:/a", value, {}).name == "InvalidValue"
        assert caller.error("Apply", "a(saya{ss})asta{sv}", put, [], 0, {}).name == "InvalidValue"


@pytest.mark.parametrize("text", [b"a\0b", b"\xff", b"\xed\xa0\x80", b"\xc0\x80"])
def test_nul_and_invalid_utf8_within_a_block(
    kdbd: DaemonProcess, caller: Caller, text: bytes
) -> None:
    def block(name: bytes, value: bytes, meta: bytes, datum: bytes) -> bytes:
        def raw(text: bytes) -> bytes:
            return b"\xd9" + bytes((len(text),)) + text

        entry = b"\x94" + raw(name) + raw(value) + b"\x81" + raw(meta) + raw(datum) + b"\0"
        return b"\x91" + entry

    blocks = [
        (block(b"user:/" + text, b"v", b"m", b"d"), {"InvalidName"}),
        (block(b"user:/a", text, b"m", b"d"), {"InvalidValue"}),
        (block(b"user:/a", b"v", text, b"d"), {"InvalidName"}),
        (block(b"user:/a", b"v", b"m", text), {"InvalidValue"}),
        (
            b"\x91\x94\xd9" + bytes((6 + len(text),)) + b"user:/" + text + b"\xc0\xc0\0",
            {"InvalidName"},
        ),
    ]
    with unaffected(kdbd, caller):
        for data, names in blocks:
            for member in ("Set", "Diff"):
                assert caller.handle_error(member, "sayah", "user:/", data, []).name in names


# A set without a get, a conflict


def noted(parent: kdb.Key, name: str) -> str:
    found = parent.getMeta(name)
    assert isinstance(found, kdb.Key)
    return str(found.value)


def test_a_set_without_a_get_names_both_parents(
    kdbd: DaemonProcess, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
    block = pack_block([["system:/x", "v", {}, 0]])
    with unaffected(kdbd, caller):
        for parent in ("system:/", "/", "spec:/x"):  # the handle got user:/
            for member in ("Set", "Diff"):
                error = caller.handle_error(member, "sayah", parent, block, [])
                assert error.name == "Interface"
                assert f"set of {parent} " in error.text
                assert "this handle got user:/" in error.text
    with kdb.KDB() as db, unaffected(kdbd, caller):
        parent_key, keys = kdb.Key("user:/n"), kdb.KeySet()
        for got in ("nothing", "system:/"):
            with pytest.raises(kdb.KDBException) as raised:
                db.set(keys, parent_key)
            assert "C01320" in str(raised.value)
            assert "user:/n" in str(raised.value)
            assert f"this handle got {got}" in str(raised.value)
            assert noted(parent_key, "error/number") == "C01320"
            db.get(keys, "system:/")


def test_a_conflict_names_each_key_with_base_ours_and_theirs(
    kdbd: DaemonProcess, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
    with kdb.KDB() as db:
        keys, parent = kdb.KeySet(), kdb.Key("user:/")
        db.get(keys, parent)
        base = {name: revision for name, _, _, revision in caller.state()[1]}
        caller.call("SetString", "ss", "user:/a", "theirs")
        caller.call("Remove", "sb", "user:/b", False)
        caller.call("SetString", "ss", "user:/c", "theirs too")
        keys["user:/a"].value = "ours"
        keys["user:/b"].value = "ours"
        keys.append(kdb.Key("user:/c", "ours"))
        keys.append(kdb.Key("user:/d", "not applied either"))
        with unaffected(kdbd, caller):
            with pytest.raises(kdb.KDBException) as raised:
                db.set(keys, parent)
            with pytest.raises(kdb.KDBException, match="C02000"):
                db.set(kdb.KeySet(), parent)  # get comes first
    text = str(raised.value)
    assert "C02000" in text
    assert [line for line in text.splitlines() if ": base " in line] == [
        f"user:/a: base {base['user:/a']}, ours 'ours', theirs 'theirs'",
        f"user:/b: base {base['user:/b']}, ours 'ours', theirs removed",
        "user:/c: base 0, ours 'ours', theirs 'theirs too'",
    ]
    assert noted(parent, "error/number") == "C02000"
    assert noted(parent, "error/reason") in text


def test_a_conflict_of_apply(kdbd: DaemonProcess, caller: Caller) -> None:
    (seen,) = caller.call("SetString", "ss", "user:/a", "seen")
    caller.call("SetString", "ss", "user:/b", "not seen")
    put: list[Any] = [("user:/a", b"ours", {}), ("user:/new", b"", {})]
    with unaffected(kdbd, caller):
        error = caller.error("Apply", "a(saya{ss})asta{sv}", put, ["user:/b"], seen, {})
    assert error.name == "ConflictingState"
    assert error.text.splitlines()[1:] == [f"user:/b: base {seen}, ours removed, theirs 'not seen'"]


# Writes where nothing is stored


@pytest.mark.parametrize("name", ["proc:/x", "default:/x", "meta:/x", "/x"])
@pytest.mark.parametrize("on_handle", [False, True])
def test_a_one_key_write_where_nothing_is_stored(
    kdbd: DaemonProcess, caller: Caller, name: str, on_handle: bool
) -> None:
    where = {"path": caller.handle} if on_handle else {}
    writes: list[tuple[Any, ...]] = [
        ("SetString", "ss", name, "v"),
        ("Set", "saya{ss}", name, b"v", {}),
        ("SetMeta", "sss", name, "m", "v"),
        ("RemoveMeta", "ss", name, "m"),
        ("Apply", "a(saya{ss})asta{sv}", [(name, b"v", {})], [], 0, {}),
        ("Apply", "a(saya{ss})asta{sv}", [], [name], 0, {}),
    ]
    with unaffected(kdbd, caller):
        for write in writes:
            assert caller.error(*write, **where).name == "Interface"
        for recursive in (False, True):
            error = caller.error("Remove", "sb", name, recursive, **where)
            # A look-up that finds nothing has nothing to remove; C01320 too.
            assert error.name == ("KeyNotFound" if name == "/x" else "Interface")


def test_a_cascading_write_that_finds_only_a_default(kdbd: DaemonProcess, caller: Caller) -> None:
    caller.call("SetMeta", "sss", "spec:/x", "default", "7")
    with unaffected(kdbd, caller):
        assert caller.call("GetString", "s", "/x") == ("7",)
        assert caller.error("SetString", "ss", "/x", "v").name == "Interface"


@pytest.mark.parametrize("name", ["/x", "meta:/x"])
def test_a_set_with_keys_of_no_namespace(kdbd: DaemonProcess, caller: Caller, name: str) -> None:
    block = pack_block([["user:/c", "v", {}, 0], [name, "v", {}, 0]])
    with unaffected(kdbd, caller):
        assert caller.handle_error("Set", "sayah", "user:/", block, []).name == "Interface"


def test_dir_is_for_handles_with_a_directory(kdbd: DaemonProcess, caller: Caller) -> None:
    with unaffected(kdbd, caller):
        for where in ({}, {"path": caller.handle}):
            assert caller.error("SetString", "ss", "dir:/x", "v", **where).name == "Interface"
            assert caller.error("GetAll", "ssu", "dir:/", "", 0, **where).name == "Interface"
        assert caller.error("Open", "a{sv}", {"directory": ("s", "relative")}).name == "Interface"
        assert caller.error("Open", "a{sv}", {"directory": ("u", 1)}).name == "Interface"
        assert caller.error("Open", "a{sv}", {"unknown": ("s", "")}).name == "Interface"
        nowhere = {"directory": ("s", NOWHERE)}
        assert caller.error("Open", "a{sv}", nowhere).name == "AccessDenied"


def test_what_is_not_there(kdbd: DaemonProcess, caller: Caller) -> None:
    with unaffected(kdbd, caller):
        for member in ("GetString", "Get"):
            error = caller.error(member, "s", "user:/none")
            assert (error.name, error.text) == ("KeyNotFound", "Did not find key 'user:/none'")
        for write in (
            ("Remove", "sb", "user:/none", False),
            ("Remove", "sb", "user:/none", True),
            ("RemoveMeta", "ss", "user:/none", "m"),
            ("RemoveMeta", "ss", "user:/a", "m"),
            ("Unmount", "s", "user:/none"),
        ):
            assert caller.error(*write).name == "KeyNotFound"


# How kdbd uses what it does not know


def test_options_that_nobody_knows(kdbd: DaemonProcess, caller: Caller) -> None:
    with unaffected(kdbd, caller):
        for option in ({"reason": ("u", 1)}, {"other": ("s", "x")}):
            error = caller.error("Apply", "a(saya{ss})asta{sv}", [], [], 0, option)
            assert error.name == "Interface"
        for options in ({"other": "x"}, {"announce": "twice"}, {"storage": "toml"}):
            error = caller.error("Mount", "ssa{ss}", "user:/m", "m.ecf", options)
            assert error.name == "Interface"
        for path in ("", "../m.ecf", "a/../../m.ecf"):
            assert caller.error("Mount", "ssa{ss}", "user:/m", path, {}).name == "Interface"
        for mountpoint in ("proc:/m", "default:/m", "meta:/m", "system:/elektra/m"):
            error = caller.error("Mount", "ssa{ss}", mountpoint, "m.ecf", {})
            assert error.name == "Semantic"
