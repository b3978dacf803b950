"""Real file systems that are full or read-only, in a mount namespace of the test's own.

Nothing is left behind on the machine, however a test ends. Where the tests do not run as root, an
unprivileged user namespace allows the mounts.
"""

from __future__ import annotations

import errno
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["MountNamespace"]

_SERVE = 'while read -r command; do eval "$command" && echo done || echo failed; done'
_BLOCK = 4096


class MountNamespace:
    """Mounts that only the processes started by ``command`` see, and the test through ``see``."""

    def __init__(self) -> None:
        rootless = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
        self._holder = subprocess.Popen(
            ["unshare", "--mount", *rootless, "sh", "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._do("true")

    def mount(self, *arguments: str | Path) -> None:
        """Make one mount; the arguments are those of the program."""
        self._do(shlex.join(["mount", *map(str, arguments)]))

    def mount_tmpfs(self, directory: Path, *, size: str = "2m", mode: str = "0755") -> None:
        """Mount an empty file system of this size, which is as full as it can be when filled."""
        directory.mkdir(parents=True, exist_ok=True)
        self.mount("-t", "tmpfs", "-o", f"size={size},mode={mode}", "tmpfs", directory)

    def mount_read_only(self, directory: Path) -> None:
        """Let a directory be read-only, also for root."""
        self.mount("--bind", directory, directory)
        self.mount("-o", "remount,bind,ro", directory)

    def command(self, *command: str) -> Sequence[str]:
        """Answer a command that runs kdbd, or another, with these mounts."""
        rootless = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        target = f"--target={self._holder.pid}"
        program = command or (sys.executable, "-m", "kdbd")
        return ["nsenter", target, "--mount", *rootless, f"--wd={os.getcwd()}", *program]

    def see(self, path: Path) -> Path:
        """Answer a path that leads from outside to what lies at ``path`` inside."""
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def fill(self, directory: Path) -> Path:
        """Take all that is free; remove the answered file to give it back."""
        filler = self.see(directory) / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * _BLOCK)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        return filler

    def _do(self, command: str) -> None:
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.write(f"{command}\n")
        self._holder.stdin.flush()
        answer = self._holder.stdout.readline()
        assert answer == "done\n", (command, answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._holder.stdin is not None
        assert self._holder.stdout is not None
        self._holder.stdin.close()
        self._holder.stdout.close()
        self._holder.wait(30)
