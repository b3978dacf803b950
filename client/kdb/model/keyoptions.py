"""What may follow the name in the constructor of a key.

First the value, if it is a str or bytes; then, in any order and number, mappings of metadata and

    KEY_VALUE, value        KEY_META, name, text        KEY_FLAGS, flags        KEY_SIZE, ignored

What follows KEY_END is ignored.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from kdb.model.constants import KEY_END, KEY_FLAGS, KEY_META, KEY_SIZE, KEY_VALUE

__all__ = ["KeyOptions", "parse"]


class KeyOptions(NamedTuple):
    """The value (None where none was given), the metadata as given, and the flags."""

    value: object
    metadata: dict[object, object]
    flags: int


def parse(options: Sequence[object]) -> KeyOptions:
    """Read the options.

    Flags without KEY_FLAGS are taken with a DeprecationWarning, anything else unknown is left out
    with a RuntimeWarning, as in libelektra. Raises TypeError where an option lacks its operand.
    """
    value: object = None
    metadata: dict[object, object] = {}
    flags = 0
    rest = iter(options)
    if options and isinstance(options[0], (str, bytes)):
        value = next(rest)
    for option in rest:
        if isinstance(option, Mapping):
            metadata.update(option)
        elif not isinstance(option, int):
            warnings.warn(f"the unknown option {option!r} is ignored", RuntimeWarning, stacklevel=3)
        elif option == KEY_END:
            break
        elif option == KEY_SIZE:
            _operand(rest, "KEY_SIZE")
        elif option == KEY_VALUE:
            value = _operand(rest, "KEY_VALUE")
        elif option == KEY_META:
            name = _operand(rest, "KEY_META")
            metadata[name] = _operand(rest, "KEY_META")
        elif option == KEY_FLAGS:
            flags |= _flags(_operand(rest, "KEY_FLAGS"))
        else:
            warnings.warn(
                f"write KEY_FLAGS before the flag {option}", DeprecationWarning, stacklevel=3
            )
            flags |= option
    return KeyOptions(value, metadata, flags)


def _operand(rest: Iterator[object], option: str) -> object:
    for operand in rest:
        return operand
    raise TypeError(f"nothing follows {option}")


def _flags(operand: object) -> int:
    if not isinstance(operand, int):
        raise TypeError(f"a number follows KEY_FLAGS, not {operand!r}")
    return operand
