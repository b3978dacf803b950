"""What travels between kdbd and its clients, as values: blocks, errors, match rules.

**Blocks.** Key sets travel in bulk as the arguments ``(ay data, ah memfd)`` of which exactly one
is not empty: up to 1 MiB (:data:`INLINE_BLOCK_BYTES`) in ``data``, above that as one memfd sealed
against writing, growing and shrinking, of at most 64 MiB (:data:`MAX_BLOCK_BYTES`). The content
is one msgpack array of entries:

====================  ==============================================================
the answer to a get   ``[name, value, {meta: text}, revision]``
a set, key put        ``[name, value, {meta: text}, replaced revision]``
a set, key removed    ``[name, nil, nil, replaced revision]``
the answer to a diff  ``[name, old, new]``, each nil or ``[value, {meta: text}]``
====================  ==============================================================

Names are escaped key names; metadata names come without ``meta:/`` (with it they are understood).
A string value is a msgpack str, a binary value a msgpack bin. Bytes of a file that are no UTF-8
are kept in strings by Python's ``surrogateescape``, and so in the msgpack str.

**Errors** are D-Bus errors named ``org.libelektra.KDB1.Error.…`` with one string, the error's
text; :mod:`kdb.model.errors` says how it is made, :func:`from_dbus_error` takes it apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgpack

from kdb.model import content, errors, names
from kdb.model.content import MAX_VALUE_BYTES, NO_META, Content
from kdb.model.diff import Change
from kdb.model.errors import ERROR_PREFIX
from kdb.protocol import (
    BUS_NAME,
    HANDLE_INTERFACE,
    HANDLE_PATH_PREFIX,
    INLINE_BLOCK_BYTES,
    INTERFACE,
    MAX_BLOCK_BYTES,
    MAX_RULE_BYTES,
    OBJECT_PATH,
    RECORD_INTERFACE,
    SIGNAL_INTERFACE,
    SIGNAL_PATH,
    START_HINT,
)

__all__ = [
    "BUS_NAME",
    "ERROR_PREFIX",
    "HANDLE_INTERFACE",
    "HANDLE_PATH_PREFIX",
    "INLINE_BLOCK_BYTES",
    "INTERFACE",
    "MAX_BLOCK_BYTES",
    "MAX_RULE_BYTES",
    "MAX_VALUE_BYTES",
    "OBJECT_PATH",
    "RECORD_INTERFACE",
    "SIGNAL_INTERFACE",
    "SIGNAL_PATH",
    "START_HINT",
    "check_sendable",
    "from_dbus_error",
    "match_rules",
    "no_service",
    "pack_block",
    "pack_changes",
    "pack_diff",
    "pack_keys",
    "pack_present",
    "parse_conflicts",
    "quote_rule_value",
    "unpack_block",
    "unpack_changes",
    "unpack_diff",
    "unpack_keys",
    "unpack_present",
]

_MSGPACK_ERRORS = (ValueError, TypeError, msgpack.exceptions.UnpackException)
_MAX_REVISION: Final = 2**64 - 1


# --- blocks -------------------------------------------------------------------------------------


def pack_block(entries: Iterable[Sequence[Any]]) -> bytes:
    """Return *entries* as a block.

    Entries are sequences of str, bytes, int, None, lists and mappings, as the module's table says.
    """
    return msgpack.packb(  # type: ignore[no-any-return]  # msgpack has no types
        entries if isinstance(entries, list) else list(entries),
        default=_plain,
        unicode_errors="surrogateescape",
    )


def _plain(value: object) -> object:
    """Return a read-only mapping as the dict that msgpack knows."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a block holds no {type(value).__name__}")


def unpack_block(data: bytes) -> list[Any]:
    """Return the entries of a block, as lists of unchecked values.

    Raises:
        InvalidBlock: the data are more than 64 MiB, no msgpack, or not one array.

    """
    if len(data) > MAX_BLOCK_BYTES:
        raise errors.InvalidBlock(f"a block of {len(data)} bytes is over {MAX_BLOCK_BYTES}")
    try:
        entries = msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape")
    except _MSGPACK_ERRORS as error:
        raise errors.InvalidBlock(f"the block is no msgpack array: {error}") from None
    if type(entries) is not list:
        raise errors.InvalidBlock(f"the block is no array but {type(entries).__name__}")
    return entries


def pack_keys(keys: Iterable[tuple[bytes, Content]]) -> bytes:
    """Return the answer to a get: unescaped names with their contents, in key order."""
    escape = names.escape
    return pack_block([(escape(name), *key) for name, key in keys])


def unpack_keys(data: bytes) -> list[tuple[bytes, Content]]:
    """Return the keys of a get's answer. Its metadata are taken as ordered and canonical.

    Raises:
        InvalidBlock: it is no such answer.

    """
    unescape = names.unescape
    try:
        return [
            (
                unescape(name),
                Content(value, MappingProxyType(meta) if meta else NO_META, revision),
            )
            for name, value, meta, revision in unpack_block(data)
        ]
    except (TypeError, ValueError) as error:
        raise errors.InvalidBlock(f"the block holds no keys: {error}") from None


def pack_changes(changes: Iterable[tuple[bytes, Content | None, int]]) -> bytes:
    """Return what a set asks for: name, new content or None to remove, the replaced revision."""
    escape = names.escape
    return pack_block(
        [
            (escape(name), None, None, revision)
            if key is None
            else (escape(name), key.value, key.meta, revision)
            for name, key, revision in changes
        ]
    )


def unpack_changes(data: bytes) -> list[tuple[bytes, Content | None, int]]:
    """Return what a set asks for, every entry checked.

    Raises:
        InvalidBlock: an entry has another shape, or a name comes twice.
        InvalidName, NameTooLong: a key's or metadata's name.
        InvalidValue, ValueTooLarge: a value or metadata.

    """
    changes = [_unpack_change(entry) for entry in unpack_block(data)]
    if len({name for name, _, _ in changes}) != len(changes):
        raise errors.InvalidBlock("a key comes twice in the block")
    return changes


def _unpack_change(entry: object) -> tuple[bytes, Content | None, int]:
    if type(entry) is not list or len(entry) != 4:
        raise errors.InvalidBlock("an entry of the block is not [name, value, metadata, revision]")
    name, value, meta, revision = entry
    if type(name) is not str:
        raise errors.InvalidBlock("a key's name in the block is no string")
    if type(revision) is not int or not 0 <= revision <= _MAX_REVISION:
        raise errors.InvalidBlock(f"the revision of {name!r} is no 64-bit number")
    if value is None and meta is None:
        return names.unescape(name), None, revision
    return names.unescape(name), _unpack_content(name, value, meta), revision


def _unpack_content(name: str, value: object, meta: object) -> Content:
    if not isinstance(value, str | bytes):
        raise errors.InvalidBlock(f"the value of {name!r} is neither a string nor bytes")
    if type(meta) is not dict or not all(
        type(key) is str and type(text) is str for key, text in meta.items()
    ):
        raise errors.InvalidBlock(f"the metadata of {name!r} are no map of strings")
    # A character has at most 4 bytes: only what may be too long is encoded to find out.
    if len(value) * 4 > MAX_VALUE_BYTES:
        raw = value if isinstance(value, bytes) else value.encode(errors="surrogateescape")
        if len(raw) > MAX_VALUE_BYTES:
            raise errors.ValueTooLarge(f"the value of {name!r} is over {MAX_VALUE_BYTES} bytes")
    return content.make(value, meta)


def pack_diff(diff: Mapping[bytes, Change]) -> bytes:
    """Return the answer to a diff."""
    escape = names.escape
    return pack_block(
        [
            (
                escape(name),
                None if change.old is None else change.old[:2],
                None if change.new is None else change.new[:2],
            )
            for name, change in diff.items()
        ]
    )


def unpack_diff(data: bytes) -> dict[bytes, Change]:
    """Return a diff's answer, in its order; contents have revision 0.

    Raises:
        InvalidBlock: it is no such answer.

    """
    try:
        return {
            names.unescape(name): Change(_unpack_side(old), _unpack_side(new))
            for name, old, new in unpack_block(data)
        }
    except (TypeError, ValueError) as error:
        raise errors.InvalidBlock(f"the block holds no diff: {error}") from None


def _unpack_side(side: list[Any] | None) -> Content | None:
    if side is None:
        return None
    value, meta = side
    return Content(value, MappingProxyType(meta) if meta else NO_META)


def pack_present(present: Mapping[bytes, int]) -> bytes:
    """Return the second answer to a set: the revision of each put key that already was as asked."""
    escape = names.escape
    return msgpack.packb(  # type: ignore[no-any-return]  # msgpack has no types
        {escape(name): revision for name, revision in present.items()},
        unicode_errors="surrogateescape",
    )


def unpack_present(data: bytes) -> dict[bytes, int]:
    """Return the second answer to a set; no data stand for an empty one.

    Raises:
        InvalidBlock: it is no map of names to numbers.

    """
    if not data:
        return {}
    try:
        present = msgpack.unpackb(data, raw=False, unicode_errors="surrogateescape")
        return {names.unescape(name): int(revision) for name, revision in present.items()}
    except (*_MSGPACK_ERRORS, AttributeError) as error:
        raise errors.InvalidBlock(f"the answer to a set is no map: {error}") from None


# --- match rules --------------------------------------------------------------------------------


def quote_rule_value(value: str) -> str:
    r"""Return *value* as it is written in a match rule.

    Within apostrophes everything stands for itself; an apostrophe leaves them: ``'\''``
    (D-Bus specification, "Match Rules").
    """
    return "'" + value.replace("'", r"'\''") + "'"


def match_rules(parent: bytes) -> list[str]:
    """Return the rules under which the bus sends the signals of *parent* and the keys below.

    For each namespace: the keys below (``arg0path``, which misses the parent itself), the parent
    (``arg0``), and once ``Commit``, whose mountpoint may be above the parent. Where a rule would
    be over 1,024 bytes, the nearest parent that fits stands in: what comes is to be filtered.
    The rules always name the sender, so that nobody else's signals come.
    """
    own = names.namespace(parent)
    namespaces = names.PERSISTABLE if own is names.Namespace.CASCADING else (own,)
    rules = [_rule("Commit")]
    for namespace in namespaces:
        rules += _parent_rules(names.in_namespace(parent, namespace))
    return rules


def _parent_rules(parent: bytes) -> list[str]:
    below = parent
    while True:
        name = names.escape(below)
        path = name if name.endswith(":/") else name + "/"
        rule = _rule(None, f",arg0path={quote_rule_value(path)}")
        if len(rule.encode(errors="surrogateescape")) <= MAX_RULE_BYTES:
            break
        below = names.parent(below)
    if below != parent or path == name:
        # A wider path, like a root's, covers the parent itself.
        return [rule]
    return [rule, _rule(None, f",arg0={quote_rule_value(name)}")]


def _rule(member: str | None, argument: str = "") -> str:
    return (
        f"type='signal',sender='{BUS_NAME}',path='{SIGNAL_PATH}',interface='{SIGNAL_INTERFACE}'"
        + (f",member='{member}'" if member else "")
        + argument
    )


# --- errors -------------------------------------------------------------------------------------

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
