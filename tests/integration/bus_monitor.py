"""A real dbus-monitor, read as a list of signals."""

from __future__ import annotations

import re
import subprocess
import threading
from types import TracebackType
from typing import Any, NamedTuple, Self

__all__ = ["BusMonitor", "Signal"]

_WAIT_S = 30.0
_HEAD = re.compile(
    r"signal time=\S+ sender=(\S+) -> destination=(.*?) serial=\d+ path=(\S+?);"
    r" interface=(\S+?); member=(\S+)$"
)


class Signal(NamedTuple):
    """A signal as dbus-monitor prints it, its arguments as the lines below."""

    path: str
    interface: str
    member: str
    arguments: tuple[str, ...]
    sender: str
    destination: str


class BusMonitor:
    """dbus-monitor with these match rules, from the time that it listens."""

    def __init__(self, address: str, *rules: str) -> None:
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            ["dbus-monitor", "--address", address, *rules],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        # It prints the loss of its own name once it monitors.
        while "member=NameLost" not in self._process.stdout.readline():
            assert self._process.poll() is None, self._process.communicate()[1]
        self._process.stdout.readline()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def signals(self) -> list[Signal]:
        """Answer all signals so far that are whole."""
        found: list[Signal] = []
        with self._news:
            lines = list(self._lines)
        for line in lines:
            head = _HEAD.match(line)
            if head:
                found.append(Signal(head[3], head[4], head[5], (), head[1], head[2]))
            elif found:
                found[-1] = found[-1]._replace(arguments=(*found[-1].arguments, line.strip()))
        return found

    def wait_for(self, *arguments: str, member: str) -> list[Signal]:
        """Wait for a signal with these first arguments; answer all signals before it."""

        def position() -> int | None:
            for at, each in enumerate(self.signals()):
                if each.member == member and each.arguments[: len(arguments)] == arguments:
                    return at
            return None

        with self._news:
            assert self._news.wait_for(lambda: position() is not None, _WAIT_S), (
                member,
                arguments,
                self.signals()[-5:],
            )
        return self.signals()[: position()]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._lines.append(line.rstrip("\n"))
                self._news.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> Any:
        self._process.terminate()
        self._reader.join(_WAIT_S)
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdout.close()
        self._process.stderr.close()
        self._process.wait(_WAIT_S)
