"""One authenticated connection to a bus: its socket, and the messages that come in on it.

kdbd connects by itself, since dbus-next's `MessageBus` blocks the loop where a bus is slow to
accept (`connect` in the constructor) and spins for ever where a bus closes during
authentication; it leaves its socket to the collector, reads each message with three system
calls, and ends for one header field that it does not know.
"""

from __future__ import annotations

import asyncio
import os
import socket
from array import array
from collections import deque
from collections.abc import Callable

from kdbd.bus.frames import Frame, Frames, ProtocolError

__all__ = ["Connection", "open_connection"]

_READ_BYTES = 64 << 10
_MAX_READ_BYTES = 1 << 20
# The kernel passes at most 253 descriptors with one message (SCM_MAX_FD).
_RIGHTS_BYTES = socket.CMSG_SPACE(253 * array("i").itemsize)
# "OK <32 digits>" and "AGREE_UNIX_FD" are all that is expected.
_MAX_GREETING_BYTES = 4096


class Connection:
    """The reading side of a connection, and the owner of its socket."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connected: socket.socket, bus: str) -> None:
        """Own `connected`, a socket whose authentication is done. `bus` is the bus's GUID."""
        self.socket = connected
        self.bus = bus
        self.lost: asyncio.Future[OSError] = loop.create_future()
        self._loop = loop
        self._frames = Frames()
        self._whole: deque[Frame] = deque()
        self._on_arrival: Callable[[], None]
        self._on_frame: Callable[[Frame], None]
        self._on_read: Callable[[], None]
        self._on_lost: Callable[[], None] | None = None
        self._reading = False

    def start(
        self,
        *,
        on_arrival: Callable[[], None],
        on_frame: Callable[[Frame], None],
        on_read: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        """Call `on_frame` for each message, which closes the message's descriptors.

        For all that one read brought, `on_arrival` is called once before and `on_read` once after;
        `on_lost` once, the socket being open still.
        """
        self._on_arrival, self._on_read = on_arrival, on_read
        self._on_frame, self._on_lost = on_frame, on_lost
        self.resume()

    def pause(self) -> None:
        """Read no more, and hand on nothing more that was read, until `resume`."""
        if self._reading:
            self._loop.remove_reader(self.socket)
            self._reading = False

    def resume(self) -> None:
        """Hand on what was read, and read again."""
        if not self._reading and not self.lost.done():
            self._loop.add_reader(self.socket, self._readable)
            self._reading = True
            if self._whole:
                self._loop.call_soon(self._hand_on)

    def lose(self, reason: OSError) -> None:
        """Stop, as the connection is of no more use; `lost` tells why."""
        self.pause()
        if not self.lost.done():
            self.lost.set_result(reason)
            if self._on_lost is not None:
                self._on_lost()

    def close(self) -> None:
        """Close the socket, and the descriptors of a message that never came whole."""
        self.lose(ConnectionAbortedError("closed"))
        _close(self._frames.abandon())
        while self._whole:
            _close(self._whole.popleft().fds)
        self.socket.close()

    def _readable(self) -> None:
        wanted = min(max(_READ_BYTES, self._frames.missing_bytes), _MAX_READ_BYTES)
        try:
            chunk, ancillary, flags, _ = self.socket.recvmsg(
                wanted, _RIGHTS_BYTES, socket.MSG_CMSG_CLOEXEC
            )
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.lose(error)
            return
        fds = _received(ancillary) if ancillary else ()
        if not chunk:
            self.lose(ConnectionResetError("the bus closed the connection"))
            return
        if flags & socket.MSG_CTRUNC:
            # The kernel had no free descriptor; the message comes without and is refused.
            _close(fds)
            fds = ()
        try:
            self._whole.extend(self._frames.feed(chunk, fds))
        except ProtocolError as error:
            self.lose(error)
        self._hand_on()

    def _hand_on(self) -> None:
        self._on_arrival()
        try:
            while self._whole and self._reading:
                self._on_frame(self._whole.popleft())
        finally:
            self._on_read()


def _received(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, ...]:
    fds = array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return tuple(fds)


def _close(fds: tuple[int, ...]) -> None:
    for fd in fds:
        os.close(fd)


async def open_connection(paths: tuple[str, ...], *, timeout_s: float) -> Connection:
    """Connect to the first of `paths` that answers, and authenticate.

    Raises OSError (TimeoutError among them) with the reason of the last path.
    """
    loop = asyncio.get_running_loop()
    failure: OSError = ConnectionError("no address")
    for path in paths:
        connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connecting.setblocking(False)
        try:
            # A Unix socket connects at once or, with the bus's backlog full, not at all.
            connecting.connect(path)
            async with asyncio.timeout(timeout_s):
                return Connection(loop, connecting, await _authenticate(loop, connecting))
        except OSError as error:
            connecting.close()
            failure = error
        except BaseException:
            connecting.close()
            raise
    raise failure


async def _authenticate(loop: asyncio.AbstractEventLoop, connecting: socket.socket) -> str:
    """Say who we are and ask for descriptors, in one go; return the bus's GUID.

    The D-Bus specification's "Authentication Protocol" allows not to wait in between, and
    sd-bus does so too. After BEGIN the bus sends nothing before our Hello.
    """
    uid = str(os.getuid()).encode().hex()
    greeting = f"\0AUTH EXTERNAL {uid}\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"
    await loop.sock_sendall(connecting, greeting.encode())
    answer = b""
    while answer.count(b"\r\n") < 2:
        part = await loop.sock_recv(connecting, _MAX_GREETING_BYTES)
        if not part:
            raise ConnectionResetError("the bus closed the connection during authentication")
        answer += part
        if len(answer) > _MAX_GREETING_BYTES:
            raise ProtocolError("the bus's greeting has no end")
        if not answer.startswith(b"OK "[: len(answer)]):
            raise PermissionError("the bus rejected the authentication")
    first, second = answer.split(b"\r\n")[:2]
    if second != b"AGREE_UNIX_FD":
        raise ProtocolError("the bus passes no file descriptors")
    return first[3:].decode(errors="replace")
