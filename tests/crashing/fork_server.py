"""A process with kdbd imported that forks a daemon within milliseconds, as often as asked.

Requests and answers are JSON, one packet each:

    {"fork": [arguments], "environment": {…}} + stdout, stderr  ->  {"pid": …}
    {"wait": pid}                                               ->  {"code": …}, once it ended

A daemon stays a zombie until it is waited for, so its process id means nobody else. It is killed
when the server ends, so that no failed test leaves one behind.
"""

from __future__ import annotations

import array
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from daemon_process import DaemonProcess

from private_bus import PrivateBus

__all__ = ["ForkServer", "Forked", "ForkedDaemon", "serve"]

_PACKET_BYTES = 1 << 17
_WAIT_S = 30.0
# prctl(2): the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1
_SCRIPT = Path(__file__).resolve().parents[1] / "failpoint_daemon.py"


def serve(descriptor: int, run: Callable[[Sequence[str]], int]) -> int:
    """Fork a daemon for each request, until the socket is closed."""
    with socket.socket(fileno=descriptor) as asked:
        while True:
            packet, fds, _, _ = socket.recv_fds(asked, _PACKET_BYTES, 2)
            if not packet:
                return 0
            request = json.loads(packet)
            if "wait" in request:
                _, status = os.waitpid(request["wait"], 0)
                answer = {"code": os.waitstatus_to_exitcode(status)}
            else:
                pid = os.fork()
                if pid == 0:
                    asked.close()
                    _be_daemon(request, fds, run)
                answer = {"pid": pid}
            for fd in fds:
                os.close(fd)
            asked.send(json.dumps(answer).encode())


def _be_daemon(
    request: Mapping[str, Any], fds: Sequence[int], run: Callable[[Sequence[str]], int]
) -> None:
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        for fd, standard in zip(fds, (1, 2), strict=True):
            os.dup2(fd, standard)
            os.close(fd)
        os.environ.clear()
        os.environ.update(request["environment"])
        code = run(request["fork"])
    except BaseException:  # noqa: BLE001 - what ends a process is told on its standard error
        traceback.print_exc()
    finally:
        # Not past the server's own clean-up.
        os._exit(code)


class ForkServer:
    """The server's process; one request at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(_SCRIPT), "--fork-server", str(theirs.fileno())],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    def close(self) -> None:
        """End the server."""
        self._socket.close()
        self._process.wait(_WAIT_S)

    def fork(self, arguments: Sequence[str], environment: Mapping[str, str]) -> Forked:
        """Start a daemon."""
        out, err = os.pipe(), os.pipe()
        request = {"fork": list(arguments), "environment": dict(environment)}
        packet = json.dumps(request).encode()
        rights = array.array("i", (out[1], err[1]))
        self._socket.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        answer = self._answer()
        os.close(out[1])
        os.close(err[1])
        return Forked(self, answer["pid"], os.fdopen(out[0], "rb"), os.fdopen(err[0], "rb"))

    def wait(self, pid: int) -> int:
        """Wait for a daemon's end; answer its exit code, negative for a signal."""
        self._socket.send(json.dumps({"wait": pid}).encode())
        return int(self._answer()["code"])

    def _answer(self) -> dict[str, Any]:
        assert select.select([self._socket], [], [], _WAIT_S)[0], "the fork server hangs"
        packet = self._socket.recv(_PACKET_BYTES)
        assert packet, "the fork server is gone"
        answer: dict[str, Any] = json.loads(packet)
        return answer


class Forked:
    """A daemon of the server's, with the methods of subprocess.Popen that are used."""

    def __init__(self, server: ForkServer, pid: int, stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.pid = pid
        self.stdout = stdout
        self.stderr = stderr
        self._server = server
        self._descriptor = os.pidfd_open(pid)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal; to one that has ended too."""
        signal.pidfd_send_signal(self._descriptor, number)

    def wait(self, timeout: float) -> int:
        """Wait for its end; answer its exit code, negative for a signal."""
        # Readable once the process has ended.
        if not select.select([self._descriptor], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(["kdbd"], timeout)
        code = self._server.wait(self.pid)
        os.close(self._descriptor)
        return code


class ForkedDaemon(DaemonProcess):
    """A daemon that is forked instead of started, with a failpoint if it is given one."""

    def __init__(self, bus: PrivateBus, directory: Path, server: ForkServer) -> None:
        super().__init__(bus, directory, command=())
        self._server = server

    def set_failpoint(self, name: str, *, passes: int, asleep: bool) -> None:
        """Set the failpoint of the next start; ``asleep``, it counts from SIGUSR1 on."""
        self.environment = {
            "KDBD_FAILPOINT": name,
            "KDBD_FAILPOINT_PASSES": str(passes),
            "KDBD_FAILPOINT_ASLEEP": str(int(asleep)),
        }

    def _spawn(self) -> Any:
        return self._server.fork(self.arguments(), {**self.client_environment, **self.environment})
