"""Transcripts of libelektra's kdb, run again with ours: `tests/data/oracle/cli`.

Standard output and exit codes are the interface. Of standard error the first line's meaning
counts, not its words; so it is compared only where libelektra's is as short as ours.
"""

from __future__ import annotations

import json
import re
import sysconfig
from pathlib import Path
from typing import Any

from daemon_process import DaemonProcess

__all__ = ["KDB", "check", "command_of", "run", "steps"]

KDB = Path(sysconfig.get_path("scripts")) / "kdb"

_TRANSCRIPTS = Path(__file__).parent / "data" / "oracle" / "cli"
_EXACT = re.compile("Did not find|Key not found|Metakey not found")
_COMMAND = re.compile(r"kdb +([a-z][a-z-]*)")


def steps(name: str) -> list[dict[str, Any]]:
    """Return the steps of a transcript."""
    found: list[dict[str, Any]] = json.loads((_TRANSCRIPTS / f"{name}.json").read_text())["steps"]
    return found


def command_of(step: dict[str, Any]) -> str:
    """Return the command of kdb that a step calls, "" where it calls none."""
    found = _COMMAND.match(step["cmd"])
    return found[1] if found else ""


def run(kdbd: DaemonProcess, command: str, stdin: str = "") -> tuple[int, str, str]:
    """Run a line of shell as a client; return what it printed as text, whatever the bytes."""
    done = kdbd.run("bash", "-c", command, check=False, text=False, input=stdin.encode())
    output, errors = (each.decode(errors="surrogateescape") for each in (done.stdout, done.stderr))
    return done.returncode, output, errors


def check(kdbd: DaemonProcess, step: dict[str, Any]) -> None:
    """Run a step and compare; one that is superseded is refused with exit code 5."""
    code, output, errors = run(kdbd, step["cmd"], step.get("stdin", ""))
    expected = step["exit"], _at_home(kdbd, step["stdout"])
    superseded = step.get("superseded", "")
    if superseded:
        expected = 5, ""
    assert (code, output) == expected, (step["cmd"], errors)
    assert "Traceback" not in errors
    assert bool(errors) == bool(step["stderr"] or superseded), (step["cmd"], errors)
    if _EXACT.match(step["stderr"]):
        assert errors == step["stderr"]
    if "C01320" in step["stderr"] + superseded:
        assert "C01320" in errors


def _at_home(kdbd: DaemonProcess, text: str) -> str:
    """Put the directories of this kdbd in place of what stands for them."""
    places = {"HOME": kdbd.home, "PWD": kdbd.work, "SYSTEM": kdbd.system, "SPEC": kdbd.spec}
    for name, path in places.items():
        text = text.replace(f"${name}/", f"{path}/")
    return text
