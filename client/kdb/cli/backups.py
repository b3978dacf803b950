"""Backups: all keys and mountpoints in one file.

A backup is a file in the dump format with the keys of spec:/, user:/ and system:/ as they were at
one revision, each name with its namespace; the mountpoints are keys of system:/. It is what
``kdb export /`` writes, but for dir:/: what a directory holds belongs to that directory, and is
neither saved nor removed. Backups are their owner's only, below the user's data directory.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

import platformdirs

from kdb.cli import files, storage_formats
from kdb.cli.command import warn
from kdb.cli.key_sets import Contents, Database, KeysRead, qualified, unqualified
from kdb.cli.progress import Progress
from kdb.model import names
from kdb.model.content import Content, is_utf8
from kdb.model.errors import (
    InternalError,
    InvalidName,
    KDBError,
    ResourceError,
    SyntacticError,
)
from kdb.model.names import Namespace

__all__ = [
    "called",
    "everything",
    "find",
    "is_refusal",
    "load",
    "mountpoints",
    "removed",
    "saved",
    "staying",
    "stored",
    "unrestorable",
    "within",
]

_EVERYTHING: Final = b"\x01"
_FORMAT: Final = "dump"
_ENDING: Final = ".ecf"
_SAVED: Final = (Namespace.SPEC, Namespace.USER, Namespace.SYSTEM)
_MOUNTPOINTS: Final = names.unescape("system:/elektra/mountpoints")


def everything(database: Database) -> KeysRead:
    """Return all keys, as they are at one revision."""
    return database.read(_EVERYTHING)


def within(contents: Contents, namespaces: Collection[Namespace]) -> Contents:
    """Return the keys of some namespaces."""
    return {name: key for name, key in contents.items() if name[0] in namespaces}


def saved(contents: Contents) -> Contents:
    """Return the keys that a backup has."""
    return within(contents, _SAVED)


def mountpoints(contents: Contents) -> Contents:
    """Return the keys that declare what is mounted."""
    return {
        name: key for name, key in contents.items() if names.is_below_or_same(name, _MOUNTPOINTS)
    }


def staying(database: Database, read: KeysRead) -> frozenset[Namespace]:
    """Return the namespaces whose keys stay where all are removed: dir:/ and what is read-only.

    Tells on standard error what is read-only for this kdbd.
    """
    stay = {Namespace.DIR}
    for which in _SAVED:
        keys = within(read.contents, {which})
        others = {name: key for name, key in read.contents.items() if name not in keys}
        if keys and database.is_read_only(read, others):
            stay.add(which)
            mounted = " and all mountpoints" if which is Namespace.SYSTEM else ""
            namespace = names.namespace_name(which)
            count = f"{len(keys):,}"
            warn(f"{namespace}:/ is read-only for this kdbd, so its keys ({count}){mounted} stay\n")
    return frozenset(stay)


def removed(contents: Contents, staying: Collection[Namespace]) -> Contents:
    """Return the keys that a backup has, but for those of the namespaces that stay."""
    return within(contents, set(_SAVED).difference(staying))


def is_refusal(error: KDBError) -> bool:
    """Tell whether kdbd answered so, and nothing was stored; else its answer may be lost."""
    return error.module == "kdbd" and not isinstance(error, InternalError)


def stored(contents: Contents, file: Path | None = None) -> Path:
    """Write the keys that a backup has, to *file* or to a new one that is called by the time.

    Raises ResourceError.
    """
    entries = qualified(sorted(saved(contents).items()))
    chunks = storage_formats.chunks(_FORMAT, _EVERYTHING, entries)
    if file is not None:
        files.write_file(str(file), chunks, private=True)
        return file
    file = _new()
    try:
        files.write_file(str(file), chunks, private=True)
    except BaseException:
        file.unlink()
        raise
    return file


def unrestorable(contents: Contents) -> list[str]:
    """Return the names of keys with bytes that are no UTF-8 though they are not binary.

    Such keys come from files. kdbd keeps those that are there, but takes no new ones.
    """
    return [
        names.escape(name)
        for name, key in saved(contents).items()
        if not all(
            is_utf8(text)
            for text in (names.escape(name), *key.meta, *key.meta.values(), key.value)
            if isinstance(text, str)
        )
    ]


def load(file: Path) -> Contents:
    """Return the keys of a backup.

    Raises:
        ResourceError: it cannot be read.
        SyntacticError: it is no backup, or a damaged one.

    """
    data = files.read_file(str(file))
    if not data.strip():
        raise SyntacticError("the file is empty", file=str(file), line=1, module="kdb")
    entries: dict[bytes, Content] = {}
    with Progress("kdb restore") as progress:
        for position in storage_formats.read_slices(_FORMAT, entries, data, _EVERYTHING, str(file)):
            progress.show("reading", position / len(data))
    try:
        return saved(dict(unqualified(entries.items())))
    except InvalidName as error:
        reason = f"this is no backup: {error.reason}"
        raise SyntacticError(reason, file=str(file), line=1, module="kdb") from None


def find() -> list[Path]:
    """Return the backups that are called by their time, the oldest first."""
    return sorted(each for each in _directory().glob(f"*{_ENDING}") if each.name[0] != ".")


def called(name: str) -> Path:
    """Return the backup with a path, or with a name as `find` has it. Raises ResourceError."""
    if "/" in name or os.path.exists(name):
        return Path(name)
    for each in find():
        if name in (each.name, each.stem):
            return each
    reason = f"there is no file and no backup {name}; kdb backup -l lists the backups"
    raise ResourceError(reason, module="kdb")


def _directory() -> Path:
    return platformdirs.user_data_path("kdb") / "backups"


def _new() -> Path:
    """Return the path of a backup that is not there yet."""
    directory = _directory()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        reason = f"{directory} cannot be made: {error.strerror}"
        raise ResourceError(reason, module="kdb") from None
    moment = time.strftime("%Y-%m-%dT%H-%M-%S")
    number = 1
    while True:
        suffix = f"_{number}" if number > 1 else ""
        file = directory / f"{moment}{suffix}{_ENDING}"
        try:
            # Made now, so that of two backups at once each has its own.
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            number += 1
        except OSError as error:
            reason = f"{file} cannot be written: {error.strerror}"
            raise ResourceError(reason, module="kdb") from None
        else:
            return file
