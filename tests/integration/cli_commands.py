"""What the tests of commands share: lines of shell, transcripts, and what all commands keep to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from caller import Caller
from daemon_process import DaemonProcess

__all__ = ["check", "dumped", "last_revision", "run", "set_meta", "steps"]

_TRANSCRIPTS = Path(__file__).resolve().parents[1] / "data" / "oracle" / "cli"
# libelektra's words; of standard error the first line's meaning counts, but these are short.
_EXACT = re.compile(r"Did not find")


def steps(name: str) -> list[dict[str, Any]]:
    """Return the steps of a transcript."""
    found: list[dict[str, Any]] = json.loads((_TRANSCRIPTS / f"{name}.json").read_text())["steps"]
    return found


def run(kdbd: DaemonProcess, command: str, stdin: str = "") -> tuple[int, str, str]:
    """Run a line of shell as a client; return what it printed as text, whatever the bytes."""
    done = kdbd.run("bash", "-c", command, check=False, text=False, input=stdin.encode())
    output, errors = (each.decode(errors="surrogateescape") for each in (done.stdout, done.stderr))
    return done.returncode, output, errors


def check(kdbd: DaemonProcess, step: Mapping[str, Any]) -> None:
    """Run a step and compare exit code and output; of errors, whether there are any."""
    code, output, errors = run(kdbd, step["cmd"], step.get("stdin", ""))
    assert (code, output) == (step["exit"], step["stdout"]), (step["cmd"], errors)
    assert "Traceback" not in errors
    assert bool(errors) == bool(step["stderr"]), (step["cmd"], errors)
    if _EXACT.match(step["stderr"]):
        assert errors == step["stderr"]


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
