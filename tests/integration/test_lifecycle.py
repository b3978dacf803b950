"""How kdbd starts, owns its stores, follows its files and ends: real processes, real users."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bus_monitor import BusMonitor
from caller import Caller, Refused
from daemon_process import DaemonProcess
from mounting import MountNamespace

import kdb
from kdb.wire import BUS_NAME
from private_bus import PrivateBus

pytestmark = pytest.mark.needs("dbus-daemon", "dbus-monitor")

APPLY = "a(saya{ss})asta{sv}"
ANYONE = '  <policy context="default"><allow user="*"/></policy>\n'
NOBODY = 65534
OTHER_USER = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
START_BUS = "Start one with kdbd on it by 'dbus-run-session kdbd', or name another with --address"
IS_ROOT = os.geteuid() == 0
_IN_MOVED_TO = 0x80


def dump(**keys: str) -> str:
    records = "".join(
        f"$key string {len(name)} {len(value)}\n{name}\n{value}\n" for name, value in keys.items()
    )
    return f"kdbOpen 2\n{records}$end\n"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def caller(kdbd: DaemonProcess) -> Iterator[Caller]:
    """Connect a client."""
    with Caller(kdbd.bus.address) as connected:
        yield connected


def is_locked(root: Path) -> bool:
    """Tell whether a daemon holds the root."""
    with (root / ".kdbd.lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def wait_until_unlocked(lock: Path) -> None:
    subprocess.run(["flock", "--wait=20", lock, "true"], check=True)


def await_file(path: Path, timeout_s: float) -> None:
    """Wait until a file is put into its directory, by inotify(7)."""
    libc = ctypes.CDLL(None, use_errno=True)
    notify = libc.inotify_init1(os.O_CLOEXEC)
    try:
        assert libc.inotify_add_watch(notify, os.fsencode(path.parent), _IN_MOVED_TO) >= 0
        until = time.monotonic() + timeout_s
        while not path.exists():
            assert select.select([notify], [], [], until - time.monotonic())[0], path
            os.read(notify, 4096)
    finally:
        os.close(notify)


# The end


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly(kdbd: DaemonProcess, caller: Caller, how: signal.Signals) -> None:
    caller.open(kdbd.work)
    caller.call("SetString", "ss", "user:/a", "1")
    caller.call("SetString", "ss", "system:/a", "1")
    caller.call("SetString", "ss", "spec:/a", "1")
    caller.call("SetString", "ss", "dir:/a", "1", path=caller.handle)
    roots = [kdbd.user, kdbd.system, kdbd.spec, kdbd.state, kdbd.work / ".dir"]
    assert all(is_locked(root) for root in roots)
    os.kill(kdbd.pid, how)
    assert kdbd.wait() == 0
    for root in (kdbd.user, kdbd.system, kdbd.spec, kdbd.work / ".dir"):
        assert (root / "default.ecf").read_text() == dump(a="1")
        assert not list(root.glob("*.tmp"))
    assert not any(is_locked(root) for root in roots)
    assert [each["event"] for each in kdbd.events][-1] == "stopping"
    assert {each["level"] for each in kdbd.events} == {"info"}
    kdbd.start()
    assert caller.call("GetString", "s", "user:/a") == ("1",)


def test_what_is_on_its_way_when_it_is_told_to_end_is_answered_or_never_was(
    kdbd: DaemonProcess, caller: Caller
) -> None:
    serials = {}
    for number in range(500):
        serial = next(caller.connection.outgoing_serial)
        message = caller.message("SetString", "ss", f"user:/a/{number:03}", "v")
        caller.connection.send(message, serial=serial)
        serials[serial] = f"user:/a/{number:03}"
    os.kill(kdbd.pid, signal.SIGTERM)
    acknowledged = set()
    while serials:
        reply = caller.connection.receive(timeout=20)
        fields = {key.name: value for key, value in reply.header.fields.items()}
        name = serials.pop(fields.get("reply_serial"), None)
        if name is not None and "error_name" not in fields:
            acknowledged.add(name)
    assert kdbd.wait() == 0
    stored = set(re.findall(r"a/\d{3}", (kdbd.user / "default.ecf").read_text()))
    assert {name.removeprefix("user:/") for name in acknowledged} <= stored
    kdbd.start()
    (names, _) = caller.call("List", "ssu", "user:/a", "", 0)
    assert {name.removeprefix("user:/") for name in names} == stored


def test_it_ends_while_there_is_no_bus(kdbd: DaemonProcess, caller: Caller) -> None:
    caller.call("SetString", "ss", "user:/a", "1")
    kdbd.bus.kill()
    kdbd.wait_for_event("bus.lost")
    assert kdbd.stop() == 0
    assert (kdbd.user / "default.ecf").read_text() == dump(a="1")
    kdbd.bus.start()


# Two daemons


def test_a_second_daemon_on_the_same_stores_refuses_and_names_the_owner(
    kdbd: DaemonProcess, tmp_path: Path
) -> None:
    for shared in ("user", "system", "spec", "state"):
        with PrivateBus() as another:
            second = DaemonProcess(another, tmp_path / f"second-{shared}")
            setattr(second, shared, getattr(kdbd, shared))
            second.start(ready=False)
            assert second.wait() == 1
        (line,) = [each["text"] for each in second.events]
        root = getattr(kdbd, shared)
        assert line == (
            f"kdbd: {root} belongs to another kdbd (process {kdbd.pid}). Stop that one, or choose"
            " other directories"
        )


def test_a_second_daemon_on_the_same_bus_refuses(kdbd: DaemonProcess, tmp_path: Path) -> None:
    second = DaemonProcess(kdbd.bus, tmp_path / "second").start(ready=False)
    assert second.wait() == 1
    (line,) = [each["text"] for each in second.events if "text" in each]
    assert line == (
        f"kdbd: {BUS_NAME} is owned by process {kdbd.pid}. Use that one, end it by"
        f" 'kill {kdbd.pid}', or name another bus with --address"
    )
    with Caller(kdbd.bus.address) as caller:
        caller.call("Sync")


def test_a_lock_that_a_killed_daemon_left_is_no_obstacle(kdbd: DaemonProcess) -> None:
    kdbd.kill()
    assert (kdbd.user / ".kdbd.lock").exists()
    kdbd.start()


def test_without_a_bus_it_says_so(tmp_path: Path) -> None:
    with PrivateBus() as bus:
        kdbd = DaemonProcess(bus, tmp_path)
        bus.stop()
        bus.socket.unlink(missing_ok=True)
        kdbd.start(ready=False)
        assert kdbd.wait() == 1
    (line,) = [each["text"] for each in kdbd.events]
    assert line == f"kdbd: no bus at {bus.socket} (No such file or directory). {START_BUS}"


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        ("", "no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set"),
        (
            "tcp:host=x",
            "the bus address 'tcp:host=x' names no Unix socket (unix:path=, unix:abstract=)",
        ),
    ],
)
def test_an_address_that_names_no_bus_is_told_in_one_line(
    tmp_path: Path, address: str, wrong: str
) -> None:
    stores = [f"--{each}-dir={tmp_path / each}" for each in ("user", "system", "spec", "state")]
    done = subprocess.run(
        [sys.executable, "-m", "kdbd", "--address", address, *stores],
        env={key: os.environ[key] for key in ("PATH", "PYTHONPATH") if key in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, f"kdbd: {wrong}. {START_BUS}\n")


def test_two_namespaces_in_one_directory_are_refused(tmp_path: Path) -> None:
    with PrivateBus() as bus:
        kdbd = DaemonProcess(bus, tmp_path)
        kdbd.system.mkdir()
        kdbd.user = tmp_path / "same"
        kdbd.user.symlink_to("system")
        kdbd.start(ready=False)
        assert kdbd.wait() == 1
    (line,) = [each["text"] for each in kdbd.events]
    assert line == (
        f"kdbd: user:/ and system:/ are both in {kdbd.system}, and would be one. Give --user-dir"
        " and --system-dir directories of their own"
    )
    assert list(kdbd.system.iterdir()) == []


def test_a_journal_of_another_form_is_refused(kdbd: DaemonProcess) -> None:
    import sqlite3

    kdbd.stop()
    connection = sqlite3.connect(kdbd.state / "journal.sqlite")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    kdbd.start(ready=False)
    assert kdbd.wait() == 1
    (line,) = [each["text"] for each in kdbd.events]
    assert "version 99" in line
    assert "another --state-dir" in line


# The bus goes and comes


def test_it_serves_again_after_the_bus_restarts(
    kdbd: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
    with kdb.KDB() as db:
        keys = kdb.KeySet()
        db.set_string("user:/a", "1")
        db.get(keys, "user:/")
        for round_ in range(2, 5):
            kdbd.bus.restart()
            kdbd.wait_for_event("bus.connected", round_)
            keys["user:/a"].value = f"{round_}"
            assert db.set(keys, "user:/") == 1
            assert db.get_string("user:/a") == f"{round_}"
    with Caller(kdbd.bus.address) as caller, BusMonitor(kdbd.bus.address) as monitor:
        caller.call("SetString", "ss", "user:/b", "1")
        monitor.wait_for('string "user:/b"', member="KeyAdded")


def test_where_kdbd_connects_anew_clients_keep_their_handles(
    kdbd: DaemonProcess, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
    with kdb.KDB(directory=kdbd.work) as db, db.watch("/a") as watch:
        keys = kdb.KeySet()
        db.get(keys, "user:/a")
        keys.append(kdb.Key("user:/a", "1"))
        handle, name = db._session._handle, caller.owner()
        # The bus takes nothing of kdbd's answer.
        kdbd.suspend()
        caller.connection.send(caller.message("SetString", "ss", "user:/b", "1"))
        caller.owner()
        kdbd.bus.suspend()
        kdbd.resume()
        kdbd.wait_for_event("bus.lost")
        kdbd.bus.resume()
        kdbd.wait_for_event("bus.connected", 2)
        assert caller.owner() != name
        assert db.set(keys, "user:/a") == 1
        assert next(watch)[1:] == ("added", "user:/a")
        assert (handle.path, handle.owner) == (db._session._handle.path, name)
        assert db._session._handle.owner == caller.owner()


def test_handles_go_with_the_bus(kdbd: DaemonProcess) -> None:
    with Caller(kdbd.bus.address) as before:
        path = before.open().handle
        kdbd.bus.restart()
    kdbd.wait_for_event("bus.connected", 2)
    with Caller(kdbd.bus.address) as after:
        # Another bus gives unique names anew
        assert after.error("Introspect", path=path).name.endswith("UnknownObject")


# Telling how it is


def test_ready_and_stopping_are_told_to_the_supervisor(bus: PrivateBus, tmp_path: Path) -> None:
    for kind in ("path", "abstract"):
        address = str(tmp_path / "notify") if kind == "path" else f"@kdbd-test-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
            supervisor.bind(address.replace("@", "\0"))
            supervisor.settimeout(20)
            kdbd = DaemonProcess(bus, tmp_path / kind, environment={"NOTIFY_SOCKET": address})
            kdbd.start(ready=False)
            assert supervisor.recv(4096) == b"READY=1"
            with Caller(bus.address) as caller:  # ready is ready
                caller.call("SetString", "ss", "user:/a", "1")
            assert kdbd.stop() == 0
            assert supervisor.recv(4096) == b"STOPPING=1"


def test_a_supervisor_that_does_not_listen_is_no_obstacle(bus: PrivateBus, tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "nobody")}
    with DaemonProcess(bus, tmp_path, environment=environment) as kdbd:
        assert kdbd.stop() == 0


def test_a_commit_is_logged_with_its_counts_and_never_a_value(
    kdbd: DaemonProcess, caller: Caller
) -> None:
    caller.call("Set", "saya{ss}", "user:/a", b"secret-1", {"m": "secret-2"})
    put: list[Any] = [
        ("user:/a", b"secret-3", {}),
        ("user:/b", b"secret-4", {}),
        ("user:/c", b"", {}),
    ]
    caller.call("Apply", APPLY, put, [], 0, {"reason": ("s", "why")})
    caller.call("SetString", "ss", "user:/c", "secret-5")
    caller.call("Remove", "sb", "user:/a", False)
    caller.error("SetString", "ss", "proc:/secret", "secret-6")
    caller.call("SetString", "ss", "user:/c", "secret-5")  # no commit
    caller.open().get("user:/")
    entry = ["user:/c", "secret-7", {}, 999]
    with pytest.raises(Refused, match="ConflictingState"):
        caller.put("user:/", entry)
    (kdbd.user / "m.ecf").write_text("secret-8\n")
    caller.error("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
    assert kdbd.stop() == 0
    commits = [each for each in kdbd.events if each["event"] == "commit"]
    who = {
        "caller": caller.name,
        "pid": os.getpid(),
        "uid": os.geteuid(),
        "program": Path("/proc/self/comm").read_text().rstrip("\n"),
        "origin": "client",
        "level": "info",
    }
    counts = [(1, 0, 0), (2, 1, 0), (0, 1, 0), (0, 0, 1)]
    for number, (each, (added, changed, removed)) in enumerate(
        zip(commits, counts, strict=True), start=1
    ):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", each.pop("timestamp"))
        assert each == {
            "event": "commit",
            "revision": number,
            **who,
            "added": added,
            "changed": changed,
            "removed": removed,
        }
    assert "secret" not in json.dumps(kdbd.events)
    assert "secret" not in kdbd.output


def log_of(bus: PrivateBus, directory: Path, *options: str, terminal: bool = False) -> str:
    """Run a kdbd for one commit; answer its standard error."""
    kdbd = DaemonProcess(bus, directory)
    arguments = [each for each in kdbd.arguments() if not each.startswith("--log-format")]
    controller, terminal_end = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [*arguments, *options],
        env=kdbd.client_environment,
        stderr=terminal_end,
        stdout=subprocess.DEVNULL,
    )
    os.close(terminal_end)
    text = b""
    try:
        while b"ready" not in text:
            assert select.select([controller], [], [], 20)[0]
            text += os.read(controller, 4096)
        with Caller(bus.address) as caller:
            caller.call("SetString", "ss", "user:/a", "secret")
        process.terminate()
        assert process.wait(20) == 0
        while select.select([controller], [], [], 0)[0] and (more := read(controller)):
            text += more
    finally:
        process.kill()
        process.wait(20)
        os.close(controller)
    return text.decode()


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # a terminal whose other end is closed
        return b""


def test_the_log_is_readable_on_a_terminal_and_json_otherwise(
    bus: PrivateBus, tmp_path: Path
) -> None:
    found = {
        "terminal": log_of(bus, tmp_path / "1", terminal=True),
        "pipe": log_of(bus, tmp_path / "2"),
        "console": log_of(bus, tmp_path / "3", "--log-format=console"),
        "json": log_of(bus, tmp_path / "4", "--log-format=json", terminal=True),
    }
    for kind in ("pipe", "json"):
        events = [json.loads(line) for line in found[kind].splitlines()]
        assert [each["event"] for each in events] == [
            "bus.connected",
            "ready",
            "commit",
            "stopping",
        ]
    for kind in ("terminal", "console"):
        commit = next(line for line in found[kind].splitlines() if "commit" in line)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", commit)
        assert re.search(r"\[info\s*\] commit .*\badded=1 .*\brevision=1\b", plain)
        assert ("\x1b[" in commit) is (kind == "terminal")
    assert "secret" not in str(found)


# Files


def test_new_files_and_directories_have_libelektras_modes(bus: PrivateBus, tmp_path: Path) -> None:
    """Whatever the umask: 0600 in 0700 for user:/ and dir:/, 0644 in 0755 for system:/, spec:/."""
    before = os.umask(0o077)
    try:
        with DaemonProcess(bus, tmp_path) as kdbd, Caller(bus.address) as caller:
            os.umask(before)
            caller.open(kdbd.work)
            for namespace in ("user", "system", "spec", "dir"):
                caller.call("SetString", "ss", f"{namespace}:/a", "1", path=caller.handle)
                caller.call("Mount", "ssa{ss}", f"{namespace}:/m", "deep/er/m.ecf", {})
                caller.call("SetString", "ss", f"{namespace}:/m/a", "1", path=caller.handle)
            caller.call("Sync")
            modes = {}
            for name, root in (
                ("user", kdbd.user),
                ("dir", kdbd.work / ".dir"),
                ("system", kdbd.system),
                ("spec", kdbd.spec),
            ):
                modes[name] = [
                    mode(root / each)
                    for each in ("", "default.ecf", "deep", "deep/er", "deep/er/m.ecf")
                ]
            private, public = (
                [0o700, 0o600, 0o700, 0o700, 0o600],
                [0o755, 0o644, 0o755, 0o755, 0o644],
            )
            assert modes == {"user": private, "dir": private, "system": public, "spec": public}
            assert mode(kdbd.state) == 0o700
            for file in kdbd.state.glob("journal*"):
                assert mode(file) == 0o600
    finally:
        os.umask(before)


def test_mode_and_owner_of_a_file_are_kept(kdbd: DaemonProcess, caller: Caller) -> None:
    caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
    files = {
        "user:/": kdbd.user / "default.ecf",
        "user:/m/": kdbd.user / "m.ecf",
        "system:/": kdbd.system / "default.ecf",
    }
    for file in files.values():
        file.write_text(dump(a="1"))
        file.chmod(0o640)
        if IS_ROOT:
            os.chown(file, NOBODY, NOBODY)
    before = {file: file.stat() for file in files.values()}
    for parent in files:
        caller.call("SetString", "ss", f"{parent}a", "2")
        caller.call("SetString", "ss", f"{parent}b", "1")
    caller.call("Sync")
    for file, was in before.items():
        assert file.read_text() == dump(a="2", b="1")
        now = file.stat()
        assert (now.st_mode, now.st_uid, now.st_gid) == (was.st_mode, was.st_uid, was.st_gid)


def test_a_key_set_without_keys_leaves_no_file(kdbd: DaemonProcess, caller: Caller) -> None:
    caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
    for file, parent in ((kdbd.user / "default.ecf", "user:/a"), (kdbd.user / "m.ecf", "user:/m")):
        caller.call("SetString", "ss", parent, "1")
        caller.call("Sync")
        assert file.exists()
        caller.call("Remove", "sb", parent, True)
        caller.call("Sync")
        assert not file.exists()


def test_default_files_follow_within_5_s_and_a_mountpoints_before_the_reply(
    kdbd: DaemonProcess, caller: Caller
) -> None:
    caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
    for number in range(20):
        caller.call("SetString", "ss", "user:/m/a", f"{number}")
        assert (kdbd.user / "m.ecf").read_text() == dump(a=f"{number}")
    caller.call("SetString", "ss", "user:/a", "1")
    await_file(kdbd.user / "default.ecf", 5)
    assert (kdbd.user / "default.ecf").read_text() == dump(a="1")


def test_sync_returns_when_every_file_is_written(kdbd: DaemonProcess, caller: Caller) -> None:
    large = {f"k{number:05}": "v" * 50 for number in range(8_000)}  # above 256 KiB
    caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
    for root, parent in ((kdbd.user, "user:/"), (kdbd.user, "user:/m/"), (kdbd.spec, "spec:/")):
        put: list[Any] = [(f"{parent}{name}", value.encode(), {}) for name, value in large.items()]
        caller.call("Apply", APPLY, put, [], 0, {})
        caller.call("Sync")
        file = root / ("m.ecf" if parent == "user:/m/" else "default.ecf")
        assert file.read_text() == dump(**large)
    # One more key of a large mountpoint, and a file that nobody changed stays as it is
    inode = (kdbd.spec / "default.ecf").stat().st_ino
    caller.call("SetString", "ss", "user:/m/k00000", "changed")
    caller.call("Sync")
    assert (kdbd.user / "m.ecf").read_text() == dump(**{**large, "k00000": "changed"})
    assert (kdbd.spec / "default.ecf").stat().st_ino == inode


# Edited files


def test_an_edit_is_merged_and_what_changed_on_both_sides_keeps_the_files_value(
    kdbd: DaemonProcess, caller: Caller
) -> None:
    file = kdbd.user / "default.ecf"
    for name in ("kept", "ours", "theirs", "both", "removed by us", "removed by them"):
        caller.call("SetString", "ss", f"user:/{name}", "base")
    caller.call("Sync")
    # kdbd has what the file lacks, when the file is edited
    caller.call("SetString", "ss", "user:/ours", "ours")
    caller.call("SetString", "ss", "user:/both", "ours")
    caller.call("SetString", "ss", "user:/added by us", "ours")
    caller.call("Remove", "sb", "user:/removed by us", False)
    file.write_text(
        dump(
            **{
                "added by them": "theirs",
                "both": "theirs",
                "kept": "base",
                "ours": "base",
                "removed by us": "base",
                "theirs": "theirs",
            }
        )
    )
    expected = {
        "added by them": "theirs",
        "added by us": "ours",
        "both": "theirs",
        "kept": "base",
        "ours": "ours",
        "theirs": "theirs",
    }
    assert caller.open().get("user:/") == {f"user:/{name}": v for name, v in expected.items()}
    caller.call("Sync")
    assert file.read_text() == dump(**expected)
    (merge,) = [each for each in kdbd.events if each.get("origin") == "file"]
    assert (merge["caller"], merge["added"], merge["changed"], merge["removed"]) == ("", 1, 2, 1)


@pytest.mark.parametrize("mountpoint", ["user:/", "user:/m"])
def test_an_edit_before_a_rewrite_is_never_overwritten_unseen(
    kdbd: DaemonProcess, caller: Caller, mountpoint: str
) -> None:
    """Also where the first access after the edit is the write itself."""
    file = kdbd.user / ("default.ecf" if mountpoint == "user:/" else "m.ecf")
    if mountpoint == "user:/m":
        caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
    parent = mountpoint.rstrip("/")
    caller.call("SetString", "ss", f"{parent}/a", "1")
    caller.call("Sync")
    for number in range(10):
        file.write_text(dump(a="1", edited=f"{number}"))
        caller.call("SetString", "ss", f"{parent}/set", f"{number}")
        caller.call("Sync")
        assert file.read_text() == dump(a="1", edited=f"{number}", set=f"{number}")


def test_edits_while_it_was_down_are_merged_at_the_start(
    kdbd: DaemonProcess, caller: Caller
) -> None:
    caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
    caller.call("SetString", "ss", "user:/m/a", "1")
    caller.call("SetString", "ss", "user:/a", "1")
    kdbd.stop()
    (kdbd.user / "m.ecf").write_text(dump(a="2", b="1"))
    (kdbd.user / "default.ecf").unlink()
    with BusMonitor(kdbd.bus.address) as monitor:
        kdbd.start()
        assert caller.open().get("user:/") == {"user:/m/a": "2", "user:/m/b": "1"}
        for member, name in (
            ("KeyAdded", "user:/m/b"),
            ("KeyChanged", "user:/m/a"),
            ("KeyDeleted", "user:/a"),
        ):
            monitor.wait_for(f'string "{name}"', member=member)


def test_a_touched_or_rewritten_file_is_no_change(kdbd: DaemonProcess, caller: Caller) -> None:
    file = kdbd.user / "default.ecf"
    caller.call("SetString", "ss", "user:/a", "1")
    caller.call("Sync")
    revision, _ = caller.state()
    os.utime(file, (0, 0))
    assert caller.call("GetString", "s", "user:/a") == ("1",)
    copy = file.with_suffix(".copy")
    shutil.copy(file, copy)
    copy.rename(file)
    assert caller.call("GetString", "s", "user:/a") == ("1",)
    assert caller.state()[0] == revision


def test_an_edited_file_declares_mountpoints_too(kdbd: DaemonProcess, caller: Caller) -> None:
    (kdbd.user / "m.ecf").write_text(dump(a="1"))
    caller.call("Mount", "ssa{ss}", "user:/m", "m.ecf", {})
    file = kdbd.system / "elektra.ecf"
    mounted = file.read_text()
    caller.call("Unmount", "s", "user:/m")
    assert caller.error("GetString", "s", "user:/m/a").name == "KeyNotFound"
    file.write_text(mounted)
    # Seen at once, though this asks for nothing in that file.
    assert caller.call("GetString", "s", "user:/m/a") == ("1",)
    assert caller.call("ListMounts") == ([("user:/m", "m.ecf", {})],)


def test_read_only_roots_are_read_again_when_their_stat_changes(
    bus: PrivateBus, tmp_path: Path
) -> None:
    with MountNamespace() as namespace:
        kdbd = DaemonProcess(bus, tmp_path, command=namespace.command())
        kdbd.system.mkdir()
        file = kdbd.system / "default.ecf"
        namespace.mount_read_only(kdbd.system)
        with (
            kdbd.start(),
            Caller(bus.address) as caller,
            BusMonitor(bus.address) as monitor,
        ):
            assert caller.error("GetString", "s", "system:/a").name == "KeyNotFound"
            for number in range(3):
                file.write_text(dump(a=f"{number}"))
                assert caller.call("GetString", "s", "system:/a") == (f"{number}",)
                assert caller.error("SetString", "ss", "system:/a", "x").name == "AccessDenied"
            monitor.wait_for('string "system:/a"', member="KeyChanged")
            file.unlink()
            assert caller.error("GetString", "s", "system:/a").name == "KeyNotFound"
            assert kdbd.stop() == 0
        assert not (kdbd.system / ".kdbd.lock").exists()


# dir:/


@pytest.fixture
def tree() -> Iterator[Path]:
    """Make directories a/b/c that every user may search."""
    made = Path(f"/tmp/kdbd-tree-{os.getpid()}-{time.monotonic_ns()}")
    (made / "a" / "b" / "c").mkdir(parents=True)
    yield made
    # kdbd may be writing a file there while this goes through.
    for _ in range(100):
        shutil.rmtree(made, ignore_errors=True)
        if not made.exists():
            return
    raise AssertionError(f"{made} cannot be removed")


def store(directory: Path, **keys: str) -> Path:
    """Write a directory's default file."""
    file = directory / ".dir" / "default.ecf"
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_text(dump(**keys))
    file.chmod(0o600)
    return file


def open_in(kdbd: DaemonProcess, directory: Path) -> Caller:
    return Caller(kdbd.bus.address).open(directory)


def one_key(caller: Caller, member: str, signature: str, *body: Any) -> tuple[Any, ...]:
    return caller.call(member, signature, *body, path=caller.handle)


def test_dir_is_the_nearest_directory_that_has_the_file(kdbd: DaemonProcess, tree: Path) -> None:
    a, b, c = tree / "a", tree / "a" / "b", tree / "a" / "b" / "c"
    store(a, where="a")
    with open_in(kdbd, c) as caller:
        assert caller.get("dir:/") == {"dir:/where": "a"}
        assert caller.get("/") == {"dir:/where": "a"}
        # A write goes to the file that is shown
        one_key(caller, "SetString", "ss", "dir:/new", "1")
        caller.call("Sync")
        assert (a / ".dir" / "default.ecf").read_text() == dump(new="1", where="a")
        # A nearer file takes its place at the next get
        store(b, where="b")
        assert caller.get("dir:/") == {"dir:/where": "b"}
        assert caller.get("/") == {"dir:/where": "b"}
        assert one_key(caller, "GetString", "s", "/where") == ("b",)
    with open_in(kdbd, a) as caller:
        assert caller.get("dir:/") == {"dir:/new": "1", "dir:/where": "a"}
    # Where none has it, the handle's own
    other = tree / "other"
    other.mkdir()
    with open_in(kdbd, other) as caller:
        assert caller.get("dir:/") == {}
        assert not (other / ".dir").exists()  # a get creates nothing
        one_key(caller, "SetString", "ss", "dir:/x", "1")
        caller.call("Sync")
        assert (other / ".dir" / "default.ecf").read_text() == dump(x="1")


def test_unchanged_is_only_said_of_the_same_directory(kdbd: DaemonProcess, tree: Path) -> None:
    a, b, c = tree / "a", tree / "a" / "b", tree / "a" / "b" / "c"
    store(a, where="a")
    with open_in(kdbd, b) as other:
        # Both directories' keys are known from earlier, and older than what is got next
        store(b, where="b")
        assert other.get("dir:/") == {"dir:/where": "b"}
    with open_in(kdbd, c) as caller, open_in(kdbd, b):
        (b / ".dir" / "default.ecf").rename(b / ".dir" / "away")
        caller.call("SetString", "ss", "user:/later", "1")
        _, _, _, revision = caller.on_handle("Get", "st", "/", 0)
        assert caller.on_handle("Get", "st", "/", revision)[0] is False
        (b / ".dir" / "away").rename(b / ".dir" / "default.ecf")
        assert caller.on_handle("Get", "st", "dir:/", revision)[0] is True
        assert caller.on_handle("Get", "st", "/", revision)[0] is True
        assert caller.get("dir:/") == {"dir:/where": "b"}


def test_each_directory_is_a_store_of_its_own(kdbd: DaemonProcess, tree: Path) -> None:
    a, b = tree / "a", tree / "a" / "b"
    store(a, x="a")
    store(b, x="b")
    with open_in(kdbd, a) as in_a, open_in(kdbd, b) as in_b:
        assert (in_a.get("dir:/"), in_b.get("dir:/")) == ({"dir:/x": "a"}, {"dir:/x": "b"})
        one_key(in_a, "SetString", "ss", "dir:/x", "changed")
        _, _, _, revision = in_b.on_handle("Get", "st", "dir:/", 0)
        one_key(in_a, "SetString", "ss", "dir:/y", "1")
        assert in_b.on_handle("Get", "st", "dir:/", revision)[0] is False
        assert in_b.get("dir:/") == {"dir:/x": "b"}
        # Two handles of one directory see each other's
        with open_in(kdbd, a / "b") as also_b:
            one_key(also_b, "SetString", "ss", "dir:/z", "1")
            assert in_b.get("dir:/") == {"dir:/x": "b", "dir:/z": "1"}


def test_a_directory_is_locked_from_its_first_write_until_its_last_handle_closes(
    kdbd: DaemonProcess, tree: Path
) -> None:
    a = tree / "a"
    store(a, x="1")
    lock = a / ".dir" / ".kdbd.lock"
    with open_in(kdbd, a) as one, open_in(kdbd, a) as other:
        one.get("/")
        assert not lock.exists()  # a get creates nothing
        one_key(one, "SetString", "ss", "dir:/x", "2")
        assert is_locked(lock.parent)
        # Another daemon may read, and not write
        with (
            PrivateBus() as bus,
            DaemonProcess(bus, tree / "second") as second,
            open_in(second, a) as reader,
        ):
            assert reader.get("dir:/")["dir:/x"] in ("1", "2")
            error = reader.error("SetString", "ss", "dir:/x", "3", path=reader.handle)
            assert error.name == "Resource"
            assert f"(process {kdbd.pid})" in error.text
            one.on_handle("Close")
            assert is_locked(lock.parent)
            other.on_handle("Close")
            wait_until_unlocked(lock)
            assert (a / ".dir" / "default.ecf").read_text() == dump(x="2")
            one_key(reader, "SetString", "ss", "dir:/x", "3")
            assert is_locked(lock.parent)


def test_a_directory_that_was_closed_is_opened_again(kdbd: DaemonProcess, tree: Path) -> None:
    for number in range(30):
        with open_in(kdbd, tree / "a") as caller:
            one_key(caller, "SetString", "ss", "dir:/x", f"{number}")
            assert caller.get("dir:/") == {"dir:/x": f"{number}"}
    assert {each["level"] for each in kdbd.events} == {"info"}


# Only root has a second user to give files to; CI runs as root.
FAULTS = ["symlink", "group", "others", *(["foreign"] if IS_ROOT else [])]


@pytest.mark.parametrize("what", ["file", "directory"])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_to_be_trusted_is_refused_by_name(
    kdbd: DaemonProcess, tree: Path, what: str, fault: str
) -> None:
    a = tree / "a"
    file = store(a, x="1")
    path = file if what == "file" else file.parent
    if fault == "symlink":
        path.rename(tree / "elsewhere")
        path.symlink_to(tree / "elsewhere")
        reason = "is a symlink"
    elif fault == "foreign":
        os.chown(path, NOBODY, NOBODY)
        reason = f"belongs to user {NOBODY}"
    else:
        path.chmod(mode(path) | (stat.S_IWGRP if fault == "group" else stat.S_IWOTH))
        reason = "is writable by others"
    with Caller(kdbd.bus.address) as caller:
        error = caller.error("Open", "a{sv}", {"directory": ("s", str(a / "b"))})
        assert error.name == "AccessDenied"
        assert error.text.startswith(f"{path} {reason}")


def test_what_becomes_untrusted_is_refused_at_the_next_get(kdbd: DaemonProcess, tree: Path) -> None:
    file = store(tree / "a", x="1")
    with open_in(kdbd, tree / "a" / "b") as caller:
        assert caller.get("dir:/") == {"dir:/x": "1"}
        file.chmod(0o666)
        for parent in ("dir:/", "/"):
            error = caller.handle_error("Get", "st", parent, 0)
            assert error.name == "AccessDenied"
            assert f"{file} is writable by others" in error.text
        assert caller.get("user:/") == {}
        file.chmod(0o600)
        assert caller.get("dir:/") == {"dir:/x": "1"}


if IS_ROOT:

    def test_another_users_kdbd_trusts_root_and_itself_only(tree: Path) -> None:
        a = tree / "a"
        file = store(a, x="1")
        a.chmod(0o755)
        with PrivateBus(extra=ANYONE) as bus:
            own = DaemonProcess(
                bus, tree / "own", command=[*OTHER_USER, sys.executable, "-m", "kdbd"]
            )
            for each in (own.directory, own.home, own.work):
                os.chown(each, NOBODY, NOBODY)
            with own:
                # Root's directory is trusted, and may not be written
                file.parent.chmod(0o755)
                file.chmod(0o644)
                with open_in(own, a) as caller:
                    assert caller.get("dir:/") == {"dir:/x": "1"}
                    error = caller.error("SetString", "ss", "dir:/x", "2", path=caller.handle)
                    assert error.name == "AccessDenied"
                # Its own, too
                for each in (file, file.parent):
                    os.chown(each, NOBODY, NOBODY)
                with open_in(own, a) as caller:
                    one_key(caller, "SetString", "ss", "dir:/x", "2")
                # A third user's not
                os.chown(file, 1234, 1234)
                error_of = Caller(bus.address)
                with error_of:
                    error = error_of.error("Open", "a{sv}", {"directory": ("s", str(a))})
                    assert error.name == "AccessDenied"
                    assert "belongs to user 1234" in error.text


def test_mountpoints_below_dir_lie_in_each_directory(kdbd: DaemonProcess, tree: Path) -> None:
    a, b = tree / "a", tree / "a" / "b"
    store(a, x="a")
    store(b, x="b")
    with open_in(kdbd, a) as in_a, open_in(kdbd, b) as in_b:
        in_a.call("Mount", "ssa{ss}", "dir:/m", "m.ecf", {})
        for caller, value in ((in_a, "a"), (in_b, "b")):
            one_key(caller, "SetString", "ss", "dir:/m/y", value)
            assert caller.get("dir:/") == {"dir:/x": value, "dir:/m/y": value}
        for directory, value in ((a, "a"), (b, "b")):
            assert (directory / ".dir" / "m.ecf").read_text() == dump(y=value)
    with Caller(kdbd.bus.address) as caller:
        assert caller.error("Mount", "ssa{ss}", "dir:/n", "/etc/n.ecf", {}).name == "Interface"


def test_a_mountpoints_file_makes_a_directory_the_nearest_too(
    kdbd: DaemonProcess, tree: Path
) -> None:
    with Caller(kdbd.bus.address) as caller:
        caller.call("Mount", "ssa{ss}", "dir:/m", "deep/m.ecf", {})
    kdbd.restart()  # so that no directory is known
    file = tree / "a" / ".dir" / "deep" / "m.ecf"
    file.parent.mkdir(parents=True, mode=0o700)
    file.write_text(dump(y="1"))
    with open_in(kdbd, tree / "a" / "b") as caller:
        assert caller.get("dir:/") == {"dir:/m/y": "1"}
        file.parent.chmod(0o777)
        error = caller.handle_error("Get", "st", "dir:/", 0)
        assert error.name == "AccessDenied"
        assert f"{file.parent} is writable by others" in error.text


def test_dir_keys_survive_kdbd(kdbd: DaemonProcess, tree: Path) -> None:
    a = tree / "a"
    with open_in(kdbd, a) as caller:
        one_key(caller, "SetString", "ss", "dir:/x", "1")
        kdbd.kill()
        kdbd.start()
        with open_in(kdbd, a) as again:
            assert again.get("dir:/") == {"dir:/x": "1"}
            again.call("Sync")
            assert (a / ".dir" / "default.ecf").read_text() == dump(x="1")
