"""What applications catch, named as in libelektra's Python binding.

There are two trees. `kdb.model.errors` is the inner one: the service and the clients raise and send
its errors. The tree here is what `kdb` raises at applications:

    Exception
        KeyException                     wrong use of a key
            KeyInvalidName               is also the inner InvalidName
            KeyInvalidValue              is also the inner InvalidValue
            KeyTypeMismatch
            KeyTypeConversion
            KeyNotFoundException
        KDBException                     a call on the database failed; `error` is the inner error
            ContractException
            KDBMountException

So a wrong name or value, found anywhere, is caught by the inner class; by the outer class where an
application gave it to a key. A KDBException never leaves the client, and holds the inner error as
it came from the service.
"""

from __future__ import annotations

import builtins

from kdb.model.errors import InvalidName, InvalidValue, KDBError

__all__ = [
    "ContractException",
    "Exception",
    "KDBException",
    "KDBMountException",
    "KeyException",
    "KeyInvalidName",
    "KeyInvalidValue",
    "KeyNotFoundException",
    "KeyTypeConversion",
    "KeyTypeMismatch",
]


class Exception(builtins.Exception):  # noqa: A001 - the name in libelektra's binding
    """Any exception of the binding."""

    def what(self) -> str:
        """Return the text."""
        return str(self)


class KeyException(Exception):
    """A key or key set does not allow this."""


class KeyInvalidName(KeyException, InvalidName):
    """A name that breaks the rules, or the name of a key in a key set was to be changed."""


class KeyInvalidValue(KeyException, InvalidValue):
    """A value or metadata that no key may have; libelektra would cut it off."""


class KeyTypeMismatch(KeyException):
    """A binary key was used as a string key, or the other way round."""


class KeyTypeConversion(KeyException):
    """A value cannot be converted to the type asked for."""


class KeyNotFoundException(KeyException):
    """No key has this name."""


class KDBException(Exception):
    """The key database refused, or is not there.

    `error` is the inner error; its fields are this exception's too.
    """

    def __init__(self, error: KDBError) -> None:
        super().__init__(error)
        self.error = error

    @property
    def number(self) -> str:
        """Elektra's number of the error, `C01310`."""
        return self.error.number

    @property
    def description(self) -> str:
        """What the number stands for, `Internal`."""
        return self.error.description

    @property
    def reason(self) -> str:
        """What is wrong, and what to do."""
        return self.error.reason

    @property
    def module(self) -> str:
        """The part of the system that found the error."""
        return self.error.module

    @property
    def mountpoint(self) -> str:
        """The mountpoint concerned, or empty."""
        return self.error.mountpoint

    @property
    def configfile(self) -> str:
        """The file concerned, or empty."""
        return self.error.configfile

    def __str__(self) -> str:
        return (
            f"module {self.module} reports error {self.number}\n"
            f"{self.description}: {self.error.explanation}\n"
            f"mountpoint: {self.mountpoint}\n"
            f"configfile: {self.configfile}"
        )


class ContractException(KDBException):
    """A contract that the key database does not understand."""


class KDBMountException(KDBException):
    """A mountpoint cannot be made or removed."""
