"""Cut the byte stream of a bus into messages. Pure: no socket, no library.

The rules (D-Bus specification, "Message Format" and "Unix file descriptors"):

- A message is 16 fixed bytes, header fields padded to 8 bytes, a body. The fixed bytes say how
  long the rest is, so a message that cannot be understood can still be passed over.
- The kernel ends a read after data that brought file descriptors, and a bus sends each message
  with descriptors by itself: what a read brought belongs to the message of its last byte.
- Messages above `MAX_MESSAGE_BYTES` are passed over without being held, and reported with an
  empty body. 32 MiB is what a system bus lets through; the largest value is 16 MiB.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

__all__ = ["MAX_MESSAGE_BYTES", "Frame", "Frames", "ProtocolError"]

MAX_MESSAGE_BYTES = 32 << 20
_MAX_FIELDS_BYTES = 64 << 10  # path, interface, member, names: at most 255 or some KiB each

_LITTLE = Struct("<BBBBIII").unpack_from
_BIG = Struct(">BBBBIII").unpack_from
_FIXED_BYTES = 16
_LITTLE_ENDIAN, _BIG_ENDIAN, _VERSION = ord("l"), ord("B"), 1


class ProtocolError(ConnectionError):
    """The stream is no D-Bus message stream: the connection is of no more use."""


class Frame(NamedTuple):
    """One message, its header fields and its body still as bytes."""

    kind: int
    flags: int
    serial: int
    fields: bytes
    body: bytes
    little_endian: bool = True
    fds: tuple[int, ...] = ()
    too_large: bool = False


class Frames:
    """What has been read and is not yet a whole message."""

    __slots__ = ("_fds", "_max_message_bytes", "_needed", "_rest", "_skip")

    def __init__(self, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._rest = bytearray()
        self._needed = _FIXED_BYTES
        self._skip = 0
        self._fds: tuple[int, ...] = ()  # of the message that `_rest` begins

    @property
    def missing_bytes(self) -> int:
        """How many bytes at least complete the present message."""
        return self._skip + self._needed - len(self._rest)

    def abandon(self) -> tuple[int, ...]:
        """Return the descriptors of the message that will not be completed; forget it."""
        fds, self._fds = self._fds, ()
        self._rest.clear()
        return fds

    def feed(self, chunk: bytes, fds: tuple[int, ...] = ()) -> Iterator[Frame]:
        """Yield the messages that `chunk` completes; `fds` came with it.

        The iterator must be used up. Raises `ProtocolError`, which is the end of the stream.
        """
        carried, self._fds = self._fds, ()
        if self._skip:
            skipped = min(self._skip, len(chunk))
            self._skip -= skipped
            chunk = chunk[skipped:]
        if self._rest:
            self._rest += chunk
            if len(self._rest) < self._needed:
                self._fds = carried + fds
                return
            chunk = bytes(self._rest)
            self._rest.clear()
        start, end = 0, len(chunk)
        needed = _FIXED_BYTES
        while end - start >= _FIXED_BYTES:
            order, kind, flags, version, body_bytes, serial, fields_bytes = _LITTLE(chunk, start)
            little_endian = order == _LITTLE_ENDIAN
            if not little_endian:
                _, _, _, _, body_bytes, serial, fields_bytes = _BIG(chunk, start)
            if version != _VERSION or (order != _BIG_ENDIAN and not little_endian):
                raise ProtocolError
            fields_start = start + _FIXED_BYTES
            fields_end = fields_start + fields_bytes
            body_start = fields_end + (-fields_bytes & 7)
            following = body_start + body_bytes
            too_large = following - start > self._max_message_bytes
            if too_large:
                if body_start > end and fields_bytes <= _MAX_FIELDS_BYTES:
                    needed = body_start - start
                    break
                self._skip = max(0, following - end)
                following = min(following, end)
            elif following > end:
                needed = following - start
                break
            own = carried + fds if following == end else carried
            yield Frame(
                kind,
                flags,
                serial,
                chunk[fields_start:fields_end],
                b"" if too_large else chunk[body_start:following],
                little_endian,
                own,
                too_large,
            )
            carried = ()
            if following == end:
                fds = ()
            start = following
        self._needed = needed
        self._rest += memoryview(chunk)[start:]
        self._fds = carried + fds
