"""Right for every client: busctl, gdbus, and the proxies that libraries generate."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from blocks import pack_block
from caller import Caller
from daemon_process import DaemonProcess

import kdbd
from kdb.wire import (
    BUS_NAME,
    HANDLE_INTERFACE,
    INTERFACE,
    OBJECT_PATH,
    SIGNAL_INTERFACE,
    SIGNAL_PATH,
)
from kdbd.bus.interfaces import methods

pytestmark = pytest.mark.needs("dbus-daemon", "busctl", "gdbus")

APPLY = "a(saya{ss})asta{sv}"
PROPERTIES = "org.freedesktop.DBus.Properties"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PEER = "org.freedesktop.DBus.Peer"
STANDARD = {INTROSPECTABLE, PEER, PROPERTIES}

# The methods of the architecture's table: arguments in, arguments out.
SIGNATURES = {
    "Apply": (APPLY, "t"),
    "Changes": ("tsu", "a(tss)bt"),
    "File": ("s", "s"),
    "Get": ("s", "saya{ss}t"),
    "GetAll": ("ssu", "a(saya{ss}t)bt"),
    "GetString": ("s", "s"),
    "List": ("ssu", "asb"),
    "ListMounts": ("", "a(ssa{ss})"),
    "Mount": ("ssa{ss}", "t"),
    "Open": ("a{sv}", "o"),
    "Remove": ("sb", "ut"),
    "RemoveMeta": ("ss", "t"),
    "Set": ("saya{ss}", "t"),
    "SetMeta": ("sss", "t"),
    "SetString": ("ss", "t"),
    "Sync": ("", ""),
    "Unmount": ("s", "t"),
}
HANDLE_SIGNATURES = {
    "Close": ("", ""),
    "Diff": ("sayah", "ayah"),
    "Get": ("st", "bayaht"),
    "Set": ("sayah", "tay"),
}


@pytest.fixture
def caller(kdbd: DaemonProcess) -> Iterator[Caller]:
    """Connect a client, on a store with two keys."""
    with Caller(kdbd.bus.address) as connected:
        connected.call("SetString", "ss", "user:/a", "1")
        connected.call("Set", "saya{ss}", "user:/b", b"2", {"m": "x", "type": "long"})
        yield connected


# Introspection


def introspect(caller: Caller, path: str) -> ET.Element:
    (text,) = caller.call("Introspect", path=path, interface=INTROSPECTABLE)
    return ET.fromstring(text)


def shape(node: ET.Element) -> tuple[set[str], list[str]]:
    """Answer a node's interfaces and its children."""
    return (
        {each.attrib["name"] for each in node.findall("interface")},
        [each.attrib["name"] for each in node.findall("node")],
    )


def test_every_object_tells_its_interfaces_and_children(caller: Caller) -> None:
    first, second = caller.open().handle, caller.open().handle
    numbers = [path.rpartition("/")[2] for path in (first, second)]
    handle = {INTERFACE, HANDLE_INTERFACE, *STANDARD}
    expected: dict[str, tuple[set[str], list[str]]] = {
        "/": (STANDARD, ["org"]),
        "/org": (STANDARD, ["libelektra"]),
        "/org/libelektra": (STANDARD, ["KDB1", "configuration"]),
        SIGNAL_PATH: ({SIGNAL_INTERFACE, *STANDARD}, []),
        OBJECT_PATH: ({INTERFACE, *STANDARD}, ["handle"]),
        f"{OBJECT_PATH}/handle": (STANDARD, numbers),
        first: (handle, []),
        second: (handle, []),
    }
    assert {path: shape(introspect(caller, path)) for path in expected} == expected


def test_introspection_has_the_architectures_signatures(caller: Caller) -> None:
    node = introspect(caller, caller.open().handle)
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for interface in node.findall("interface"):
        table = found.setdefault(interface.attrib["name"], {})
        for method in interface.findall("method"):
            sides = {"in": "", "out": ""}
            for argument in method.findall("arg"):
                assert argument.attrib["name"]
                sides[argument.attrib["direction"]] += argument.attrib["type"]
            table[method.attrib["name"]] = (sides["in"], sides["out"])
    assert found[INTERFACE] == SIGNATURES
    assert found[HANDLE_INTERFACE] == HANDLE_SIGNATURES
    (interface,) = [each for each in node if each.get("name") == INTERFACE]
    properties = {each.attrib["name"]: dict(each.attrib) for each in interface.findall("property")}
    assert properties == {
        "Version": {"name": "Version", "type": "s", "access": "read"},
        "Revision": {"name": "Revision", "type": "t", "access": "read"},
    }
    annotations = {
        each.attrib["name"]: [dict(note.attrib) for note in each.findall("annotation")]
        for each in interface.findall("property")
    }
    emits = f"{PROPERTIES.rpartition('.')[0]}.Property.EmitsChangedSignal"
    assert annotations == {
        "Version": [{"name": emits, "value": "const"}],
        "Revision": [{"name": emits, "value": "invalidates"}],
    }


def test_the_signals_are_introspected(caller: Caller) -> None:
    found = {}
    for path, interface in ((OBJECT_PATH, INTERFACE), (SIGNAL_PATH, SIGNAL_INTERFACE)):
        (element,) = [each for each in introspect(caller, path) if each.get("name") == interface]
        for signal in element.findall("signal"):
            types = [argument.attrib["type"] for argument in signal.findall("arg")]
            found[signal.attrib["name"]] = "".join(types)
    assert found == {
        "Committed": "tasasasb",
        "KeyAdded": "s",
        "KeyChanged": "s",
        "KeyDeleted": "s",
        "Commit": "s",
    }


# busctl


def busctl(kdbd: DaemonProcess, *arguments: str, check: bool = True) -> Any:
    return kdbd.run("busctl", f"--address={kdbd.bus.address}", *arguments, check=check)


def members(text: str) -> dict[str, list[str]]:
    """Read busctl's table: member → type, signature, result or value."""
    lines = [line.split() for line in text.splitlines()[1:]]
    return {line[0]: line[1:4] for line in lines if line}


@pytest.mark.parametrize("path", [OBJECT_PATH, SIGNAL_PATH])
def test_busctl_introspects(kdbd: DaemonProcess, caller: Caller, path: str) -> None:
    result = busctl(kdbd, "introspect", BUS_NAME, path)
    assert result.stderr == ""
    found = members(result.stdout)
    if path == OBJECT_PATH:
        for name, (takes, answers) in SIGNATURES.items():
            assert found[f".{name}"] == ["method", takes or "-", answers or "-"]
        assert found[".Revision"] == ["property", "t", "2"]
        assert found[".Version"][:2] == ["property", "s"]
        assert found[".Committed"][:2] == ["signal", "tasasasb"]
    else:
        for name in ("KeyAdded", "KeyChanged", "KeyDeleted", "Commit"):
            assert found[f".{name}"][:2] == ["signal", "s"]


def test_busctl_shows_the_tree(kdbd: DaemonProcess, caller: Caller) -> None:
    result = busctl(kdbd, "tree", "--list", BUS_NAME)
    assert result.stderr == ""
    assert result.stdout.split() == [
        "/",
        "/org",
        "/org/libelektra",
        OBJECT_PATH,
        f"{OBJECT_PATH}/handle",
        SIGNAL_PATH,
    ]


def test_busctl_calls_every_method_and_reads_every_property(
    kdbd: DaemonProcess, caller: Caller
) -> None:
    (kdbd.user / "m.ecf").write_text("kdbOpen 2\n$key string 1 1\nx\n1\n$end\n")
    target = (BUS_NAME, OBJECT_PATH, INTERFACE)
    calls: list[tuple[str, list[str], str, list[Any]]] = [
        ("GetString", ["user:/a"], "s", ["1"]),
        ("GetString", ["/a"], "s", ["1"]),
        ("Get", ["user:/b"], "saya{ss}t", ["user:/b", [50], {"m": "x", "type": "long"}, 2]),
        ("GetAll", ["user:/", "", "1"], "a(saya{ss}t)bt", [[["user:/a", [49], {}, 1]], True, 2]),
        ("List", ["user:/", "", "0"], "asb", [["user:/a", "user:/b"], False]),
        ("File", ["user:/a"], "s", [str(kdbd.user / "default.ecf")]),
        ("SetString", ["user:/c", "3"], "t", [3]),
        ("Set", ["user:/d", "2", "0", "255", "1", "binary", ""], "t", [4]),
        ("SetMeta", ["user:/c", "m", "1"], "t", [5]),
        ("RemoveMeta", ["user:/c", "m"], "t", [6]),
        ("Remove", ["user:/d", "false"], "ut", [1, 7]),
        (
            "Apply",
            ["1", "user:/e", "1", "53", "0", "1", "user:/c", "0", "1", "reason", "s", "why"],
            "t",
            [8],
        ),
        (
            "Changes",
            ["6", "user:/", "0"],
            "a(tss)bt",
            [
                [[7, "removed", "user:/d"], [8, "added", "user:/e"], [8, "removed", "user:/c"]],
                False,
                8,
            ],
        ),
        ("Mount", ["user:/m", "m.ecf", "0"], "t", [9]),
        ("ListMounts", [], "a(ssa{ss})", [[["user:/m", "m.ecf", {}]]]),
        ("Unmount", ["user:/m"], "t", [10]),
        ("Sync", [], "", []),
        ("Open", ["0"], "o", [f"{OBJECT_PATH}/handle/1"]),
    ]
    assert {member for member, *_ in calls} == set(SIGNATURES)
    for member, arguments, signature, expected in calls:
        takes = SIGNATURES[member][0]
        words = [member, *([takes] if takes else []), *arguments]
        result = busctl(kdbd, "--json=short", "call", *target, *words)
        answer = json.loads(result.stdout) if result.stdout else {"type": "", "data": []}
        assert (answer["type"], answer["data"]) == (signature, expected), member
    version, revision = f's "{kdbd_version()}"\n', "t 10\n"
    assert busctl(kdbd, "get-property", *target, "Version", "Revision").stdout == version + revision
    result = busctl(kdbd, "set-property", *target, "Revision", "t", "1", check=False)
    assert result.returncode == 1
    assert "read-only" in result.stderr
    handle = busctl(
        kdbd,
        "--json=short",
        "call",
        *target,
        "Open",
        "a{sv}",
        "1",
        "directory",
        "s",
        str(kdbd.work),
    )
    assert json.loads(handle.stdout)["data"] == [f"{OBJECT_PATH}/handle/2"]


def kdbd_version() -> str:
    return kdbd.__version__


# gdbus


def gdbus(kdbd: DaemonProcess, *arguments: str, check: bool = True) -> Any:
    command, *rest = arguments
    target = [f"--address={kdbd.bus.address}", f"--dest={BUS_NAME}"]
    return kdbd.run("gdbus", command, *target, *rest, check=check)


@pytest.mark.parametrize("path", ["/", OBJECT_PATH, SIGNAL_PATH])
def test_gdbus_introspects(kdbd: DaemonProcess, caller: Caller, path: str) -> None:
    result = gdbus(kdbd, "introspect", f"--object-path={path}")
    assert result.stderr == ""
    flat = " ".join(result.stdout.split())
    for interface in STANDARD:
        assert f"interface {interface} {{" in flat
    if path == OBJECT_PATH:
        assert "GetString(in s name, out s value);" in flat
        assert "readonly t Revision = 2;" in flat
        assert "node handle { };" in flat
        # The comments of the XML are for the readers of the file
        assert "GetString" in gdbus(kdbd, "introspect", f"--object-path={path}", "--xml").stdout
    recursive = gdbus(kdbd, "introspect", f"--object-path={path}", "--recurse")
    assert recursive.stderr == ""


def test_gdbus_calls_every_method(kdbd: DaemonProcess, caller: Caller) -> None:
    (kdbd.user / "m.ecf").write_text("kdbOpen 2\n$key string 1 1\nx\n1\n$end\n")
    calls: list[tuple[str, list[str], str]] = [
        ("GetString", ["user:/a"], "('1',)"),
        ("Get", ["user:/b"], "('user:/b', [byte 0x32], {'m': 'x', 'type': 'long'}, uint64 2)"),
        (
            "GetAll",
            ["user:/", "", "0"],
            (
                "([('user:/a', [byte 0x31], @a{ss} {}, uint64 1), "
                "('user:/b', [0x32], {'m': 'x', 'type': 'long'}, 2)], false, uint64 2)"
            ),
        ),
        ("List", ["user:/", "user:/a", "0"], "(['user:/b'], false)"),
        ("File", ["user:/a"], f"('{kdbd.user / 'default.ecf'}',)"),
        ("SetString", ["user:/c", "3"], "(uint64 3,)"),
        ("Set", ["user:/d", "[0x34]", "{'m': 'n'}"], "(uint64 4,)"),
        ("SetMeta", ["user:/c", "m", "1"], "(uint64 5,)"),
        ("RemoveMeta", ["user:/c", "m"], "(uint64 6,)"),
        ("Remove", ["user:/d", "false"], "(uint32 1, uint64 7)"),
        (
            "Apply",
            ["[('user:/e', [0x35], {})]", "['user:/c']", "0", "{'reason': <'why'>}"],
            "(uint64 8,)",
        ),
        (
            "Changes",
            ["7", "user:/", "0"],
            "([(uint64 8, 'added', 'user:/e'), (8, 'removed', 'user:/c')], false, uint64 8)",
        ),
        ("Mount", ["user:/m", "m.ecf", "{}"], "(uint64 9,)"),
        ("ListMounts", [], "([('user:/m', 'm.ecf', @a{ss} {})],)"),
        ("Unmount", ["user:/m"], "(uint64 10,)"),
        ("Sync", [], "()"),
        ("Open", ["{}"], f"(objectpath '{OBJECT_PATH}/handle/1',)"),
    ]
    assert {member for member, *_ in calls} == set(SIGNATURES)
    for member, arguments, expected in calls:
        method = f"--method={INTERFACE}.{member}"
        result = gdbus(kdbd, "call", f"--object-path={OBJECT_PATH}", method, *arguments)
        assert result.stdout.strip() == expected, member
    result = gdbus(
        kdbd, "call", f"--object-path={OBJECT_PATH}", f"--method={PROPERTIES}.GetAll", INTERFACE
    )
    assert result.stdout == f"({{'Version': <'{kdbd_version()}'>, 'Revision': <uint64 10>}},)\n"


def test_gdbus_tells_the_errors_name(kdbd: DaemonProcess, caller: Caller) -> None:
    method = f"--method={INTERFACE}.GetString"
    result = gdbus(kdbd, "call", f"--object-path={OBJECT_PATH}", method, "user:/none", check=False)
    assert result.returncode == 1
    assert "GDBus.Error:org.libelektra.KDB1.Error.KeyNotFound: Did not find key" in result.stderr


# The proxies of dbus-next and dbus-fast


@pytest.fixture(params=["dbus_next", "dbus_fast"])
def library(request: pytest.FixtureRequest) -> Any:
    """Give a library's name; both generate proxies of kdbd, whichever it runs on itself."""
    return request.param


async def test_generated_proxies_call_every_method(
    kdbd: DaemonProcess, caller: Caller, library: str
) -> None:
    (kdbd.user / "m.ecf").write_text("kdbOpen 2\n$key string 1 1\nx\n1\n$end\n")
    variant = importlib.import_module(library).Variant
    bus = importlib.import_module(f"{library}.aio").MessageBus(
        bus_address=kdbd.bus.address, negotiate_unix_fd=True
    )
    await bus.connect()
    try:
        node = await bus.introspect(BUS_NAME, OBJECT_PATH)
        proxy = bus.get_proxy_object(BUS_NAME, OBJECT_PATH, node)
        db = proxy.get_interface(INTERFACE)
        committed: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

        def note(revision: int, added: Any, changed: Any, removed: Any, complete: bool) -> None:
            committed.put_nowait((revision, added, changed, removed, complete))

        db.on_committed(note)
        properties = proxy.get_interface(PROPERTIES)
        # Its match rule is sent behind; a call that is answered afterwards was sent behind that.
        assert await db.get_version() == kdbd_version()
        assert await db.get_revision() == 2

        assert await db.call_get_string("user:/a") == "1"
        found = await db.call_get("user:/b")
        assert found == ["user:/b", b"2", {"m": "x", "type": "long"}, 2]
        keys, more, revision = await db.call_get_all("user:/", "", 0)
        assert [list(key) for key in keys] == [["user:/a", b"1", {}, 1], found]
        assert (more, revision) == (False, 2)
        assert await db.call_list("user:/", "", 0) == [["user:/a", "user:/b"], False]
        assert await db.call_set_string("user:/c", "3") == 3
        assert await committed.get() == (3, ["user:/c"], [], [], True)
        assert await db.call_set("user:/d", b"4", {}) == 4
        assert await db.call_set_meta("user:/c", "m", "1") == 5
        assert await db.call_remove_meta("user:/c", "m") == 6
        assert await db.call_remove("user:/d", False) == [1, 7]
        reason = {"reason": variant("s", "why")}
        assert await db.call_apply([["user:/e", b"5", {}]], ["user:/c"], 0, reason) == 8
        changes, more, revision = await db.call_changes(7, "user:/", 0)
        assert [list(each) for each in changes] == [
            [8, "added", "user:/e"],
            [8, "removed", "user:/c"],
        ]
        assert await db.call_mount("user:/m", "m.ecf", {}) == 9
        assert [list(each) for each in await db.call_list_mounts()] == [["user:/m", "m.ecf", {}]]
        assert await db.call_unmount("user:/m") == 10
        assert await db.call_sync() is None
        assert (await properties.call_get(INTERFACE, "Revision")).value == 10

        path = await db.call_open({"directory": variant("s", str(kdbd.work))})
        node = await bus.introspect(BUS_NAME, path)
        handle = bus.get_proxy_object(BUS_NAME, path, node).get_interface(HANDLE_INTERFACE)
        changed, data, fds, revision = await handle.call_get("user:/", 0)
        assert (changed, bool(data), fds, revision) == (True, True, [], 10)
        block = pack_block([["user:/p", "v", {}, 0]])
        difference, fds = await handle.call_diff("user:/", block, [])
        assert (difference, fds) == (pack_block([["user:/p", None, ["v", {}]]]), [])
        assert await handle.call_set("user:/", block, []) == [11, b""]
        one_key = bus.get_proxy_object(BUS_NAME, path, node).get_interface(INTERFACE)
        assert await one_key.call_set_string("dir:/x", "1") == 12
        assert await handle.call_close() is None

        error = importlib.import_module(library).DBusError
        with pytest.raises(error) as raised:
            await db.call_get_string("user:/none")
        assert raised.value.type == "org.libelektra.KDB1.Error.KeyNotFound"
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()
        bus._sock.close()  # neither library closes it


async def test_generated_proxies_get_the_key_signals(
    kdbd: DaemonProcess, caller: Caller, library: str
) -> None:
    bus = importlib.import_module(f"{library}.aio").MessageBus(bus_address=kdbd.bus.address)
    await bus.connect()
    try:
        node = await bus.introspect(BUS_NAME, SIGNAL_PATH)
        proxy = bus.get_proxy_object(BUS_NAME, SIGNAL_PATH, node)
        signals = proxy.get_interface(SIGNAL_INTERFACE)
        found: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        signals.on_key_added(lambda name: found.put_nowait(("added", name)))
        signals.on_key_changed(lambda name: found.put_nowait(("changed", name)))
        signals.on_key_deleted(lambda name: found.put_nowait(("deleted", name)))
        await proxy.get_interface(PEER).call_ping()
        await asyncio.to_thread(caller.call, "SetString", "ss", "user:/a", "2")
        put: list[Any] = [("user:/z", b"1", {})]
        await asyncio.to_thread(caller.call, "Apply", APPLY, put, ["user:/b"], 0, {})
        assert [await asyncio.wait_for(found.get(), 20) for _ in range(3)] == [
            ("changed", "user:/a"),
            ("added", "user:/z"),
            ("deleted", "user:/b"),
        ]
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()
        bus._sock.close()


# What is not there


@pytest.mark.parametrize(
    "path",
    [
        "/x",
        "/org/libelektra/KDB2",
        f"{OBJECT_PATH}/x",
        f"{OBJECT_PATH}/handle/7",
        f"{OBJECT_PATH}/handle/x",
        f"{OBJECT_PATH}/handle/1/2",
        f"{SIGNAL_PATH}/x",
        f"{OBJECT_PATH}/handle/00001",
        f"{OBJECT_PATH}/handle/99999999999999999999",
    ],
)
def test_an_unknown_object(caller: Caller, path: str) -> None:
    caller.open()
    for interface, member in ((INTERFACE, "Sync"), (INTROSPECTABLE, "Introspect"), (None, "Ping")):
        error = caller.error(member, path=path, interface=interface)
        assert error.name == "org.freedesktop.DBus.Error.UnknownObject"


@pytest.mark.parametrize("path", [OBJECT_PATH, SIGNAL_PATH, "/", "/org"])
def test_an_unknown_interface(caller: Caller, path: str) -> None:
    for interface in ("no.such", HANDLE_INTERFACE):
        error = caller.error("Get", "st", "user:/", 0, path=path, interface=interface)
        assert error.name == "org.freedesktop.DBus.Error.UnknownInterface"
        assert interface in error.text


def test_an_unknown_method(caller: Caller) -> None:
    caller.open()
    for path, interface in (
        (OBJECT_PATH, INTERFACE),
        (OBJECT_PATH, None),
        (caller.handle, HANDLE_INTERFACE),
        (caller.handle, None),
        (SIGNAL_PATH, SIGNAL_INTERFACE),
        (SIGNAL_PATH, None),
        ("/", None),
        ("/", PEER),
    ):
        for member in ("Nothing", "KeyAdded", "getstring"):
            error = caller.error(member, path=path, interface=interface)
            assert error.name == "org.freedesktop.DBus.Error.UnknownMethod"
            assert member in error.text


def test_an_unknown_property(caller: Caller) -> None:
    for interface, name in ((INTERFACE, "Nothing"), ("no.such", "Version"), (PEER, "Version")):
        error = caller.error("Get", "ss", interface, name, interface=PROPERTIES)
        assert error.name.rpartition(".")[2] in ("UnknownProperty", "UnknownInterface")
        assert name in error.text
        error = caller.error("Set", "ssv", interface, name, ("s", "x"), interface=PROPERTIES)
        assert error.name.rpartition(".")[2] in ("UnknownProperty", "UnknownInterface")
    error = caller.error("Set", "ssv", INTERFACE, "Version", ("s", "x"), interface=PROPERTIES)
    assert error.name == "org.freedesktop.DBus.Error.PropertyReadOnly"
    (found,) = caller.call("GetAll", "s", INTERFACE, interface=PROPERTIES)
    assert found == {"Version": ("s", kdbd_version()), "Revision": ("t", 2)}
    for path in ("/", SIGNAL_PATH):
        assert caller.call("GetAll", "s", INTERFACE, path=path, interface=PROPERTIES) == ({},)


def test_a_method_without_an_interface_is_found(caller: Caller) -> None:
    assert caller.call("GetString", "s", "user:/a", interface=None) == ("1",)
    assert caller.call("Ping", interface=None) == ()
    caller.open()
    # Both interfaces of a handle have Get and Set: its own come first
    (changed, *_) = caller.call("Get", "st", "user:/", 0, path=caller.handle, interface=None)
    assert changed is True
    assert caller.call("GetString", "s", "user:/a", path=caller.handle, interface=None) == ("1",)


def test_peer(caller: Caller) -> None:
    for path in ("/", OBJECT_PATH, SIGNAL_PATH):
        assert caller.call("Ping", path=path, interface=PEER) == ()
        (machine,) = caller.call("GetMachineId", path=path, interface=PEER)
        assert len(machine) == 32


def test_a_call_that_wants_no_reply_gets_none(caller: Caller) -> None:
    for message in (
        caller.message("GetString", "s", "user:/none", reply=False),
        caller.message("Nothing", reply=False),
        caller.message("SetString", "ss", "user:/a", "quiet", reply=False),
        caller.message("Ping", path="/none", interface=PEER, reply=False),
    ):
        caller.connection.send(message)
    serial = next(caller.connection.outgoing_serial)
    caller.connection.send(caller.message("Sync"), serial=serial)
    reply = caller.connection.receive(timeout=20)
    while reply.header.serial == 0 or "reply_serial" not in {k.name for k in reply.header.fields}:
        reply = caller.connection.receive(timeout=20)
    assert {key.name: value for key, value in reply.header.fields.items()}["reply_serial"] == serial
    assert caller.call("GetString", "s", "user:/a") == ("quiet",)


# Handles


def test_handles_are_private_to_their_owner(kdbd: DaemonProcess, caller: Caller) -> None:
    caller.open().get("user:/")
    with Caller(kdbd.bus.address) as other:
        other.open()
        block = pack_block([["user:/stolen", "v", {}, 0]])
        bodies: dict[str, tuple[Any, ...]] = {
            "Close": (),
            "Diff": ("user:/", block, []),
            "Get": ("user:/", 0),
            "Set": ("user:/", block, []),
        }
        for member, (takes, _) in HANDLE_SIGNATURES.items():
            error = other.error(
                member, takes, *bodies[member], path=caller.handle, interface=HANDLE_INTERFACE
            )
            assert error.name == "org.freedesktop.DBus.Error.UnknownObject"
        for member, interface in (("Introspect", INTROSPECTABLE), ("Sync", INTERFACE)):
            error = other.error(member, path=caller.handle, interface=interface)
            assert error.name == "org.freedesktop.DBus.Error.UnknownObject"
        mine, others = (each.handle.rpartition("/")[2] for each in (caller, other))
        handles = f"{OBJECT_PATH}/handle"
        assert shape(introspect(caller, handles))[1] == [mine]
        assert shape(introspect(other, handles))[1] == [others]
    assert caller.get("user:/") == {"user:/a": "1", "user:/b": "2"}
    caller.on_handle("Close")
    assert caller.handle_error("Close").name == "org.freedesktop.DBus.Error.UnknownObject"
    assert shape(introspect(caller, handles))[1] == []


def test_a_handle_has_the_one_key_methods_too(kdbd: DaemonProcess, caller: Caller) -> None:
    caller.open(kdbd.work)
    where = {"path": caller.handle}
    caller.call("SetString", "ss", "dir:/a", "near", **where)
    assert caller.call("GetString", "s", "/a", **where) == ("near",)
    assert caller.call("GetString", "s", "/a") == ("1",)
    caller.call("SetMeta", "sss", "dir:/a", "m", "1", **where)
    caller.call("RemoveMeta", "ss", "dir:/a", "m", **where)
    caller.call("Set", "saya{ss}", "dir:/b", b"x", {}, **where)
    keys, _, _ = caller.call("GetAll", "ssu", "/", "", 0, **where)
    assert [name for name, *_ in keys] == ["dir:/a", "dir:/b", "user:/a", "user:/b"]
    assert caller.call("List", "ssu", "dir:/", "", 0, **where) == (["dir:/a", "dir:/b"], False)
    assert caller.call("Remove", "sb", "dir:/", True, **where)[0] == 2
    changes, _, _ = caller.call("Changes", "tsu", 2, "/", 0, **where)
    assert {name for _, _, name in changes} == {"dir:/a", "dir:/b"}
    assert set(methods(INTERFACE)) == set(SIGNATURES)


def test_pages(caller: Caller) -> None:
    names = [f"user:/p/{number:05}" for number in range(12_345)]
    for start in range(0, len(names), 5_000):
        put: list[Any] = [(name, b"v", {}) for name in names[start : start + 5_000]]
        caller.call("Apply", APPLY, put, [], 0, {})
    found: list[str] = []
    more, sizes = True, []
    while more:
        page, more = caller.call("List", "ssu", "user:/p", found[-1] if found else "", 0)
        sizes.append(len(page))
        found += page
    assert (found, sizes) == (names, [10_000, 2_345])
    found, more = [], True
    while more:
        keys, more, _ = caller.call("GetAll", "ssu", "/", found[-1] if found else "user:/c", 4_000)
        assert len(keys) <= 4_000
        found += [name for name, *_ in keys]
    assert found == names
    # A reply never exceeds 8 MiB
    for number in range(5):
        caller.call("SetString", "ss", f"user:/q/{number}", "v" * (3 << 20))
    keys, more, _ = caller.call("GetAll", "ssu", "user:/q", "", 0)
    assert ([name for name, *_ in keys], more) == (["user:/q/0", "user:/q/1"], True)


def test_changes_come_in_whole_commits(caller: Caller) -> None:
    for commit in range(4):
        put: list[Any] = [(f"user:/c/{commit}{number}", b"v", {}) for number in range(10)]
        caller.call("Apply", APPLY, put, [], 0, {})
    changes, more, revision = caller.call("Changes", "tsu", 2, "user:/c", 25)
    assert ([each for each, _, _ in changes], more, revision) == ([3] * 10 + [4] * 10, True, 4)
    changes, more, revision = caller.call("Changes", "tsu", 4, "user:/c", 5)
    assert ([each for each, _, _ in changes], more, revision) == ([5] * 10, True, 5)
    changes, more, revision = caller.call("Changes", "tsu", 5, "/c", 10)
    assert ([each for each, _, _ in changes], more, revision) == ([6] * 10, False, 6)
    assert caller.call("Changes", "tsu", 6, "/", 0) == ([], False, 6)
    for since in (7, 2**64 - 1):
        assert caller.error("Changes", "tsu", since, "/", 0).name == "HistoryLost"
