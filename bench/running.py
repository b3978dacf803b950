"""A subject at work: its own bus, its own files, its process."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from jeepney import DBusAddress, MatchRule, message_bus, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection

import kdb
from kdb.wire import INTERFACE, OBJECT_PATH
from private_bus import PrivateBus
from raw import checked
from subjects import Subject

__all__ = ["Connecting", "NotStarted", "Running"]

# A million keys take about a minute to be read from their file the first time.
_START_S = 600.0
_STOP_S = 60.0
# Between two looks whether the service has ended instead.
_LOOK_S = 1.0


class NotStarted(Exception):
    """A service does not take its name; the text has what it said."""


class Running:
    """One service in `directory`, started by the context manager or by `start`."""

    def __init__(self, subject: Subject, directory: Path) -> None:
        self.subject = subject
        self.directory = directory
        self.files = directory / "config"
        self.bus = PrivateBus()
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def seed(self, count: int) -> None:
        """Write the files with so many keys, before the first start."""
        self.files.mkdir(parents=True)
        self.subject.seed(self.files, count)

    @property
    def pid(self) -> int:
        """The service's process."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Self:
        self.bus.__enter__()
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._process is not None:
                self.stop()
        finally:
            self.bus.__exit__(kind, error, traceback)

    def start(self) -> float:
        """Start the service; return the seconds until it answers for a key.

        dconf is not asked: its service reads when it first writes.
        """
        with self.connect() as client:
            name = self.subject.bus_name
            rule = MatchRule(
                type="signal",
                sender="org.freedesktop.DBus",
                interface="org.freedesktop.DBus",
                member="NameOwnerChanged",
            )
            rule.add_arg_condition(0, name)
            checked(client.send_and_get_reply(message_bus.AddMatch(rule)))
            with client.filter(rule) as arrived, self._log.open("ab") as log:
                began = time.perf_counter()
                self._process = subprocess.Popen(
                    self.subject.command(self.files),
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
                self._wait_for(lambda: client.recv_until_filtered(arrived, timeout=_LOOK_S))
            if self.subject.get_message is not None:
                client.send_and_get_reply(self.subject.get_message(0))
            return time.perf_counter() - began

    def _wait_for(self, look: Callable[[], object]) -> None:
        """Look until that does not end by TimeoutError, or the service has ended."""
        assert self._process is not None
        until = time.perf_counter() + _START_S
        while self._process.poll() is None and time.perf_counter() < until:
            try:
                look()
            except TimeoutError:
                continue
            return
        said = self._log.read_text(errors="replace")[-2000:]
        raise NotStarted(f"{self.subject.name} does not start; it said:\n{said}")

    def stop(self) -> None:
        """End the service by SIGTERM and wait for that."""
        process, self._process = self._process, None
        assert process is not None
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the service and of its clients."""
        return {
            **os.environ,
            **self.bus.environment(),
            **self.subject.environment,
            "HOME": str(self.directory),
            "XDG_CONFIG_HOME": str(self.files),
        }

    def database(self) -> kdb.KDB:
        """Open kdbd by the library, from the service's own directory."""
        address = "DBUS_SESSION_BUS_ADDRESS"
        before = os.environ.get(address)
        os.environ[address] = self.bus.address
        try:
            return kdb.KDB(directory=self.directory)
        finally:
            if before is None:
                del os.environ[address]
            else:
                os.environ[address] = before

    def sync(self) -> None:
        """Let kdbd write every file; the peers have nothing such."""
        if self.subject.is_kdbd:
            message = new_method_call(
                DBusAddress(OBJECT_PATH, self.subject.bus_name, INTERFACE), "Sync"
            )
            with self.connect() as client:
                checked(client.send_and_get_reply(message))

    def connect(self) -> Connecting:
        """Return a blocking connection to the bus, as a context manager."""
        return Connecting(self.bus.address)


class Connecting:
    """A jeepney connection that is closed at the end of the block."""

    def __init__(self, address: str) -> None:
        self._connection: DBusConnection = open_dbus_connection(address)

    def __enter__(self) -> Any:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()
