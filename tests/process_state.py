"""What a process is at, as Linux tells it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["wait_until_it_asks"]


def wait_until_it_asks(pid: int) -> None:
    """Return when the process sleeps with a socket open: it has asked the bus and waits."""
    while True:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "S" and any("socket:" in each for each in _open_files(pid)):
            return


def _open_files(pid: int) -> Iterator[str]:
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield os.readlink(each)
        except FileNotFoundError:
            continue  # closed meanwhile
