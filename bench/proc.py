"""What the kernel tells of a process."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cpu_s", "memory_mb", "peak_mb", "voluntary_switches"]

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Return the processor time of all threads: in nanoseconds where the kernel counts them."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            continue
    if total:
        return total / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_mb(pid: int) -> tuple[float, float]:
    """Return the resident memory, and the share of it that is the process's own (PSS)."""
    values = _fields(Path(f"/proc/{pid}/smaps_rollup"))
    return values["Rss"] / 1024, values["Pss"] / 1024


def peak_mb(pid: int) -> float:
    """Return the largest resident memory so far."""
    return _fields(Path(f"/proc/{pid}/status"))["VmHWM"] / 1024


def voluntary_switches(pid: int) -> dict[int, int]:
    """Return for each thread how often it waited: each wake-up from idleness ends in one."""
    return {
        int(task.name): _fields(task / "status")["voluntary_ctxt_switches"]
        for task in Path(f"/proc/{pid}/task").iterdir()
    }


def _fields(path: Path) -> dict[str, int]:
    found = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        words = rest.split()
        if words and words[0].isdigit():
            found[name] = int(words[0])
    return found
