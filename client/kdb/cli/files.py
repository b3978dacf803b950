"""Files that the command reads and writes for a person; kdbd itself opens none of them."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable

from kdb.model.errors import ResourceError

__all__ = ["STANDARD_INPUT", "read_file", "write_file"]

STANDARD_INPUT = "standard input"
"""What messages call it."""

_PIECE_BYTES = 1 << 20


def read_file(path: str) -> bytes:
    """Return what a file holds; ``-`` is standard input. Raises ResourceError."""
    shown = STANDARD_INPUT if path == "-" else path
    try:
        fd = 0 if path == "-" else os.open(_bytes(path), os.O_RDONLY | os.O_CLOEXEC)
        try:
            pieces = []
            while piece := os.read(fd, _PIECE_BYTES):
                pieces.append(piece)
        finally:
            if fd:
                os.close(fd)
    except (OSError, ValueError) as error:
        raise _refused(shown, "read", error) from None
    return b"".join(pieces)


def write_file(path: str, chunks: Iterable[bytes], *, private: bool = False) -> None:
    """Write a file, whole or not at all: a full disk leaves the one that was there.

    A *private* one is its owner's only; another keeps owner and mode of the file that was there.
    What is no regular file (a pipe, a terminal) is written to as it is. Raises ResourceError.
    """
    try:
        local = os.fsdecode(_bytes(path))
        try:
            found = os.stat(local)
        except FileNotFoundError:
            found = None
        if found is None or stat.S_ISREG(found.st_mode):
            _replace(os.path.realpath(local), chunks, found, private=private)
        else:
            with open(local, "wb") as stream:
                stream.writelines(chunks)
    except (OSError, ValueError) as error:
        raise _refused(path, "written", error) from None


def _bytes(path: str) -> bytes:
    """Return a path as the kernel has it: arguments are UTF-8 here, whatever the locale is."""
    return path.encode("utf-8", "surrogateescape")


def _replace(
    target: str, chunks: Iterable[bytes], found: os.stat_result | None, *, private: bool
) -> None:
    directory, name = os.path.split(target)
    fd, temporary = tempfile.mkstemp(prefix=f".{name[:200]}.", dir=directory)
    try:
        with open(fd, "wb") as stream:
            _take_over(fd, found, private=private)
            stream.writelines(chunks)
            stream.flush()
            os.fsync(fd)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    directory_fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory_fd)
    finally:
        os.close(directory_fd)


def _take_over(fd: int, found: os.stat_result | None, *, private: bool) -> None:
    """Give a new file, which is its owner's only, the owner and mode of the one before."""
    if private:
        return
    if found is None:
        mask = os.umask(0o077)
        os.umask(mask)
        os.fchmod(fd, 0o666 & ~mask)
        return
    if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
        try:
            os.fchown(fd, found.st_uid, found.st_gid)
        except PermissionError:
            return  # another's file that we may replace: it stays ours, and private
    os.fchmod(fd, stat.S_IMODE(found.st_mode))


def _refused(path: str, what: str, error: OSError | ValueError) -> ResourceError:
    # A path with a NUL is a ValueError.
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return ResourceError(f"{path} cannot be {what}: {reason}", module="kdb")
