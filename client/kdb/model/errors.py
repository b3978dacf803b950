"""The one tree of errors, with Elektra's numbers.

An error says what is wrong and what to do, in fields; its text is made from them and is what
travels over D-Bus:

    first line    the reason (of a damaged file `file:line: reason`)
    next lines    of a conflict one line a key: `name: base 4, ours 'x', theirs 'y'`
    last lines    `mountpoint: ...` and `configfile: ...`, where known

The D-Bus name of an error is `ERROR_PREFIX` and its class's `dbus`. Numbers and descriptions are
those of Elektra's error specification. The docstring of each says when it comes, then what its
caller does about it; docs/dbus-api.md has both.
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
    "OutcomeUnknown",
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
    """A file, disk or connection refuses: full, read-only, not readable.

    Make room or grant the rights, then call again.
    """

    number = "C01100"
    dbus = "Resource"
    description = "Resource"


class OutOfMemoryError(ResourceError):
    """No memory is left for what was asked.

    Ask for less at a time.
    """

    number = "C01110"
    dbus = "OutOfMemory"
    description = "Out of memory"


class AccessDenied(ResourceError):
    """The caller may not do this, or kdbd may not write the store.

    Write elsewhere (user:/), or let the owner of the store grant the rights.
    """

    dbus = "AccessDenied"


class LimitsExceeded(ResourceError):
    """A bound on queues, handles or sizes is reached.

    Wait for answers, close handles, or ask for less; the text says which.
    """

    dbus = "LimitsExceeded"


class OutcomeUnknown(ResourceError):
    """kdbd or the bus ended before it answered a call that writes; the libraries raise this.

    Get again and look: all of it was stored, or nothing.
    """


class InstallationError(KDBError):
    """Something that belongs to the installation is missing or does not fit.

    Install or start what the text names.
    """

    number = "C01200"
    dbus = "Installation"
    description = "Installation"


class InternalError(KDBError):
    """A fault of the service itself; the caller is told nothing internal.

    Report it, with what the log of kdbd says.
    """


class InterfaceError(KDBError):
    """The caller uses the interface wrongly.

    Mend the program, as the text says.
    """

    number = "C01320"
    dbus = "Interface"
    description = "Interface"


class InvalidName(InterfaceError, ValueError):
    """A key name, or the name of metadata, breaks the rules.

    Escape its parts; a name begins with a namespace, as in user:/, or with a slash.
    """

    dbus = "InvalidName"


class NameTooLong(InterfaceError, ValueError):
    """A key name is above the bound.

    Shorten it.
    """

    dbus = "NameTooLong"


class InvalidValue(InterfaceError, ValueError):
    """A value or metadata that no key may have, such as a NUL in a string.

    Mend it, or make the key binary.
    """

    dbus = "InvalidValue"


class ValueTooLarge(InterfaceError, ValueError):
    """A value or metadata is above the bound.

    Store it in a file, and its path in the key.
    """

    dbus = "ValueTooLarge"


class InvalidBlock(InterfaceError):
    """A block (msgpack) does not have the documented form.

    Mend the program.
    """

    dbus = "InvalidBlock"


class InvalidFileDescriptor(InterfaceError):
    """A file descriptor is no sealed memfd of bounded size.

    Seal the memfd against WRITE, GROW and SHRINK; send less at a time.
    """

    dbus = "InvalidFileDescriptor"


class KeyNotFound(InterfaceError):
    """No key has this name, or the look-up finds none.

    Make the key, or use a default.
    """

    dbus = "KeyNotFound"


class HistoryLost(InterfaceError):
    """The revision asked for is not in the history: trimmed, or of another store.

    Read everything again, and go on from the revision of that.
    """

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
    """Keys changed since the writer saw them; nothing was stored. The text names each.

    Get again, decide key by key, then set again.
    """

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
    """A file is not in its format; it stays as it is.

    Mend the file at the line that the text names.

    `file` is the path, `line` counts from 1.
    """

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
    """Well-formed data that a rule about its meaning forbids.

    Do as the text says.
    """

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
