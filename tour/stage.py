"""The stage of the tour: a private bus, kdbd on a scratch store, dbus-monitor, and commands.

Everything is real: the programs, their output, and the times. Each program's output is read line
by line by a thread of its own into one list, in which the story looks for what it expects.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["Lines", "NotAsExpected", "Stage"]

WAIT_S: Final = 30.0
"""Everything here takes milliseconds; a machine that swaps still makes it in this time."""

_BUS: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class NotAsExpected(Exception):
    """A step ended otherwise than the tour says."""


class Lines:
    """The lines that a program printed so far, and a way to wait for more."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._echo: Callable[[str], None] | None = None

    def read(self, program: subprocess.Popen[str]) -> None:
        """Take in all that `program` prints, until it ends."""
        assert program.stdout is not None
        with program.stdout as output:
            for line in output:
                with self._changed:
                    self._lines.append(line.rstrip("\n"))
                    if self._echo is not None:
                        self._echo(self._lines[-1])
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return len(self._lines)

    def since(self, start: int) -> list[str]:
        """Return the lines from number `start` on."""
        with self._changed:
            return self._lines[start:]

    def echo(self, show: Callable[[str], None]) -> None:
        """Hand every further line to `show`."""
        with self._changed:
            self._echo = show

    def wait_for(self, text: str, *, since: int = 0) -> int:
        """Wait for a line with `text` and return the number of the line after it.

        Raises NotAsExpected when the program ends or says nothing such for `WAIT_S`.
        """
        deadline = time.monotonic() + WAIT_S
        with self._changed:
            unchecked = since
            while True:
                for number in range(unchecked, len(self._lines)):
                    if text in self._lines[number]:
                        return number + 1
                unchecked = len(self._lines)
                if self._ended or not self._changed.wait(deadline - time.monotonic()):
                    said = "\n".join(self._lines[since:]) or "nothing"
                    raise NotAsExpected(f"no line with {text!r} came; it said:\n{said}")


class Stage:
    """The running programs, each in the scratch directory `root`; a context manager."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.stores = {name: root / name for name in ("user", "system", "spec", "state")}
        self.socket = root / "bus"
        self._service: subprocess.Popen[str] | None = None
        self._programs: list[subprocess.Popen[str]] = []
        self._readers: list[threading.Thread] = []
        self.scripts = Path(sys.executable).parent
        self.environment = {
            **os.environ,
            "DBUS_SESSION_BUS_ADDRESS": self.address,
            "PATH": f"{self.scripts}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def address(self) -> str:
        """The address of the private bus."""
        return f"unix:path={self.socket}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for program in reversed(self._programs):
            program.terminate()
            try:
                program.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        for reader in self._readers:
            reader.join()

    def start(self, *command: str) -> Lines:
        """Start a program and return what it prints."""
        program = subprocess.Popen(
            command,
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="backslashreplace",
            # Ctrl-C is for the tour, which ends its programs in order.
            start_new_session=True,
        )
        self._programs.append(program)
        lines = Lines()
        reader = threading.Thread(target=lines.read, args=(program,), daemon=True)
        reader.start()
        self._readers.append(reader)
        return lines

    def start_bus(self) -> None:
        """Start a session bus of its own."""
        configuration = self.root / "bus.conf"
        configuration.write_text(_BUS.format(socket=self.socket), encoding="utf-8")
        bus = self.start(
            "dbus-daemon",
            "--nofork",
            "--nosyslog",
            "--print-address",
            f"--config-file={configuration}",
        )
        bus.wait_for("unix:path=")

    def start_service(self) -> Lines:
        """Start kdbd on the scratch stores; return its output once it says that it is ready."""
        folders = [f"--{name}-dir={folder}" for name, folder in self.stores.items()]
        path = self.root / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(path))
            notify.settimeout(0.1)
            self.environment["NOTIFY_SOCKET"] = str(path)
            output = self.start("kdbd", "--bus=session", "--log-format=console", *folders)
            del self.environment["NOTIFY_SOCKET"]
            self._service = self._programs[-1]
            deadline = time.monotonic() + WAIT_S
            while not self._is_ready(notify):
                if self._service.poll() is not None or time.monotonic() > deadline:
                    said = "\n".join(output.since(0)) or "nothing"
                    raise NotAsExpected(f"kdbd does not start; it said:\n{said}")
        return output

    @staticmethod
    def _is_ready(notify: socket.socket) -> bool:
        try:
            return "READY=1" in notify.recv(4096).decode("utf-8", "replace").splitlines()
        except TimeoutError:
            return False

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command to its end; return its exit status and what it printed."""
        result = subprocess.run(
            command,
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="backslashreplace",
            timeout=WAIT_S,
            check=False,
        )
        return result.returncode, result.stdout

    def wait_for_interrupt(self) -> None:
        """Wait for Ctrl-C. Raises NotAsExpected when kdbd ends by itself."""
        assert self._service is not None
        try:
            status = self._service.wait()
        except KeyboardInterrupt:
            return
        raise NotAsExpected(f"kdbd ended by itself, with status {status}")
