"""Errors and warnings as they are noted on a parent key: `kdb.errors` of libelektra's binding.

The parent key of a call that failed has the metadata `error`, `error/number`, `error/reason` and so
on, and for each warning `warnings/#0`, `warnings/#0/number`, `warnings/#0/reason` and so on.
"""

# ruff: noqa: SLF001 - reads and replaces the metadata of a key as a whole

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from kdb.model.content import Meta
from kdb.model.errors import ConflictError, KDBError, SyntacticError
from kdb.model.key import Key

__all__ = [
    "ElektraError",
    "ElektraWarning",
    "clear",
    "get_error",
    "get_warnings",
    "set_error",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ElektraError:
    """An error's fields; "" where the key does not say.

    `file` and `line` are the place in a damaged file; libelektra gives one in its source code.
    """

    number: str = ""
    description: str = ""
    module: str = ""
    file: str = ""
    line: str = ""
    mountpoint: str = ""
    configfile: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElektraWarning(ElektraError):
    """A warning's fields; "" where the key does not say."""


def get_error(key: Key) -> ElektraError | None:
    """Return the error noted on a key, or None."""
    metadata = key._content.meta
    return ElektraError(**_fields(metadata, "error")) if "error" in metadata else None


def get_warnings(key: Key) -> list[ElektraWarning]:
    """Return the warnings noted on a key, in the order of their numbers."""
    metadata = key._content.meta
    if "warnings" not in metadata:
        return []
    numbered = [name for name in metadata if name.startswith("warnings/") and name.count("/") == 1]
    return [ElektraWarning(**_fields(metadata, name)) for name in numbered]


def set_error(key: Key, error: KDBError) -> None:
    """Note an error on a key, in place of the one before. Raises KeyException for a locked key."""
    _change(key, remove="error", add=_metadata("error", error))


def clear(key: Key) -> None:
    """Remove the error and the warnings from a key. Raises KeyException for a locked key."""
    _change(key, remove="error")
    _change(key, remove="warnings")


def _fields(metadata: Meta, name: str) -> dict[str, str]:
    return {field.name: metadata.get(f"{name}/{field.name}", "") for field in fields(ElektraError)}


def _metadata(name: str, error: KDBError) -> dict[str, str]:
    texts = {
        "number": error.number,
        "description": error.description,
        "module": error.module,
        "file": error.file if isinstance(error, SyntacticError) else "",
        "line": str(error.line) if isinstance(error, SyntacticError) else "",
        "mountpoint": error.mountpoint,
        "configfile": error.configfile,
        # A conflict's keys have no field of their own.
        "reason": error.explanation if isinstance(error, ConflictError) else error.reason,
    }
    return {name: "", **{f"{name}/{field}": text for field, text in texts.items()}}


def _change(key: Key, *, remove: str = "", add: Mapping[str, str] | None = None) -> None:
    kept = {
        name: text
        for name, text in key._content.meta.items()
        if not remove or (name != remove and not name.startswith(f"{remove}/"))
    }
    key._set_metadata({**kept, **(add or {})})
