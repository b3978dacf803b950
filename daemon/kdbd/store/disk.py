"""The file system, as far as stores use it: the port that the simulation replaces.

Every path is absolute. Every call may raise OSError. A file is replaced whole: staged in the same
directory, synced, renamed, and the directory synced. Of a symbolic link it is the file behind that
is read and replaced, wherever that lies: people keep their configuration in one place and link it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from typing import NamedTuple, Protocol

__all__ = ["Disk", "FileStat", "RealDisk"]


class FileStat(NamedTuple):
    """What tells one state of a file from another without reading it (times in ns)."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


class Disk(Protocol):
    """What stores ask of a file system."""

    def stat(self, path: str) -> FileStat | None:
        """Answer a file's state, None where there is no file."""

    def read(self, path: str) -> tuple[FileStat, bytes] | None:
        """Read a whole file, with the state it was read in; None where there is none."""

    def stage(self, path: str, chunks: Iterable[bytes], *, private: bool) -> str:
        """Write and sync what is to replace the file; answer the temporary file's path.

        Mode and owner are those of the file that is there; a new one gets 0600 in 0700 where
        ``private``, else 0644 in 0755, and missing directories are made.
        """

    def replace(self, temporary: str, path: str) -> FileStat:
        """Rename the staged file over the other and sync the directory."""

    def remove(self, path: str) -> None:
        """Remove a file, if it is there, and sync the directory."""

    def discard(self, temporary: str) -> None:
        """Remove a staged file, if it is there."""

    def sweep(self, path: str, *, keep: str | None) -> None:
        """Remove what processes that are gone staged for the file, but for ``keep``."""


class RealDisk:
    """The file system of this machine."""

    def __init__(self) -> None:
        self._numbers = count()

    def stat(self, path: str) -> FileStat | None:
        """Answer a file's state."""
        try:
            status = os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _file_stat(status)

    def read(self, path: str) -> tuple[FileStat, bytes] | None:
        """Read a whole file; no other kind of file is opened to the end.

        The state is that from before reading: what is edited meanwhile differs from it.
        """
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            # Before open(), which leaves a directory's descriptor open when it refuses it.
            os.close(descriptor)
            raise OSError(f"{path} is no regular file")
        with open(descriptor, "rb") as file:
            return _file_stat(status), file.read()

    def stage(self, path: str, chunks: Iterable[bytes], *, private: bool) -> str:
        """Write and sync what is to replace the file."""
        path = _behind(path)
        self._make_directories(os.path.dirname(path), 0o700 if private else 0o755)
        temporary, descriptor = self._create(path)
        try:
            with open(descriptor, "wb") as file:
                file.writelines(chunks)
                file.flush()
                _take_over(path, descriptor, 0o600 if private else 0o644)
                self._sync(descriptor)
        except BaseException:
            self.discard(temporary)
            raise
        return temporary

    def _create(self, path: str) -> tuple[str, int]:
        """Create a file beside another, which nobody else has open."""
        while True:
            temporary = f"{path}.{os.getpid()}.{next(self._numbers)}.tmp"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with suppress(FileExistsError):
                return temporary, os.open(temporary, flags, 0o600)

    def replace(self, temporary: str, path: str) -> FileStat:
        """Rename the staged file over the other and sync the directory.

        The state is that of the staged file, so that an edit of it after the rename differs.
        """
        path = _behind(path)
        staged = _file_stat(os.stat(temporary))
        os.rename(temporary, path)
        # Before the sync, which takes long enough for somebody to edit the file.
        renamed = _file_stat(os.stat(path))
        self._sync_directory(os.path.dirname(path))
        # A rename changes the time of change, and nothing else.
        return renamed if renamed._replace(changed=staged.changed) == staged else staged

    def remove(self, path: str) -> None:
        """Remove a file and sync the directory."""
        path = _behind(path)
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)
            self._sync_directory(os.path.dirname(path))

    def discard(self, temporary: str) -> None:
        """Remove a staged file."""
        with suppress(OSError):
            os.unlink(temporary)

    def sweep(self, path: str, *, keep: str | None) -> None:
        """Remove what processes that are gone staged for the file."""
        directory, name = os.path.split(_behind(path))
        staged = re.compile(re.escape(name) + r"\.(\d+)(?:\.\d+)?\.tmp")
        try:
            found = [match for each in os.listdir(directory) if (match := staged.fullmatch(each))]
        except (FileNotFoundError, NotADirectoryError):
            return
        for match in found:
            temporary = os.path.join(directory, match[0])
            if temporary != keep and not _is_another(int(match[1])):
                self.discard(temporary)

    def _make_directories(self, directory: str, mode: int) -> None:
        if os.path.isdir(directory):
            return
        parent = os.path.dirname(directory)
        self._make_directories(parent, mode)
        with suppress(FileExistsError):
            os.mkdir(directory, mode)
            os.chmod(directory, mode)
            self._sync_directory(parent)

    def _sync(self, descriptor: int) -> None:
        os.fsync(descriptor)

    def _sync_directory(self, directory: str) -> None:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _behind(path: str) -> str:
    """Answer the file behind a symbolic link, or the path itself.

    As the kernel does (protected_symlinks), a link that somebody else put where all may write is
    not followed. Raises OSError.
    """
    try:
        link = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return path
    if not stat.S_ISLNK(link.st_mode):
        return path
    directory = os.stat(os.path.dirname(path))
    shared = stat.S_ISVTX | stat.S_IWOTH
    if directory.st_mode & shared == shared and link.st_uid not in (os.geteuid(), directory.st_uid):
        raise OSError(errno.ELOOP, "a link of somebody else where all may write", path)
    return os.path.realpath(path)


def _file_stat(status: os.stat_result) -> FileStat:
    return FileStat(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def _is_another(pid: int) -> bool:
    """Tell whether this is the id of another process that lives."""
    return pid != os.getpid() and os.path.exists(f"/proc/{pid}")


def _take_over(path: str, descriptor: int, mode: int) -> None:
    """Give the staged file mode and owner of the one that it replaces."""
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        os.fchmod(descriptor, mode)
        return
    os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(PermissionError):
            os.fchown(descriptor, status.st_uid, status.st_gid)
