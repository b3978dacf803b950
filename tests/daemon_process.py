"""A real kdbd, as its own process on a private bus, with stores of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from private_bus import PrivateBus

__all__ = ["UNMEASURED", "DaemonProcess"]

_WAIT_S = 30.0

# Without coverage, which doubles the time of a start and of a killed process has nothing.
UNMEASURED = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}


class DaemonProcess:
    """One kdbd: startable, killable, restartable on the same stores.

    ``directory`` holds ``home`` (with ``.config``, the user's store), ``system``, ``spec``,
    ``state`` and ``work``, the directory that commands are run in. ``command`` replaces
    ``python -m kdbd``, so that a test may start one with ports of its own. ``environment`` is what
    its environment has besides, ``clients`` what that of its clients has.
    """

    def __init__(
        self,
        bus: PrivateBus,
        directory: Path | None = None,
        *,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        clients: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "kdbd"),
    ) -> None:
        self.bus = bus
        self.directory = directory or Path(tempfile.mkdtemp(prefix="kdbd-stores-"))
        self.home = self.directory / "home"
        self.user = self.home / ".config"
        self.system = self.directory / "system"
        self.spec = self.directory / "spec"
        self.state = self.directory / "state"
        self.work = self.directory / "work"
        for each in (self.home, self.work):
            each.mkdir(parents=True, exist_ok=True)
        self.options = list(options)
        self.command = list(command)
        self.environment = dict(environment or {})
        self.clients = dict(clients or {})
        self.process: subprocess.Popen[bytes] | None = None
        self.events: list[dict[str, Any]] = []
        self.output = ""
        self._news = threading.Condition()
        self._readers: list[threading.Thread] = []

    @property
    def client_environment(self) -> dict[str, str]:
        """The environment of a client: this bus, this home."""
        return {
            **os.environ,
            "DBUS_SESSION_BUS_ADDRESS": self.bus.address,
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.user),
            **self.clients,
        }

    @property
    def pid(self) -> int:
        """The running daemon's process id."""
        assert self.process is not None
        return self.process.pid

    def arguments(self) -> list[str]:
        """The command line."""
        return [
            *self.command,
            f"--address={self.bus.address}",
            f"--system-dir={self.system}",
            f"--spec-dir={self.spec}",
            f"--user-dir={self.user}",
            f"--state-dir={self.state}",
            "--log-format=json",
            *self.options,
        ]

    def start(self, *, ready: bool = True) -> Self:
        """Start it, and wait until it serves."""
        assert self.process is None, "it runs already"
        self.events.clear()
        self.output = ""
        self.process = self._spawn()
        self._readers = [
            threading.Thread(target=self._read_log, args=(self.process.stderr,), daemon=True),
            threading.Thread(target=self._read_output, args=(self.process.stdout,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        if ready:
            try:
                self.wait_for_event("ready")
            except BaseException:
                self.kill()
                raise
        return self

    def is_ready(self, timeout_s: float | None = None) -> bool:
        """Wait until it serves, or is over, or so long; tell whether it serves."""
        with self._news:
            found = self._news.wait_for(
                lambda: self._having("ready", 1) or not self._alive(), timeout_s or _WAIT_S
            )
            assert found or timeout_s, f"neither ready nor over; the log has {self.events}"
            return self._having("ready", 1)

    def wait_for_event(self, event: str, count: int = 1) -> dict[str, Any]:
        """Wait until the log has this event so many times; answer the last of them."""
        with self._news:
            found = self._news.wait_for(
                lambda: self._having(event, count) or not self._alive(), timeout=_WAIT_S
            )
            if not found or not self._having(event, count):
                raise AssertionError(f"no {event}; the log has {self.events}")
            return [each for each in self.events if each.get("event") == event][count - 1]

    def wait_for_output(self, text: str) -> None:
        """Wait until standard output has this text."""
        with self._news:
            if not self._news.wait_for(lambda: text in self.output, timeout=_WAIT_S):
                raise AssertionError(f"no {text!r}; the output is {self.output!r}")

    def stop(self) -> int:
        """End it by SIGTERM; answer its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._end(signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its own end; answer its exit code."""
        assert self.process is not None
        code = self.process.wait(_WAIT_S)
        self._over()
        return code

    def suspend(self) -> None:
        """Stop the process (SIGSTOP); return when it stands."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Let a suspended process go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def wake_failpoint(self) -> None:
        """Let the failpoint count from now on, where it was asleep (`crashing.failpoints`)."""
        assert self.process is not None
        self.process.send_signal(signal.SIGUSR1)

    def restart(self) -> Self:
        """Stop and start it."""
        self.stop()
        return self.start()

    def run(self, *arguments: str, check: bool = True, **options: Any) -> Any:
        """Run a command as a client, in the work directory."""
        settings: dict[str, Any] = {
            "env": self.client_environment,
            "cwd": self.work,
            "capture_output": True,
            "text": True,
            "timeout": _WAIT_S,
            **options,
        }
        return subprocess.run(arguments, check=check, **settings)

    def _spawn(self) -> subprocess.Popen[bytes]:
        """Make the process; a kind of daemon of its own may do it otherwise."""
        return subprocess.Popen(
            self.arguments(),
            env={**self.client_environment, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def _end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.wait()

    def _over(self) -> None:
        assert self.process is not None
        for reader in self._readers:
            reader.join(_WAIT_S)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        self.process = None

    def _alive(self) -> bool:
        return self._readers[0].is_alive()

    def _having(self, event: str, count: int) -> bool:
        return sum(1 for each in self.events if each.get("event") == event) >= count

    def _read_log(self, stream: Any) -> None:
        for line in stream:
            try:
                event = json.loads(line)
            except ValueError:
                event = {"event": "raw", "text": line.decode(errors="replace").rstrip("\n")}
            with self._news:
                self.events.append(event)
                self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def _read_output(self, stream: Any) -> None:
        for line in stream:
            with self._news:
                self.output += line.decode(errors="replace")
                self._news.notify_all()

    def __enter__(self) -> Self:
        return self if self.process is not None else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process is not None:
            self.kill()
        # pytest shows it with a test that failed.
        for event in self.events:
            if event.get("level") != "info":
                sys.stdout.write(f"{event.pop('exception', '')}\n{event}\n")
