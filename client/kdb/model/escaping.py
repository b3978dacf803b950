r"""The escaped form of key names, `user:/sw/org/app`, and what it stands for.

Rules (Elektra's KEYNAMES; names recorded from libelektra decide, see the tests):

    /x, ns:/x    the namespace must be known and a slash must follow; without one it is cascading
    /            separates parts; repeated and trailing slashes vanish
    .  ..        vanish; `..` with the part before it, never above the root
    %            the empty part
    #10          an array index, canonically `#_10`: n underscores, n + 1 digits, no leading zero,
                 at most 2**63 - 1; other parts that begin with `#` are plain
    \\  \/       a backslash, a slash, anywhere
    \.  \..  \%  these texts as parts; the backslash must come right after a slash
    \#12         the text, no index; only digits may follow, up to the end of the part

Any other backslash is an error. A name is parsed into its unescaped name, described in
`kdb.model.names`, which has these functions too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from kdb.model.errors import InvalidName, NameTooLong

__all__ = [
    "MAX_NAME_BYTES",
    "Namespace",
    "array_index",
    "array_part",
    "bounded",
    "canonical",
    "encode_part",
    "escape",
    "parts",
    "unescape",
    "unescape_below",
]


class Namespace(IntEnum):
    """The namespaces, in the order of key sets."""

    NONE = 0
    CASCADING = 1
    META = 2
    SPEC = 3
    PROC = 4
    DIR = 5
    USER = 6
    SYSTEM = 7
    DEFAULT = 8


# Sixteen times the longest path of Linux (4,096 bytes); it bounds what one message can make the
# service store, index and send in a signal.
MAX_NAME_BYTES: Final = 65_536

MAX_INDEX: Final = 2**63 - 1

_BYTES: Final = {ns.name.lower(): bytes((ns,)) for ns in Namespace if ns > Namespace.CASCADING}
_PREFIXES: Final = ("", "", *(f"{name}:" for name in _BYTES))

_SEVERAL_DIGITS: Final = re.compile(r"[/\0]#[1-9][0-9]")
_ESCAPED_PART: Final = re.compile(r"(?:[^/\\]|\\.)+", re.DOTALL)
_ESCAPE: Final = re.compile(r"\\(.?)", re.DOTALL)
_RESERVED: Final = re.compile(r"(?<=/)\\(?:%|\.\.?)(?=/|\Z)")
_TEXT_INDEX: Final = re.compile(r"\\#((?!0)[0-9]*)(?=/|\Z)")
_INDEX: Final = re.compile(r"#([1-9][0-9]{1,18})")
_CANONICAL_INDEX: Final = re.compile(r"#(_{0,18})(0|[1-9][0-9]{0,18})")


def unescape(name: str) -> bytes:
    """Parse an escaped name, canonical or not, into the unescaped name.

    Raises InvalidName, or NameTooLong above `MAX_NAME_BYTES` (of the name or its canonical form).
    """
    prefix, path = _split_namespace(name)
    if len(path) == 1:
        return prefix
    if _is_canonical(path):
        return prefix + _encode(path).replace(b"/", b"\0")
    _check_escapes(name)
    return bounded(prefix + _join(_canonical_parts(path)))


def escape(unescaped: bytes) -> str:
    """Print an unescaped name in its canonical escaped form."""
    prefix = _PREFIXES[unescaped[0]]
    path = unescaped[1:].decode("utf-8", "surrogateescape")
    if (
        "/" in path
        or "\\" in path
        or "\0\0" in path
        or "\0%" in path
        or "\0." in path
        or path[-1:] in ("", "\0")
        or ("\0#" in path and _SEVERAL_DIGITS.search(path))
    ):
        return prefix + "/" + "/".join(map(_escape_part, parts(unescaped)))
    return prefix + path.replace("\0", "/")


def canonical(name: str) -> str:
    r"""Canonicalise an escaped name, as text.

    Equals `escape(unescape(name))` but for a backslash that is allowed and says nothing (`\#1`):
    libelektra keeps it in the text of a name and ignores it when it compares. Raises as `unescape`.
    """
    prefix, path = _split_namespace(name)
    if not _is_canonical(path):
        _check_escapes(name)
        path = "/" + "/".join(_canonical_parts(path))
        _check_size(path)
    return _PREFIXES[prefix[0]] + path


def unescape_below(unescaped: bytes, suffix: str) -> bytes:
    r"""Parse an escaped name of any number of parts that follows another; `..` climbs to the root.

    A namespace in the suffix is a part as any other. The backslash of `\.`, `\..` and `\%` must
    come after a slash here too, so it cannot be the suffix's first character. Raises as `unescape`.
    """
    if len(suffix) > MAX_NAME_BYTES:
        raise _too_long()
    _check_escapes(suffix)
    above = [_escape_part(part) for part in parts(unescaped)]
    return bounded(unescaped[:1] + _join(_canonical_parts(suffix, above)))


def parts(unescaped: bytes) -> tuple[str, ...]:
    """Return the unescaped parts; the root has none."""
    if len(unescaped) == 1:
        return ()
    return tuple(unescaped[2:].decode("utf-8", "surrogateescape").split("\0"))


def array_index(part: str) -> int | None:
    """Return the index that a canonical array part (`#_12`) stands for, None for other parts."""
    match = _CANONICAL_INDEX.fullmatch(part)
    if match is None or len(match[1]) + 1 != len(match[2]):
        return None
    index = int(match[2])
    return index if index <= MAX_INDEX else None


def array_part(index: int) -> str:
    """Return the canonical part of an index: `#_12`. Raises ValueError outside 0 … 2**63 - 1."""
    if not 0 <= index <= MAX_INDEX:
        raise ValueError(f"{index} is no array index; indices go from 0 to {MAX_INDEX}")
    digits = str(index)
    return "#" + "_" * (len(digits) - 1) + digits


def bounded(unescaped: bytes) -> bytes:
    """Return the name unless its canonical escaped form exceeds the bound."""
    # Escaping at most doubles a name; the second term is the longest namespace.
    if 2 * len(unescaped) + len("default:/") > MAX_NAME_BYTES:
        _check_size(escape(unescaped))
    return unescaped


def encode_part(part: str) -> bytes:
    """Return an unescaped part as bytes, led by its NUL. Raises InvalidName for a NUL in it."""
    if "\0" in part:
        raise InvalidName(f"{_shown(part)} contains a NUL, which no part of a name may; remove it")
    return b"\0" + _encode(part)


def _split_namespace(name: str) -> tuple[bytes, str]:
    """Return the namespace's byte and the path, which begins with a slash, in bounds."""
    _check_size(name)
    if name[:1] == "/":
        return b"\x01", name
    prefix, _, path = name.partition(":")
    byte = _BYTES.get(prefix)
    if byte is None or path[:1] != "/":
        raise InvalidName(
            f"{_shown(name)} does not begin with a slash or a namespace and a slash; write "
            f"{', '.join(f'{known}:/' for known in _BYTES)} or, to look up in all of them, /"
        )
    return byte, path


def _is_canonical(path: str) -> bool:
    """Tell quickly that a path is canonical and has no escapes; False may be wrong."""
    return not (
        "\\" in path
        or "//" in path
        or "/." in path
        or "/%" in path
        or path[-1] == "/"
        or "\0" in path
        or ("/#" in path and _SEVERAL_DIGITS.search(path))
    )


def _check_escapes(name: str) -> None:
    """Raise InvalidName for a backslash that escapes nothing, or a NUL."""
    if "\0" in name:
        raise InvalidName(f"{_shown(name)} contains a NUL, which no name may; remove it")
    for match in _ESCAPE.finditer(name):
        escaped, start = match[1], match.start()
        if escaped and escaped in "\\/":
            continue
        if not (_RESERVED.match(name, start) or _is_text_index(name, start)):
            before = f"before {escaped!r}" if escaped else "at the end"
            raise InvalidName(
                f"{_shown(name)} has a backslash {before} that escapes nothing; "
                "write a backslash that is part of a name as \\\\"
            )


def _is_text_index(path: str, start: int) -> bool:
    match = _TEXT_INDEX.match(path, start)
    # As in libelektra, whose check reads the first 19 digits of a longer number.
    return match is not None and int(match[1][:19] or "0") <= MAX_INDEX


def _canonical_parts(path: str, above: Iterable[str] = ()) -> list[str]:
    """Split a valid path into canonical escaped parts, which follow those `above`."""
    found = list(above)
    for part in _ESCAPED_PART.findall(path):
        if part == "..":
            del found[-1:]
        elif part != ".":
            found.append(_canonical_index(part) or part)
    return found


def _canonical_index(part: str) -> str | None:
    match = _INDEX.fullmatch(part)
    return array_part(int(match[1])) if match and int(match[1]) <= MAX_INDEX else None


def _join(parts: Iterable[str]) -> bytes:
    """Unescape canonical escaped parts, each led by its NUL."""
    return b"".join(encode_part("" if part == "%" else _ESCAPE.sub(r"\1", part)) for part in parts)


def _escape_part(part: str) -> str:
    if part == "":
        return "%"
    if part in ("%", ".", "..") or _canonical_index(part):
        return "\\" + part
    return part.replace("\\", "\\\\").replace("/", "\\/")


def _encode(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise InvalidName(
            f"{_shown(text)} contains half of a surrogate pair; write the character itself"
        ) from None


def _check_size(name: str) -> None:
    if len(name) > MAX_NAME_BYTES or (not name.isascii() and len(_encode(name)) > MAX_NAME_BYTES):
        raise _too_long()


def _too_long() -> NameTooLong:
    return NameTooLong(f"a key name may have {MAX_NAME_BYTES} bytes of UTF-8; shorten it")


def _shown(name: str) -> str:
    """Quote a name for a message, cut to a length that can be read."""
    return repr(name if len(name) <= 100 else name[:100] + "...")
