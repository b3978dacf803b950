"""What the tests of commands do with kdbd beside the command that they test."""

from __future__ import annotations

from caller import Caller
from daemon_process import DaemonProcess
from transcripts import run

__all__ = ["dumped", "last_revision", "set_meta"]


def dumped(kdbd: DaemonProcess, name: str) -> str:
    """Return all keys at and below a name, in the dump format."""
    code, output, errors = run(kdbd, f"kdb export '{name}' dump")
    assert (code, errors) == (0, "")
    return output


def set_meta(kdbd: DaemonProcess, name: str, meta: str, value: str) -> None:
    """Set a metadatum of a key, as a client without `kdb`."""
    with Caller(kdbd.bus.address) as caller:
        caller.call("SetMeta", "sss", name, meta, value)


def last_revision(kdbd: DaemonProcess) -> int:
    """Return the revision of the last commit."""
    with Caller(kdbd.bus.address) as caller:
        *_, revision = caller.call("GetAll", "ssu", "user:/", "", 1)
    return int(revision)
