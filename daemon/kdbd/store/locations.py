"""Where stores lie, and what of that is trusted.

Roots and files are libelektra's (elektra.md): ``default.ecf`` in each namespace's directory, and
the files of mountpoints beside it. An absolute path of a mountpoint is taken as it is; in dir:/ it
would leave the directory and is refused, as is any path that climbs out by ``..``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from kdb.model.errors import AccessDenied, InstallationError, InterfaceError
from kdb.model.names import Namespace

__all__ = ["DEFAULT_FILE", "ELEKTRA_FILE", "Locations", "nearest_directory"]

DEFAULT_FILE = "default.ecf"
ELEKTRA_FILE = "elektra.ecf"
DIRECTORY_STORE = ".dir"


@dataclass(frozen=True, slots=True)
class Locations:
    """The directories of the roots, absolute, and of the daemon's own state."""

    spec: str
    user: str
    system: str
    state: str

    def root(self, which: Namespace, directory: str = "") -> str:
        """Answer the directory that a namespace's relative files lie in."""
        if which is Namespace.DIR:
            return os.path.join(directory, DIRECTORY_STORE)
        return {
            Namespace.SPEC: self.spec,
            Namespace.USER: self.user,
            Namespace.SYSTEM: self.system,
        }[which]

    def file(self, which: Namespace, path: str, directory: str = "") -> str:
        """Answer a mountpoint's file; raise InterfaceError for a path that kdbd does not take."""
        if "\0" in path or ".." in path.split("/"):
            raise InterfaceError(
                f"The path {path!r} of a mountpoint must not climb by '..'. Name the file itself"
            )
        root = self.root(which, directory)
        if os.path.isabs(path):
            if which is Namespace.DIR:
                raise InterfaceError(
                    f"The path {path!r} is absolute, but a file of dir:/ lies in each directory's"
                    f" {DIRECTORY_STORE}. Name it relative to that"
                )
            return os.path.normpath(path)
        return os.path.normpath(os.path.join(root, path))

    def require_apart(self) -> None:
        """Raise InstallationError where two namespaces have one directory, so one default file."""
        namespaces: dict[str, str] = {}
        for which in (Namespace.SPEC, Namespace.USER, Namespace.SYSTEM):
            name, root = which.name.lower(), os.path.realpath(self.root(which))
            other = namespaces.setdefault(root, name)
            if other != name:
                raise InstallationError(
                    f"{other}:/ and {name}:/ are both in {root}, and would be one. Give"
                    f" --{other}-dir and --{name}-dir directories of their own"
                )

    def is_private(self, which: Namespace) -> bool:
        """Tell whether new files are for their owner only: user:/ and dir:/."""
        return which in (Namespace.USER, Namespace.DIR)

    def is_writable(self, root: str) -> bool:
        """Tell whether the daemon may write in a root, or may make it."""
        directory = root
        while not os.path.lexists(directory):
            directory = os.path.dirname(directory)
        return os.path.isdir(directory) and os.access(directory, os.W_OK | os.X_OK)


def nearest_directory(start: str, files: Iterable[str]) -> str:
    """Answer the nearest directory, from ``start`` upward, with one of the files in its ``.dir``.

    Where none has, ``start``. Raises AccessDenied for a ``.dir`` or file that the daemon's user
    must not trust: owned by a stranger, writable by others, or a symlink.
    """
    names = list(files)
    directory = start
    while True:
        store = os.path.join(directory, DIRECTORY_STORE)
        found = [os.path.join(store, name) for name in names]
        if any(os.path.lexists(path) for path in found):
            for name in names:
                path = store
                _require_trusted(path)
                for part in os.path.normpath(name).split("/"):
                    path = os.path.join(path, part)
                    _require_trusted(path)
            return directory
        parent = os.path.dirname(directory)
        if parent == directory:
            return start
        directory = parent


def _require_trusted(path: str) -> None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISLNK(status.st_mode):
        reason = "is a symlink"
    elif status.st_uid not in (0, os.geteuid()):
        reason = f"belongs to user {status.st_uid}"
    elif status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        reason = "is writable by others"
    else:
        return
    raise AccessDenied(
        f"{path} {reason}, so its keys are not trusted. Let it be yours, with no write permission"
        " for others, or work in another directory"
    )
