"""On a desktop the first `kdb get` starts kdbd."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jeepney import DBusAddress, MessageType, new_method_call
from jeepney.io.blocking import open_dbus_connection

from kdb.protocol import BUS_NAME
from private_bus import PrivateBus

ROOT = Path(__file__).parents[2]
BUS = DBusAddress("/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus")
WAIT_S = 20


@pytest.fixture(params=["checkout", "100% my $HOME dir; #1"])
def activating_bus(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PrivateBus]:
    """Run a bus that knows what `make install-dev` installs, on stores of the test's own."""
    programs = tmp_path / request.param
    programs.mkdir()
    kdbd = programs / "kdbd"
    kdbd.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kdbd "$@"\n', encoding="utf-8")
    kdbd.chmod(0o755)
    python = programs / "python"
    python.symlink_to(os.path.realpath(sys.executable))
    subprocess.run(
        [python, ROOT / "tooling" / "install_dev.py"],
        env={"HOME": str(tmp_path), "PATH": ""},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    services = tmp_path / ".local" / "share" / "dbus-1" / "services"
    (service,) = services.iterdir()
    stores = " ".join(
        f"--{name}-dir={tmp_path / name}" for name in ("user", "system", "spec", "state")
    )
    text = service.read_text(encoding="utf-8")
    service.write_text(text.replace("--bus session", f"--bus session {stores}"), encoding="utf-8")
    with PrivateBus(extra=f"  <servicedir>{services}</servicedir>\n") as running:
        yield running
        # Where the test failed, kdbd is not to outlive it, waiting for the bus to come back.
        process = process_of_service(running)
        if process is not None:
            os.kill(process, signal.SIGKILL)


def process_of_service(bus: PrivateBus) -> int | None:
    """Return the id of the process that has kdbd's name on the bus."""
    ask = new_method_call(BUS, "GetConnectionUnixProcessID", "s", (BUS_NAME,))
    with open_dbus_connection(bus.address) as connection:
        reply = connection.send_and_get_reply(ask, timeout=WAIT_S)
    found = reply.header.message_type is MessageType.method_return
    return int(reply.body[0]) if found else None


def test_the_first_call_starts_kdbd_which_ends_when_told(activating_bus: PrivateBus) -> None:
    environment = {**os.environ, **activating_bus.environment()}
    result = subprocess.run(
        ["kdb", "set", "user:/started/by", "the bus"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (
        0,
        'Create a new key user:/started/by with string "the bus"\n',
        "",
    )
    process = process_of_service(activating_bus)
    assert process is not None
    # It is no child of this test; a descriptor of the process tells when it ended.
    ended = os.pidfd_open(process)
    try:
        os.kill(process, signal.SIGTERM)
        assert select.select([ended], [], [], WAIT_S)[0]
    finally:
        os.close(ended)
    assert process_of_service(activating_bus) is None
