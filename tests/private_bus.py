"""A real dbus-daemon of its own, with its own directory, configuration and socket."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from xml.sax.saxutils import escape

__all__ = ["PrivateBus"]

_START_S = 20.0
_HEAD = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>{kind}</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
"""
_SESSION = """  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="max_completed_connections">10000</limit>
  <limit name="max_connections_per_user">10000</limit>
  <limit name="max_replies_per_connection">50000</limit>
"""
# The default policy that Debian's dbus package ships, without what needs root or a fixed path.
_SYSTEM = """  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus"
           send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus"
           send_interface="org.freedesktop.DBus.Properties"/>
    <deny send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"
          send_member="UpdateActivationEnvironment"/>
    <deny send_destination="org.freedesktop.DBus"
          send_interface="org.freedesktop.DBus.Debug.Stats"/>
  </policy>
  <policy user="root">
    <allow send_destination="org.freedesktop.DBus"
           send_interface="org.freedesktop.DBus.Monitoring"/>
  </policy>
"""


class PrivateBus:
    """One bus, startable, stoppable, and restartable at the same address.

    `extra` is put into the configuration: limits, policies, service directories. A bus of type
    `system` has the stock default policy, and the policies of the folders in `policies`.
    """

    def __init__(
        self,
        kind: Literal["session", "system"] = "session",
        *,
        extra: str = "",
        policies: tuple[Path, ...] = (),
    ) -> None:
        # A socket's path holds 107 bytes, so not below pytest's long directories.
        self.directory = Path(tempfile.mkdtemp(prefix="kdbd-bus-"))
        self.directory.chmod(0o755)  # other users may connect to a system bus
        self.kind = kind
        self.socket = self.directory / "bus"
        self.log = self.directory / "log"
        self.address = f"unix:path={self.socket}"
        self._process: subprocess.Popen[bytes] | None = None
        included = "".join(f"  <includedir>{escape(str(path))}</includedir>\n" for path in policies)
        (self.directory / "bus.conf").write_text(
            _HEAD.format(kind=kind, socket=self.socket)
            + (_SESSION if kind == "session" else _SYSTEM)
            + included
            + extra
            + "</busconfig>\n"
        )

    @property
    def pid(self) -> int:
        """Return the process id of the running bus."""
        assert self._process is not None, "the bus is not running"
        return self._process.pid

    def start(self) -> None:
        """Start the bus; return when it listens."""
        assert self._process is None, "the bus runs already"
        read_end, write_end = os.pipe()
        # Not a pipe: dbus-daemon logs each message that it refuses, and would block in the end.
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "dbus-daemon",
                    "--nofork",
                    "--nosyslog",
                    "--nopidfile",
                    f"--print-address={write_end}",
                    f"--config-file={self.directory / 'bus.conf'}",
                ],
                pass_fds=(write_end,),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        os.close(write_end)
        with open(read_end, "rb") as addresses:
            assert select.select([addresses], [], [], _START_S)[0], "dbus-daemon says nothing"
            if not addresses.readline():
                self.kill()
                raise RuntimeError(self.log.read_text())

    def stop(self) -> None:
        """End the bus, if it runs."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the bus as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, with_signal: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(with_signal)
            process.send_signal(signal.SIGCONT)
            process.wait(timeout=_START_S)

    def restart(self) -> None:
        """Kill the bus and start another one at the same address."""
        self.kill()
        self.start()

    def suspend(self) -> None:
        """Stop the process (SIGSTOP); return when it stands."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def resume(self) -> None:
        """Let a suspended bus go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def environment(self) -> dict[str, str]:
        """Return the environment variables that make programs use this bus."""
        return {f"DBUS_{self.kind.upper()}_BUS_ADDRESS": self.address}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
