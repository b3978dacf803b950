"""Stores that fail: damaged files, full disks, stores that may only be read."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from blocks import pack_block
from caller import Caller, Refused
from daemon_process import DaemonProcess
from mounting import MountNamespace

import kdb
import kdb.errors
from private_bus import PrivateBus

pytestmark = pytest.mark.needs("dbus-daemon")

DUMP = "kdbOpen 2\n$key string 1 5\n{}\nvalue\n$end\n"
APPLY = "a(saya{ss})asta{sv}"


# A damaged file


class Place:
    """Where a file lies, and the key that is in it."""

    def __init__(self, kdbd: DaemonProcess, file: Path, parent: str) -> None:
        self.kdbd = kdbd
        self.file = file
        self.parent = parent
        self.key = parent.rstrip("/") + "/x"
        self.namespace = parent.partition("/")[0]

    def write(self, text: str) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(text, encoding="utf-8")

    def state(self) -> tuple[bytes, os.stat_result]:
        return self.file.read_bytes(), self.file.stat()


@pytest.fixture(params=["user:/", "system:/", "spec:/", "user:/m"])
def place(request: pytest.FixtureRequest, bus: PrivateBus, tmp_path: Path) -> Iterator[Place]:
    """Prepare a kdbd, not yet started, that serves a certain file."""
    kdbd = DaemonProcess(bus, tmp_path)
    files = {
        "user:/": kdbd.user / "default.ecf",
        "system:/": kdbd.system / "default.ecf",
        "spec:/": kdbd.spec / "default.ecf",
        "user:/m": kdbd.user / "m.ecf",
    }
    place = Place(kdbd, files[request.param], request.param)
    if request.param == "user:/m":
        with kdbd, Caller(bus.address) as caller:
            caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
    with kdbd:
        kdbd.stop()
        yield place


DAMAGES = {
    "garbage": ("garbage\n", 1),
    "cut off": ("kdbOpen 2\n$key string 1 5\nx\nval", 4),
    "a length too long": ("kdbOpen 2\n$key string 1 50\nx\nvalue\n$end\n", 6),
    "an unknown line": ("kdbOpen 2\n$key string 1 5\nx\nvalue\n$what\n$end\n", 5),
}


def refusals(caller: Caller, place: Place) -> dict[str, Callable[[], Refused]]:
    """Answer every way to touch the key or its parent; the handle got the parent before."""
    key, parent, path = place.key, place.parent, "/" + place.key.partition("/")[2]
    block = pack_block([[key, "v", {}, 0]])
    calls: list[tuple[Any, ...]] = [
        ("GetString", "s", key),
        ("GetString", "s", path),
        ("Get", "s", key),
        ("GetAll", "ssu", parent, "", 0),
        ("GetAll", "ssu", "/", "", 0),
        ("List", "ssu", parent, "", 0),
        ("SetString", "ss", key, "v"),
        ("SetString", "ss", path, "v"),
        ("Set", "saya{ss}", key, b"v", {}),
        ("SetMeta", "sss", key, "m", "v"),
        ("RemoveMeta", "ss", key, "m"),
        ("Remove", "sb", key, False),
        ("Remove", "sb", parent, True),
        ("Apply", APPLY, [(key, b"v", {})], [], 0, {}),
        ("Apply", APPLY, [], [key], 0, {}),
    ]
    found: dict[str, Callable[[], Refused]] = {}
    for call in calls:
        found[f"{call}"] = partial(caller.error, *call)
        found[f"{call} on a handle"] = partial(caller.error, *call, path=caller.handle)
    for member, arguments in (
        ("Get", ("st", parent, 0)),
        ("Get", ("st", "/", 0)),
        ("Set", ("sayah", parent, block, [])),
        ("Diff", ("sayah", parent, block, [])),
    ):
        found[f"Handle.{member} {arguments}"] = partial(caller.handle_error, member, *arguments)
    return found


def check_refusals(caller: Caller, place: Place, line: int) -> None:
    for what, refusal in refusals(caller, place).items():
        error = refusal()
        assert error.name == "Syntactic", what
        assert error.text.startswith(f"{place.file}:{line}: "), what
        assert f"\nmountpoint: {place.parent}" in error.text, what


def check_the_rest(caller: Caller, place: Place, value: str) -> None:
    """Other namespaces, and what is mounted elsewhere, go on."""
    for name in ("user:/y", "system:/y", "spec:/y"):
        if name.partition("/")[0] != place.namespace or place.parent == "user:/m":
            caller.call("SetString", "ss", name, value)
            assert caller.call("GetString", "s", name) == (value,)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_damaged_before_the_start(place: Place, damage: str) -> None:
    text, line = DAMAGES[damage]
    place.write(text)
    before = place.state()
    with place.kdbd.start() as kdbd, Caller(kdbd.bus.address) as caller:
        caller.open()
        check_refusals(caller, place, line)
        check_the_rest(caller, place, "1")
        caller.call("Sync")
        assert kdbd.stop() == 0
    assert place.state() == before


def test_a_file_damaged_later_then_mended(place: Place) -> None:
    place.write(DUMP.format("x"))
    with place.kdbd.start() as kdbd, Caller(kdbd.bus.address) as caller:
        assert caller.open().get(place.parent)[place.key] == "value"
        caller.call("SetString", "ss", f"{place.parent.rstrip('/')}/kept", "before")
        caller.call("Sync")
        for round_, (text, line) in enumerate(DAMAGES.values()):
            place.write(text)
            before = place.state()
            check_refusals(caller, place, line)
            check_the_rest(caller, place, f"{round_}")
            caller.call("Sync")
            assert place.state() == before
        kdbd.wait_for_event("file.damaged", len(DAMAGES))
        place.write(DUMP.format("x").replace("value", "saved"))
        assert caller.call("GetString", "s", place.key) == ("saved",)
        found = caller.get(place.parent)
        assert found[place.key] == "saved"
        assert f"{place.parent.rstrip('/')}/kept" not in found
        caller.call("SetString", "ss", place.key, "again")
        caller.call("Sync")
        assert b"again" in place.file.read_bytes()


def test_a_damaged_file_survives_kdbd_and_is_mended_while_it_is_down(place: Place) -> None:
    place.write(DUMP.format("x"))
    with place.kdbd.start() as kdbd, Caller(kdbd.bus.address) as caller:
        caller.open().get(place.parent)
        place.write("garbage\n")
        check_refusals(caller, place, 1)
        kdbd.kill()
        place.kdbd.start()
        assert caller.error("GetString", "s", place.key).name == "Syntactic"
        assert kdbd.stop() == 0
        assert place.file.read_text("utf-8") == "garbage\n"
        place.write(DUMP.format("x"))
        place.kdbd.start()
        assert caller.call("GetString", "s", place.key) == ("value",)


def test_the_libraries_and_the_command_tell_file_line_and_reason(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.write("kdbOpen 2\ngarbage\n")
    with place.kdbd.start() as kdbd:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
        parent = kdb.Key(place.parent)
        with kdb.KDB() as db, pytest.raises(kdb.KDBException) as raised:
            db.get(kdb.KeySet(), parent)
        error = kdb.errors.get_error(parent)
        assert error is not None
        assert (error.number, error.file, error.line) == ("C03100", str(place.file), "2")
        assert error.mountpoint == place.parent
        assert f"{place.file}:2: {error.reason}" in str(raised.value)
        result = kdbd.run("kdb", "get", place.key, check=False)
        assert (result.returncode, result.stdout) == (5, "")
        assert f"{place.file}:2" in result.stderr
        assert "C03100" in result.stderr


def test_what_is_no_file_is_an_error_of_its_mountpoint(kdbd: DaemonProcess) -> None:
    with Caller(kdbd.bus.address) as caller:
        caller.call("SetString", "ss", "user:/x", "1")
        caller.call("Sync")
        file = kdbd.user / "default.ecf"
        makes: list[Callable[[], None]] = [partial(os.mkfifo, file), file.mkdir]
        for make in makes:
            file.unlink()
            make()
            error = caller.error("GetString", "s", "user:/x")
            assert error.name == "Resource"
            assert str(file) in error.text
            assert caller.error("SetString", "ss", "user:/x", "2").name == "Resource"
            caller.call("SetString", "ss", "system:/x", "1")
            if file.is_dir():
                file.rmdir()
                file.touch()
        file.write_text(DUMP.format("x"))
        assert caller.call("GetString", "s", "user:/x") == ("value",)


def test_damaged_declarations_of_mountpoints(kdbd: DaemonProcess) -> None:
    file = kdbd.system / "elektra.ecf"
    with Caller(kdbd.bus.address) as caller:
        caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
        caller.call("SetString", "ss", "user:/m/x", "1")
        mended = file.read_bytes()
        file.write_text("garbage\n")
        calls: list[tuple[Any, ...]] = [
            ("ListMounts",),
            ("Mount", "ssa{ss}", "user:/n", "n.ecf", {}),
            ("Unmount", "s", "user:/m"),
            ("SetString", "ss", "system:/elektra/x", "1"),
        ]
        for call in calls:
            assert caller.error(*call).name == "Syntactic"
        assert caller.call("GetString", "s", "user:/m/x") == ("1",)
        kdbd.restart()
        assert caller.call("GetString", "s", "user:/m/x") == ("1",)
        assert caller.error("ListMounts").name == "Syntactic"
        file.write_bytes(mended)
        assert caller.call("ListMounts") == ([("user:/m", "m.ecf", {})],)


# A full disk


@pytest.fixture
def namespace() -> Iterator[MountNamespace]:
    """Make a mount namespace of the test's own."""
    with MountNamespace() as made:
        yield made


def contents(caller: Caller) -> Mapping[str, bytes]:
    """Answer all values below user:/ and system:/t."""
    found = {}
    for parent in ("user:/", "system:/t"):
        keys, more, _ = caller.call("GetAll", "ssu", parent, "", 0)
        assert not more
        found.update({name: bytes(value) for name, value, _, _ in keys})
    return found


def write_until_refused(caller: Caller, prefix: str, expected: dict[str, bytes]) -> Refused:
    """Set keys until one is refused; put those that were acknowledged into ``expected``."""
    for number in range(2_000):
        name, value = f"{prefix}/k{number}", os.urandom(512).hex()
        try:
            caller.call("SetString", "ss", name, value)
        except Refused as refused:
            return refused
        expected[name] = value.encode()
    raise AssertionError("the disk is never full")


@pytest.mark.parametrize("full", ["both", "journal", "stores"])
@pytest.mark.parametrize("prefix", ["user:/t", "user:/m"])
def test_a_full_disk(
    bus: PrivateBus, tmp_path: Path, namespace: MountNamespace, full: str, prefix: str
) -> None:
    kdbd = DaemonProcess(bus, tmp_path, command=namespace.command())
    for each in (kdbd.user, kdbd.state):
        each.mkdir()
    directory = {"both": tmp_path, "journal": kdbd.state, "stores": kdbd.user}[full]
    namespace.mount_tmpfs(directory)
    if full == "both":
        for each in (kdbd.home, kdbd.work):
            namespace.see(each).mkdir()
    with kdbd.start(), Caller(bus.address) as caller:
        caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
        caller.call("SetString", "ss", f"{prefix}/first", "there before")
        caller.call("Sync")
        expected = dict(contents(caller))
        assert expected == {f"{prefix}/first": b"there before"}
        filler = namespace.fill(directory)
        if full == "stores" and prefix == "user:/t":
            # The journal takes it: acknowledged is durable, and the file follows when it can.
            for number in range(20):
                caller.call("SetString", "ss", f"{prefix}/k{number}", "v" * 4096)
                expected[f"{prefix}/k{number}"] = b"v" * 4096
            refused = caller.error("Sync")
        else:
            refused = write_until_refused(caller, prefix, expected)
        assert refused.name == "Resource"
        assert "make room" in refused.text or "as soon as it can be written" in refused.text
        # Reads go on, what was acknowledged is there, what was refused is not
        assert contents(caller) == expected
        assert caller.open().get("user:/t").keys() == {
            name for name in expected if name.startswith("user:/t")
        }
        large = [
            (f"{prefix}/l{number}", os.urandom(2048), {"binary": ""}) for number in range(1000)
        ]
        if full != "stores":
            assert caller.error("Apply", APPLY, large, [], 0, {}).name == "Resource"
        assert contents(caller) == expected
        assert not list(namespace.see(kdbd.user).glob("*.tmp"))
        # Killed while full, nothing acknowledged is lost
        kdbd.kill()
        filler.unlink()
        kdbd.start()
        assert contents(caller) == expected
        # With space again, writes work
        namespace.fill(directory)
        kdbd_full = write_until_refused(caller, "user:/m", expected)
        assert kdbd_full.name == "Resource"
        filler.unlink()
        caller.call("SetString", "ss", f"{prefix}/last", "there is room again")
        expected[f"{prefix}/last"] = b"there is room again"
        caller.call("Sync")
        assert contents(caller) == expected
        assert kdbd.stop() == 0
        shutil.rmtree(namespace.see(kdbd.state) / "journal.sqlite", ignore_errors=True)
        for file in namespace.see(kdbd.state).glob("journal.sqlite*"):
            file.unlink()
        # And the files hold it all
        kdbd.start()
        assert contents(caller) == expected


def test_the_disk_is_full_before_the_first_start(
    bus: PrivateBus, tmp_path: Path, namespace: MountNamespace
) -> None:
    kdbd = DaemonProcess(bus, tmp_path, command=namespace.command())
    namespace.mount_tmpfs(kdbd.state)
    namespace.fill(kdbd.state)
    kdbd.start(ready=False)
    assert kdbd.wait() == 1
    (line,) = [each["text"] for each in kdbd.events if each["event"] == "raw"]
    journal = kdbd.state / "journal.sqlite"
    assert line == f"kdbd: The journal {journal} cannot be used: database or disk is full"


# A damaged journal


def overwrite(journal: Path, at: int) -> None:
    data = bytearray(journal.read_bytes())
    data[at:] = os.urandom(len(data) - at)
    journal.write_bytes(data)


@pytest.mark.parametrize(
    ("at", "reason"),
    [(0, "file is not a database"), (4096, "database disk image is malformed")],
    ids=["header", "pages"],
)
def test_a_damaged_journal_is_told_from_a_full_disk_and_left_as_it_is(
    kdbd: DaemonProcess, at: int, reason: str
) -> None:
    with Caller(kdbd.bus.address) as caller:
        caller.call("SetString", "ss", "user:/a", "1")
        caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
        caller.call("SetString", "ss", "user:/m/x", "2")
    assert kdbd.stop() == 0
    journal = kdbd.state / "journal.sqlite"
    overwrite(journal, at)
    before = journal.read_bytes()
    files = {path: path.read_bytes() for path in kdbd.user.glob("*.ecf")}
    kdbd.start(ready=False)
    assert kdbd.wait() == 1
    (line,) = [each["text"] for each in kdbd.events if each["event"] == "raw"]
    assert line == (
        f"kdbd: The journal {journal} is damaged: {reason}. Nothing was stored. While kdbd is"
        " stopped, move this file away, with its -wal and -shm, then start kdbd: it makes a new one"
        " of the configuration files. Lost are the history, and changes that the files do not hold"
        " yet: mostly those of the last seconds"
    )
    assert journal.read_bytes() == before
    assert {path: path.read_bytes() for path in kdbd.user.glob("*.ecf")} == files
    # As advised
    for path in kdbd.state.glob("journal.sqlite*"):
        path.rename(path.with_name(f"damaged-{path.name}"))
    kdbd.start()
    with Caller(kdbd.bus.address) as caller:
        assert caller.call("GetString", "s", "user:/a") == ("1",)
        assert caller.call("GetString", "s", "user:/m/x") == ("2",)


# A read-only store


WRITES: list[tuple[Any, ...]] = [
    ("SetString", "ss", "system:/t/x", "2"),
    ("SetString", "ss", "system:/t/new", "2"),
    ("SetString", "ss", "/t/x", "2"),
    ("Set", "saya{ss}", "system:/t/x", b"2", {}),
    ("SetMeta", "sss", "system:/t/x", "m", "2"),
    ("RemoveMeta", "ss", "system:/t/x", "n"),
    ("Remove", "sb", "system:/t/x", False),
    ("Remove", "sb", "system:/t", True),
    ("Remove", "sb", "/t", True),
    ("Apply", APPLY, [("user:/t/y", b"2", {}), ("system:/t/x", b"2", {})], [], 0, {}),
    ("Apply", APPLY, [("user:/t/y", b"2", {})], ["system:/t/x"], 0, {}),
    ("Mount", "ssa{ss}", "user:/m", "m.ecf", {}),
]


def check_read_only(caller: Caller, kdbd: DaemonProcess) -> None:
    """Check a kdbd whose system:/ may only be read, and has one key."""
    caller.open().get("/t")
    assert caller.call("Get", "s", "system:/t/x")[1:3] == (b"1", {"n": "m"})
    before = caller.state()
    for write in WRITES:
        for where in ({}, {"path": caller.handle}):
            error = caller.error(*write, **where)
            if write[0] == "Mount" and where:
                continue
            assert error.name == "AccessDenied", write
            assert str(kdbd.system) in error.text, write
    block = pack_block([["user:/t/y", "2", {}, 0], ["system:/t/x", "2", {}, 1]])
    for member in ("Set", "Diff"):
        assert caller.handle_error(member, "sayah", "/t", block, []).name == "AccessDenied"
    assert caller.state() == before
    assert caller.get("system:/t") == {"system:/t/x": "1"}
    caller.call("SetString", "ss", "user:/t/y", "written")
    assert caller.get("/t") == {"user:/t/y": "written", "system:/t/x": "1"}
    result = kdbd.run("kdb", "set", "system:/t/x", "2", check=False)
    assert (result.returncode, result.stdout) == (5, "")
    assert "C01100" in result.stderr


SYSTEM = "kdbOpen 2\n$key string 3 1\nt/x\n1\n$meta 1 1\nn\nm\n$end\n"


def test_a_read_only_file_system(
    bus: PrivateBus, tmp_path: Path, namespace: MountNamespace
) -> None:
    kdbd = DaemonProcess(bus, tmp_path, command=namespace.command())
    kdbd.system.mkdir()
    (kdbd.system / "default.ecf").write_text(SYSTEM)
    before = (kdbd.system / "default.ecf").stat()
    namespace.mount_read_only(kdbd.system)
    with kdbd.start(), Caller(bus.address) as caller:
        check_read_only(caller, kdbd)
        assert kdbd.stop() == 0
    assert [each.name for each in kdbd.system.iterdir()] == ["default.ecf"]
    assert (kdbd.system / "default.ecf").stat() == before


@pytest.mark.parametrize("there", [True, False])
def test_a_store_of_another_user(tmp_path: Path, there: bool) -> None:
    """An ordinary user's kdbd: system:/ and spec:/ are root's, and may not be there at all."""
    anyone = '  <policy context="default"><allow user="*"/></policy>\n'
    directory = Path("/tmp") / f"kdbd-other-user-{os.getpid()}-{there}"
    if os.geteuid() == 0:
        other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    else:
        other = []  # what the system's directory allows is then taken away by its mode
    try:
        with PrivateBus(extra=anyone) as bus:
            kdbd = DaemonProcess(bus, directory, command=[*other, sys.executable, "-m", "kdbd"])
            for each in (kdbd.user, kdbd.state):
                each.mkdir()
                if other:
                    os.chown(each, 65534, 65534)
            if there:
                kdbd.system.mkdir()
                (kdbd.system / "default.ecf").write_text(SYSTEM)
                if not other:
                    kdbd.system.chmod(0o555)
            directory.chmod(0o755 if other else 0o555)
            with kdbd.start(), Caller(bus.address) as caller:
                if there:
                    check_read_only(caller, kdbd)
                else:
                    for name in ("system:/t/x", "spec:/t/x"):
                        assert caller.error("GetString", "s", name).name == "KeyNotFound"
                        assert caller.error("SetString", "ss", name, "1").name == "AccessDenied"
                    caller.call("SetString", "ss", "user:/t/y", "written")
                assert kdbd.stop() == 0
            assert not (directory / "spec").exists()
            assert not (directory / "system" / ".kdbd.lock").exists()
    finally:
        for each in (directory, directory / "system"):
            if each.exists():
                each.chmod(0o755)
        shutil.rmtree(directory)


def test_a_mountpoints_file_that_may_only_be_read(
    bus: PrivateBus, tmp_path: Path, namespace: MountNamespace
) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "m.ecf").write_text(DUMP.format("x"))
    namespace.mount_read_only(shelf)
    kdbd = DaemonProcess(bus, tmp_path / "kdbd", command=namespace.command())
    with kdbd.start(), Caller(bus.address) as caller:
        caller.call("Mount", "ssa{ss}", "user:/m", str(shelf / "m.ecf"), {})
        before = caller.state()
        writes: list[tuple[Any, ...]] = [
            ("SetString", "ss", "user:/m/x", "2"),
            ("Remove", "sb", "user:/m", True),
            ("Apply", APPLY, [("user:/m/x", b"2", {}), ("system:/y", b"", {})], [], 0, {}),
        ]
        for write in writes:
            error = caller.error(*write)
            assert error.name == "AccessDenied"
            assert str(shelf / "m.ecf") in error.text
        assert caller.state() == before
        caller.call("SetString", "ss", "user:/x", "1")


def test_a_store_that_becomes_read_only(
    bus: PrivateBus, tmp_path: Path, namespace: MountNamespace
) -> None:
    # kdbd holds a lock in a root, which therefore cannot become so; a mountpoint's directory can.
    shelf = tmp_path / "shelf"
    namespace.mount_tmpfs(shelf)
    kdbd = DaemonProcess(bus, tmp_path / "kdbd", command=namespace.command())
    with kdbd.start(), Caller(bus.address) as caller:
        caller.call("Mount", "ssa{ss}", "user:/m", str(shelf / "m.ecf"), {})
        caller.call("SetString", "ss", "user:/m/x", "1")
        namespace.mount("-o", "remount,ro", shelf)
        before = caller.state()
        writes: list[tuple[Any, ...]] = [
            ("SetString", "ss", "user:/m/x", "2"),
            ("Remove", "sb", "user:/m/x", False),
            ("Apply", APPLY, [("user:/m/x", b"2", {}), ("system:/y", b"", {})], [], 0, {}),
        ]
        for write in writes:
            assert caller.error(*write).name == "AccessDenied"
        assert caller.state() == before
        namespace.mount("-o", "remount,rw", shelf)
        caller.call("SetString", "ss", "user:/m/x", "2")
        assert caller.call("GetString", "s", "user:/m/x") == ("2",)
