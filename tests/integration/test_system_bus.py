"""kdbd on a system bus, where every user may call: who may do what there, and no dir:/."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from caller import Caller
from daemon_process import DaemonProcess

import kdb
from kdb.protocol import BUS_NAME, INTERFACE, OBJECT_PATH
from private_bus import PrivateBus

NOBODY = 65534
POLICY = (
    f'  <policy context="default"><allow own="{BUS_NAME}"/>'
    f'<allow send_destination="{BUS_NAME}"/></policy>\n'
)
REFUSAL = (
    f"GDBus.Error:{INTERFACE}.Error.AccessDenied: On the system bus only root and the user that"
    " kdbd runs as may do more than read. Ask one of them, or use the kdbd of your session bus"
)
WRITES = [
    ("SetString", "user:/a", "2"),
    ("Set", "user:/a", "[byte 0x32]", "{}"),
    ("SetMeta", "user:/a", "m", "1"),
    ("RemoveMeta", "user:/a", "m"),
    ("Remove", "user:/a", "false"),
    ("Apply", "[('user:/a', [byte 0x32], {})]", "[]", "0", "{}"),
    ("Mount", "user:/m", "/tmp/m.ecf", "{}"),
    ("Unmount", "user:/m"),
    ("Sync",),
    ("Open", "{}"),
]


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    with PrivateBus("system", extra=POLICY) as running:
        yield running


def serving(bus: PrivateBus, directory: Path, *before: str) -> DaemonProcess:
    """Make a kdbd for the system bus, started by *before*."""
    command = (*before, sys.executable, "-m", "kdbd", "--bus=system")
    return DaemonProcess(bus, directory, command=command)


def call(bus: PrivateBus, user: int, member: str, *arguments: str) -> tuple[int, str]:
    """Call a method as a user; return gdbus's exit code, and what it says."""
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    target = ["--dest", BUS_NAME, "--object-path", OBJECT_PATH]
    method = ["--method", f"{INTERFACE}.{member}"]
    done = subprocess.run(
        [
            *(become if user != os.geteuid() else ()),
            *("gdbus", "call", "--address", bus.address),
            *(*target, *method, "--", *arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


@pytest.mark.needs("gdbus")
def test_its_own_user_reads_and_writes(bus: PrivateBus, tmp_path: Path) -> None:
    with serving(bus, tmp_path):
        assert call(bus, os.geteuid(), "SetString", "user:/a", "1") == (0, "(uint64 1,)")
        assert call(bus, os.geteuid(), "GetString", "user:/a") == (0, "('1',)")


def test_it_has_no_directories(
    bus: PrivateBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    with serving(bus, tmp_path), Caller(bus.address) as caller:
        refused = caller.error("Open", "a{sv}", {"directory": ("s", str(tmp_path))})
        assert refused.name == "Interface"
        assert refused.text == (
            "A kdbd on the system bus has no dir:/, which would show one user's directories to"
            " others. Open without a directory"
        )
        with kdb.KDB(bus="system") as db:
            db.set_string("user:/a", "1")
            assert db.get_string("/a") == "1"
        with pytest.raises(kdb.KDBException, match="has no dir:/"):
            kdb.KDB(bus="system", directory=tmp_path)


if os.geteuid() == 0:

    @pytest.mark.needs("gdbus")
    @pytest.mark.parametrize("arguments", WRITES, ids=[each[0] for each in WRITES])
    def test_a_stranger_may_only_read(
        bus: PrivateBus, tmp_path: Path, arguments: tuple[str, ...]
    ) -> None:
        with serving(bus, tmp_path):
            assert call(bus, 0, "SetString", "user:/a", "1") == (0, "(uint64 1,)")
            code, told = call(bus, NOBODY, *arguments)
            assert (code, told) == (1, f"Error: {REFUSAL}")
            assert call(bus, NOBODY, "GetString", "user:/a") == (0, "('1',)")
            assert call(bus, NOBODY, "List", "user:/", "", "0") == (0, "(['user:/a'], false)")
            assert call(bus, NOBODY, "ListMounts")[0] == 0
            assert call(bus, 0, *arguments)[0] == (arguments[0] in ("RemoveMeta", "Unmount"))

    @pytest.mark.needs("gdbus")
    def test_root_and_the_user_that_it_runs_as_may_write(bus: PrivateBus) -> None:
        become = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        with tempfile.TemporaryDirectory(prefix="kdbd-own-") as directory:
            kdbd = serving(bus, Path(directory), *become)
            for each in (kdbd.directory, kdbd.home, kdbd.work):
                os.chown(each, NOBODY, NOBODY)
            with kdbd:
                assert call(bus, NOBODY, "SetString", "user:/a", "1") == (0, "(uint64 1,)")
                assert call(bus, 0, "SetString", "user:/a", "2") == (0, "(uint64 2,)")
                assert call(bus, 1, "SetString", "user:/a", "3") == (1, f"Error: {REFUSAL}")
