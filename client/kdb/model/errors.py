"""The one tree of errors, with Elektra's numbers.

An error says what is wrong and what to do, in fields; its text is made from them and is what
travels over D-Bus:

    first line    the reason (of a damaged file `file:line: reason`)
    next lines    of a conflict one line a key: `name: base 4, ours 'x', theirs 'y'`
    last lines    `mountpoint: ...` and `configfile: ...`, where known

The D-Bus name of an error is `ERROR_PREFIX` and its class's `dbus`. Numbers and descriptions are
those of Elektra's error specification.
"""

from __future__ import annotations

from typing import ClassVar, Final, NamedTuple

__all__ = [
    "BY_DBUS_NAME",
    "ERROR_PREFIX",
    "AccessDenied",
    "Conflict",
    "ConflictError",
    "HistoryLost",
    "InstallationError",
    "InterfaceError",
    "InternalError",
    "InvalidBlock",
    "InvalidFileDescriptor",
    "InvalidName",
    "InvalidValue",
    "KDBError",
    "KeyNotFound",
    "LimitsExceeded",
    "NameTooLong",
    "OutOfMemoryError",
    "ResourceError",
    "SemanticError",
    "SyntacticError",
    "ValueTooLarge",
]

ERROR_PREFIX: Final = "org.libelektra.KDB1.Error."


class KDBError(Exception):
    """Any failure of the key database.

    `number` is Elektra's (`C01310`), `dbus` the last part of the D-Bus error name.
    """

    number: ClassVar[str] = "C01310"
    dbus: ClassVar[str] = "Internal"
    description: ClassVar[str] = "Internal"

    def __init__(
        self, reason: str, *, module: str = "kdbd", mountpoint: str = "", configfile: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.module = module
        self.mountpoint = mountpoint
        self.configfile = configfile

    def __str__(self) -> str:
        return "\n".join((*self._head(), *self._place()))

    @property
    def explanation(self) -> str:
        """The reason with what belongs to it: a damaged file's line, the keys of a conflict."""
        return "\n".join(self._head())

    @property
    def dbus_name(self) -> str:
        """The error name on D-Bus, `org.libelektra.KDB1.Error.Internal`."""
        return ERROR_PREFIX + self.dbus

    def _head(self) -> tuple[str, ...]:
        return (self.reason,)

    def _place(self) -> tuple[str, ...]:
        lines = (("mountpoint", self.mountpoint), ("configfile", self.configfile))
        return tuple(f"{label}: {text}" for label, text in lines if text)


class ResourceError(KDBError):
    """A file, disk or connection refuses: full, read-only, missing rights."""

    number = "C01100"
    dbus = "Resource"
    description = "Resource"


class OutOfMemoryError(ResourceError):
    """No memory is left for what was asked."""

    number = "C01110"
    dbus = "OutOfMemory"
    description = "Out of memory"


class AccessDenied(ResourceError):
    """The caller may not do this, or the store is read-only."""

    dbus = "AccessDenied"


class LimitsExceeded(ResourceError):
    """A bound on queues, handles or sizes is reached; try again later or ask for less."""

    dbus = "LimitsExceeded"


class InstallationError(KDBError):
    """Something that belongs to the installation is missing or does not fit."""

    number = "C01200"
    dbus = "Installation"
    description = "Installation"


class InternalError(KDBError):
    """A fault of the service itself; the caller is told nothing internal."""


class InterfaceError(KDBError):
    """The caller uses the interface wrongly."""

    number = "C01320"
    dbus = "Interface"
    description = "Interface"


class InvalidName(InterfaceError, ValueError):
    """A key name that breaks the rules of `kdb.model.names`."""

    dbus = "InvalidName"


class NameTooLong(InterfaceError, ValueError):
    """A key name above `kdb.model.names.MAX_NAME_BYTES`."""

    dbus = "NameTooLong"


class InvalidValue(InterfaceError, ValueError):
    """A value or metadata that no key may have."""

    dbus = "InvalidValue"


class ValueTooLarge(InterfaceError, ValueError):
    """A value above `kdb.model.content.MAX_VALUE_BYTES`."""

    dbus = "ValueTooLarge"


class InvalidBlock(InterfaceError):
    """A key set in bulk (msgpack) that does not have the documented form."""

    dbus = "InvalidBlock"


class InvalidFileDescriptor(InterfaceError):
    """A file descriptor that is no sealed memfd of bounded size."""

    dbus = "InvalidFileDescriptor"


class KeyNotFound(InterfaceError):
    """No key has this name, or the look-up finds none."""

    dbus = "KeyNotFound"


class HistoryLost(InterfaceError):
    """The revision asked for was trimmed from the history; read everything again."""

    dbus = "HistoryLost"


class Conflict(NamedTuple):
    """One key in conflict.

    `name` is escaped, `base` the revision that the writer last saw (0: none); `ours` and `theirs`
    are short forms of what the writer asks for and what the store holds.
    """

    name: str
    base: int
    ours: str
    theirs: str

    def __str__(self) -> str:
        return f"{self.name}: base {self.base}, ours {self.ours}, theirs {self.theirs}"


class ConflictError(KDBError):
    """Keys changed since the writer saw them; nothing was applied. Get again, then set."""

    number = "C02000"
    dbus = "ConflictingState"
    description = "Conflicting state"

    def __init__(
        self,
        reason: str,
        *,
        conflicts: tuple[Conflict, ...] = (),
        module: str = "kdbd",
        mountpoint: str = "",
        configfile: str = "",
    ) -> None:
        super().__init__(reason, module=module, mountpoint=mountpoint, configfile=configfile)
        self.conflicts = conflicts

    def _head(self) -> tuple[str, ...]:
        return (self.reason, *map(str, self.conflicts))


class SyntacticError(KDBError):
    """A file that is not in its format. `file` is its path, `line` counts from 1."""

    number = "C03100"
    dbus = "Syntactic"
    description = "Validation syntactic"

    def __init__(
        self,
        reason: str,
        *,
        file: str = "",
        line: int = 0,
        module: str = "kdbd",
        mountpoint: str = "",
    ) -> None:
        super().__init__(reason, module=module, mountpoint=mountpoint, configfile=file)
        self.file = file
        self.line = line

    def _head(self) -> tuple[str, ...]:
        if self.file:
            return (f"{self.file}:{self.line}: {self.reason}",)
        return (self.reason,)


class SemanticError(KDBError):
    """Well-formed data that a rule about its meaning forbids."""

    number = "C03200"
    dbus = "Semantic"
    description = "Validation semantic"


BY_DBUS_NAME: Final[dict[str, type[KDBError]]] = {
    ERROR_PREFIX + error.dbus: error
    for error in (
        AccessDenied,
        ConflictError,
        HistoryLost,
        InstallationError,
        InterfaceError,
        InternalError,
        InvalidBlock,
        InvalidFileDescriptor,
        InvalidName,
        InvalidValue,
        KeyNotFound,
        LimitsExceeded,
        NameTooLong,
        OutOfMemoryError,
        ResourceError,
        SemanticError,
        SyntacticError,
        ValueTooLarge,
    )
}
