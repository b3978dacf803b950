"""D-Bus errors to the key database's errors, and what no D-Bus message may hold."""

from __future__ import annotations

import re
from typing import Final

from kdb.model import errors
from kdb.protocol import START_HINT

__all__ = ["check_sendable", "from_dbus_error", "no_service", "parse_conflicts"]

_FREEDESKTOP: Final = "org.freedesktop.DBus.Error."
# The bus says so where nobody owns the name and nobody can be started to own it.
_NO_SERVICE: Final = frozenset(
    _FREEDESKTOP + name for name in ("ServiceUnknown", "NameHasNoOwner", "NoServer")
)
_PLACE: Final = re.compile(r"\n(mountpoint|configfile): (.*)\Z")
_FILE: Final = re.compile(r"(.+):(\d+): (.*)", re.DOTALL)
# A name may hold line ends and commas, so it goes as far as it must; the short forms hold none.
_CONFLICT: Final = re.compile(
    r"^((?:[a-z]+:)?/(?:.|\n)*?): base (\d+), ours (.*), theirs (.*)$", re.MULTILINE
)


def no_service(detail: str = "") -> errors.InstallationError:
    """Return the error for "no kdbd answers and none can be activated", in one line."""
    reason = f"no kdbd answers on the bus{f' ({detail})' if detail else ''}: {START_HINT}"
    return errors.InstallationError(reason, module="kdb")


def from_dbus_error(name: str, text: str) -> errors.KDBError:
    """Return the error that a D-Bus error stands for, its fields taken from its text.

    A missing service, or one that cannot be activated, is an InstallationError that says how to
    start it. Errors of the bus itself are a ResourceError, unknown ones an InternalError.
    """
    kind = errors.BY_DBUS_NAME.get(name)
    if kind is not None:
        return _from_text(kind, text)
    if name in _NO_SERVICE or name.startswith(_FREEDESKTOP + "Spawn."):
        return no_service(" ".join(text.split()))
    if name == _FREEDESKTOP + "LimitsExceeded":
        return errors.LimitsExceeded(text, module="bus")
    if name == _FREEDESKTOP + "AccessDenied":
        return errors.AccessDenied(text, module="bus")
    if name.startswith(_FREEDESKTOP + "Unknown"):
        return errors.InstallationError(f"kdbd is of another version: {text}", module="kdb")
    if name.startswith(_FREEDESKTOP):
        return errors.ResourceError(text or name, module="bus")
    return errors.InternalError(f"{name}: {text}")


def _from_text(kind: type[errors.KDBError], text: str) -> errors.KDBError:
    place = {"mountpoint": "", "configfile": ""}
    while found := _PLACE.search(text):
        place[found[1]] = found[2]
        text = text[: found.start()]
    mountpoint, file = place["mountpoint"], place["configfile"]
    if issubclass(kind, errors.SyntacticError):
        found = _FILE.match(text)
        if found and file in ("", found[1]):
            return kind(found[3], file=found[1], line=int(found[2]), mountpoint=mountpoint)
        return kind(text, file=file, mountpoint=mountpoint)
    if issubclass(kind, errors.ConflictError):
        found = _CONFLICT.search(text)
        reason = text[: found.start()].rstrip("\n") if found else text
        conflicts = parse_conflicts(text)
        return kind(reason, conflicts=conflicts, mountpoint=mountpoint, configfile=file)
    return kind(text, mountpoint=mountpoint, configfile=file)


def parse_conflicts(text: str) -> tuple[errors.Conflict, ...]:
    """Return the keys that a conflict's text names."""
    return tuple(
        errors.Conflict(name, int(base), ours, theirs)
        for name, base, ours, theirs in _CONFLICT.findall(text)
    )


def check_sendable(text: str) -> str:
    """Return *text* if it may be a D-Bus string.

    The bus cuts off who sends a NUL or a lone surrogate in a string, so it is refused before.

    Raises:
        InvalidValue: it holds one.

    """
    if text.isascii() and "\0" not in text:
        return text
    if "\0" in text:
        raise errors.InvalidValue(f"a string holds no NUL: {text[:40]!r}", module="kdb")
    try:
        text.encode()
    except UnicodeEncodeError:
        reason = f"a string is UTF-8, without lone surrogates: {text[:40]!r}"
        raise errors.InvalidValue(reason, module="kdb") from None
    return text
