"""Who owns a root: one daemon, for as long as it lives.

A root that the daemon writes is locked with an flock on ``.kdbd.lock`` in it; the file names the
owner. The lock goes with the process, however that ends. There is no fallback to a lock that could
be stale: where flock does not work, the daemon refuses.
"""

from __future__ import annotations

import os
from contextlib import suppress

from filelock import Timeout, UnixFileLock

from kdb.model.errors import ResourceError

__all__ = ["LOCK_FILE", "Ownership"]

LOCK_FILE = ".kdbd.lock"


class Ownership:
    """The locks that this process holds."""

    def __init__(self) -> None:
        self._locks: dict[str, UnixFileLock] = {}

    def acquire(self, root: str, *, private: bool) -> None:
        """Lock a root, making its directory if need be; raise ResourceError naming the owner."""
        if root in self._locks:
            return
        path = os.path.join(root, LOCK_FILE)
        try:
            _make_directories(root, 0o700 if private else 0o755)
            lock = UnixFileLock(
                path, timeout=0, mode=0o600, thread_local=False, fallback_to_soft=False
            )
            lock.acquire()
        except Timeout as error:
            raise ResourceError(
                f"{root} belongs to another kdbd{_owner(path)}. Stop that one, or choose other"
                " directories"
            ) from error
        except (OSError, NotImplementedError) as error:
            raise ResourceError(
                f"{root} cannot be locked: {error}. kdbd serves only what it can lock"
            ) from error
        with suppress(OSError), open(path, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
        self._locks[root] = lock

    def release(self, root: str) -> None:
        """Give one root up."""
        lock = self._locks.pop(root, None)
        if lock is not None:
            lock.release()

    def release_all(self) -> None:
        """Give all roots up."""
        for root in list(self._locks):
            self.release(root)


def _make_directories(directory: str, mode: int) -> None:
    """Make what is missing with this mode, whatever the umask."""
    if os.path.isdir(directory):
        return
    _make_directories(os.path.dirname(directory), mode)
    with suppress(FileExistsError):
        os.mkdir(directory, mode)
        os.chmod(directory, mode)


def _owner(path: str) -> str:
    with suppress(OSError, ValueError), open(path, encoding="ascii") as file:
        return f" (process {int(file.read())})"
    return ""
