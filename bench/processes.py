"""Measuring commands as processes: from the start to the end, as a script sees it.

Beside ``kdb get`` and ``kdb set`` are the peers' own commands, and Python's start alone, which is
the floor of every command in Python. gsettings needs a schema and stores in dconf.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from calls import Clock
from figures import Figure, percentile
from plan import Plan
from running import Running
from seeds import path_of

__all__ = ["PROGRAMS", "measure"]

PROGRAMS: Final = {
    "xfconfd": ("xfconf-query",),
    "dconf": ("dconf", "gsettings", "glib-compile-schemas"),
}
"""What is called besides kdb, by subject."""

_MS: Final = 1e3
_SCHEMA: Final = "org.libelektra.bench"

Command = Callable[[], list[str]]


def measure(running: Running, keys: int, plan: Plan, clock: Clock) -> dict[str, Figure]:
    """Return what each command takes, in ms, by the name of its row."""
    name = path_of(keys // 2)
    environment = dict(running.environment)
    if running.subject.is_kdbd:
        commands = _kdb(f"user:{name}", clock)
    elif running.subject.name == "xfconfd":
        commands = _xfconf(name, clock)
    else:
        environment |= _schema(running.directory, name)
        commands = _dconf(name, clock)
    return {what: _time(command, environment, plan) for what, command in commands.items()}


def _kdb(name: str, clock: Clock) -> dict[str, Command]:
    kdb = str(Path(sys.executable).with_name("kdb"))
    return {
        "process-get": lambda: [kdb, "get", name],
        "process-set": lambda: [kdb, "set", "-q", name, f"{next(clock):012d}"],
        "process-python": lambda: [sys.executable, "-c", "pass"],
    }


def _xfconf(name: str, clock: Clock) -> dict[str, Command]:
    query = ["xfconf-query", "--channel", "bench", "--property", name]
    return {
        "process-get": lambda: query,
        "process-set": lambda: [*query, "--set", f"{next(clock):012d}"],
    }


def _dconf(name: str, clock: Clock) -> dict[str, Command]:
    parent, _, key = name.rpartition("/")
    schema = f"{_SCHEMA}:{parent}/"
    return {
        "process-get": lambda: ["dconf", "read", name],
        "process-set": lambda: ["dconf", "write", name, f"'{next(clock):012d}'"],
        "gsettings-get": lambda: ["gsettings", "get", schema, key],
        "gsettings-set": lambda: ["gsettings", "set", schema, key, f"{next(clock):012d}"],
    }


def _schema(directory: Path, name: str) -> Mapping[str, str]:
    """Compile a schema that has the key; return where gsettings finds it. Raises OSError."""
    schemas = directory / "schemas"
    if not schemas.exists():
        schemas.mkdir()
        key = name.rpartition("/")[2]
        (schemas / f"{_SCHEMA}.gschema.xml").write_text(
            f'<schemalist><schema id="{_SCHEMA}"><key name="{key}" type="s">'
            "<default>''</default></key></schema></schemalist>\n",
            encoding="ascii",
        )
        subprocess.run(["glib-compile-schemas", "--strict", schemas], check=True)
    return {"GSETTINGS_SCHEMA_DIR": str(schemas), "GSETTINGS_BACKEND": "dconf"}


def _time(command: Command, environment: Mapping[str, str], plan: Plan) -> Figure:
    """Return the p50 of each run. Raises CalledProcessError for a command that fails."""
    medians: list[float] = []
    all_times: list[float] = []
    for _ in range(3):
        _run(command(), environment)
    for _ in range(plan.runs):
        times: list[float] = []
        until = time.perf_counter() + plan.run_s
        while len(times) < plan.calls and time.perf_counter() < until:
            times.append(_run(command(), environment))
        medians.append(percentile(times, 50))
        all_times += times
    more = {"p99": percentile(all_times, 99), "calls": float(len(all_times))}
    return Figure(tuple(medians), more)


def _run(command: list[str], environment: Mapping[str, str]) -> float:
    """Run a command as a shell would, and return the milliseconds until it had ended."""
    began = time.perf_counter()
    pid = os.posix_spawnp(command[0], command, environment, file_actions=_SILENT)
    _, status = os.waitpid(pid, 0)
    took = (time.perf_counter() - began) * _MS
    if status:
        raise subprocess.CalledProcessError(os.waitstatus_to_exitcode(status), command)
    return took


_SILENT: Final = [
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
]
