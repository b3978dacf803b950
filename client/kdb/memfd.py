"""Blocks in memory files: above 1 MiB a block is sent as a sealed memfd instead of in the message.

The seals WRITE, GROW and SHRINK keep the sender from changing the content under the reader. A
received descriptor is read, never mapped, and always closed here.
"""

from __future__ import annotations

import fcntl
import os
from typing import Final

from kdb.model.errors import InvalidFileDescriptor, ResourceError
from kdb.protocol import MAX_BLOCK_BYTES

__all__ = ["close", "read", "seal"]

close = os.close

_SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK


def seal(data: bytes) -> int:
    """Return a new descriptor of a sealed memfd that holds *data*; the caller closes it.

    Raises:
        ResourceError: no memory or descriptor is left.

    """
    try:
        fd = os.memfd_create("kdb-block", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        raise ResourceError(f"no memory file for a block: {error.strerror}", module="kdb") from None
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.lseek(fd, 0, os.SEEK_SET)  # the offset travels too, and others read from there
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except OSError as error:
        os.close(fd)
        raise ResourceError(f"a block was not written: {error.strerror}", module="kdb") from None
    return fd


def read(fd: int) -> bytes:
    """Return the content of a received memfd, and close it whatever happens.

    Raises:
        InvalidFileDescriptor: it is no memfd, lacks a seal, or is over 64 MiB.

    """
    try:
        try:
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        except OSError:
            raise InvalidFileDescriptor("a block came in what is no memfd", module="kdb") from None
        if seals & _SEALS != _SEALS:
            raise InvalidFileDescriptor("a block came in a memfd without seals", module="kdb")
        size = os.fstat(fd).st_size
        if size > MAX_BLOCK_BYTES:
            raise InvalidFileDescriptor(
                f"a block of {size} bytes came; at most {MAX_BLOCK_BYTES} are read", module="kdb"
            )
        pieces = []
        at = 0
        while at < size:
            piece = os.pread(fd, size - at, at)
            pieces.append(piece)
            at += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    finally:
        os.close(fd)
