"""Key, in the vocabulary of libelektra's Python binding.

A key is mutable from outside. Inside it holds an unescaped name (`kdb.model.names`) and an
immutable `Content`, which other keys, key sets and the service's answers share: assigning a value
or metadata puts a new content, of revision 0, in its place. So whether a key was changed is one
comparison of identities.

Three locks (`KEY_LOCK_*`) keep a key's name, value and metadata. A key set locks the names of its
keys, since they are its order, and they stay locked when they leave it, as in libelektra; `dup`
gives an unlocked key. Methods are named as in the binding, hence not in the style of the rest.
"""

# ruff: noqa: N802 - the methods have the names of libelektra's binding
# ruff: noqa: SLF001 - keys see each other's insides

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from kdb.model import content, keyoptions, names
from kdb.model.constants import (
    KEY_BINARY,
    KEY_CP_ALL,
    KEY_CP_META,
    KEY_CP_NAME,
    KEY_CP_STRING,
    KEY_CP_VALUE,
    KEY_LOCK_META,
    KEY_LOCK_NAME,
    KEY_LOCK_VALUE,
)
from kdb.model.content import BINARY, Content, Meta
from kdb.model.errors import InvalidName, InvalidValue, NameTooLong, ValueTooLarge
from kdb.model.exceptions import KeyException, KeyInvalidName, KeyInvalidValue, KeyTypeMismatch
from kdb.model.iteration import Identity, ValueIterator
from kdb.model.names import Namespace

__all__ = ["ArrayElement", "Key", "name_of", "unescape"]

_EMPTY: Final = Content("")
_ALL_LOCKS: Final = KEY_LOCK_NAME | KEY_LOCK_VALUE | KEY_LOCK_META
_META: Final = "meta:/"


class ArrayElement(NamedTuple):
    """An array element's index, and the array's name and base name."""

    index: int  # type: ignore[assignment]  # the field in libelektra's binding; tuple has index()
    name: str
    basename: str


class Key:
    """A key: a name, a value (string, or bytes if binary) and metadata.

    Keys are equal, and ordered, by their names only.
    """

    __slots__ = ("_content", "_locks", "_name")

    _name: bytes
    _content: Content
    _locks: int

    Array: ClassVar = ArrayElement

    def __new__(cls, name: str | Key = "/", *options: object) -> Key:
        """Make a key.

        `options` are those of `kdb.model.keyoptions`. A key in place of a name gives that same key:
        in libelektra it is one more reference to it. For a copy there is `dup`.

        Raises KeyInvalidName, KeyInvalidValue, and TypeError for wrong types.
        """
        if isinstance(name, Key):
            if options:
                raise TypeError("a key made of another key takes no options")
            return name
        if not isinstance(name, str):
            raise TypeError(f"a key name is a str, not {type(name).__name__}")
        key = object.__new__(cls)
        key._name = unescape(name)
        key._content = _EMPTY
        key._locks = 0
        if options:
            key._configure(options)
        return key

    @classmethod
    def _of(cls, name: bytes, content: Content, locks: int = 0) -> Key:
        """Make a key of an unescaped name and a content, without a check."""
        key = object.__new__(cls)
        key._name = name
        key._content = content
        key._locks = locks
        return key

    def _configure(self, options: Sequence[object]) -> None:
        value, metadata, flags = keyoptions.parse(options)
        if value is not None:
            self.set(value)
        elif flags & KEY_BINARY:
            self.set(b"")
        for name, text in metadata.items():
            self.setMeta(name, text)
        self._locks = flags & _ALL_LOCKS

    # --- the name

    @property
    def name(self) -> str:
        """The escaped, canonical name. Assigning raises KeyInvalidName, for a locked name too."""
        return names.escape(self._name)

    @name.setter
    def name(self, name: str) -> None:
        self._rename(unescape(name))

    @property
    def basename(self) -> str:
        """The last part, unescaped; "" for a root, which has none and cannot get one."""
        return names.base_name(self._name)

    @basename.setter
    def basename(self, base: str) -> None:
        try:
            self._rename(names.set_base_name(self._name, base))
        except (InvalidName, NameTooLong) as error:
            raise KeyInvalidName(error.reason) from error

    def addName(self, suffix: str) -> None:
        """Add an escaped name of any number of parts. Raises KeyInvalidName."""
        try:
            self._rename(names.add_name(self._name, suffix))
        except (InvalidName, NameTooLong) as error:
            raise KeyInvalidName(error.reason) from error

    def addBaseName(self, base: str) -> None:
        """Add one unescaped part. Raises KeyInvalidName."""
        try:
            self._rename(names.add_base_name(self._name, base))
        except (InvalidName, NameTooLong) as error:
            raise KeyInvalidName(error.reason) from error

    def delBaseName(self) -> None:
        """Remove the last part. Raises KeyInvalidName where there is none."""
        shorter = names.parent(self._name)
        if shorter == self._name:
            raise KeyInvalidName(f"{self.name!r} has no base name to remove")
        self._rename(shorter)

    def getNamespace(self) -> int:
        """Return the namespace as one of `KEY_NS_*`."""
        return self._name[0]

    def setNamespace(self, namespace: int) -> None:
        """Move the key to the namespace `KEY_NS_*`, keeping its path. Raises KeyInvalidName."""
        try:
            target = Namespace(namespace)
        except ValueError:
            target = Namespace.NONE
        if target is Namespace.NONE:
            raise KeyInvalidName(f"{namespace!r} is no namespace that a key can be in")
        try:
            self._rename(names.in_namespace(self._name, target))
        except NameTooLong as error:
            raise KeyInvalidName(error.reason) from error

    def isCascading(self) -> bool:
        """Tell whether the key is in no namespace: `/x`."""
        return self._name[0] == Namespace.CASCADING

    def isSpec(self) -> bool:
        """Tell whether the key is in spec:/."""
        return self._name[0] == Namespace.SPEC

    def isProc(self) -> bool:
        """Tell whether the key is in proc:/."""
        return self._name[0] == Namespace.PROC

    def isDir(self) -> bool:
        """Tell whether the key is in dir:/."""
        return self._name[0] == Namespace.DIR

    def isUser(self) -> bool:
        """Tell whether the key is in user:/."""
        return self._name[0] == Namespace.USER

    def isSystem(self) -> bool:
        """Tell whether the key is in system:/."""
        return self._name[0] == Namespace.SYSTEM

    def isBelow(self, other: Key | str) -> bool:
        """Tell whether this key is below `other`; a cascading key stands for any namespace."""
        return names.is_below(*names.related(self._name, name_of(other)))

    def isBelowOrSame(self, other: Key | str) -> bool:
        """Tell whether this key is `other` or below it; cascading as in `isBelow`."""
        return names.is_below_or_same(*names.related(self._name, name_of(other)))

    def isDirectBelow(self, other: Key | str) -> bool:
        """Tell whether this key is `other` with one part more; cascading as in `isBelow`."""
        return names.is_directly_below(*names.related(self._name, name_of(other)))

    def array_elements(self) -> ArrayElement:
        """Return index, name and base name of `<name>/#_12`; ValueError where it is no element."""
        index = names.array_index(self.basename)
        if index is None:
            raise ValueError(f"{self.name!r} does not end in an array index such as #0 or #_12")
        array = names.parent(self._name)
        return ArrayElement(index, names.escape(array), names.base_name(array))

    # --- the value

    @property
    def value(self) -> str | bytes:
        """The value: bytes if the key is binary, else str. Assigning is `set`."""
        return self._content.value

    @value.setter
    def value(self, value: object) -> None:
        self.set(value)

    def get(self) -> str | bytes:
        """Return the value."""
        return self._content.value

    def set(self, value: object) -> None:
        """Set the value: bytes make the key binary; anything else is stored as its `str`.

        The metadata `binary` follows; `origvalue`, a value's form before it was normalised, goes
        with a new string, as in libelektra. Raises KeyInvalidValue, e.g. for a NUL in a string,
        and KeyException where the value is locked.
        """
        metadata = dict(self._content.meta)
        if isinstance(value, bytes):
            metadata[BINARY] = metadata.get(BINARY, "")
        else:
            value = str(value)
            metadata.pop(BINARY, None)
            metadata.pop("origvalue", None)
        self._require(KEY_LOCK_VALUE)
        self._assign(value, metadata)

    def isString(self) -> bool:
        """Tell whether the value is a str."""
        return BINARY not in self._content.meta

    def isBinary(self) -> bool:
        """Tell whether the value is bytes."""
        return BINARY in self._content.meta

    def isNull(self) -> bool:
        """Always False: there is no key without a name."""
        return False

    def isValid(self) -> bool:
        """Always True: there is no key with an invalid name."""
        return True

    # --- the metadata

    def getMeta(self, name: str | Key | None = None) -> Key | Iterator[Key] | None:
        """Return the metadata key `meta:/name`, None where there is none; without a name, all.

        These keys are locked. `name` may omit `meta:/`.
        """
        metadata = self._content.meta
        if name is None:
            return (_meta_key(each, text) for each, text in metadata.items())
        found = _find_meta(metadata, name)
        return None if found is None else _meta_key(found, metadata[found])

    def setMeta(self, name: object, text: object) -> None:
        """Set a metadata key's value, a str.

        Setting or removing `binary` turns the value into bytes or str. Raises KeyInvalidName,
        KeyInvalidValue, KeyException where metadata are locked, and TypeError.
        """
        if not isinstance(name, (str, Key)) or not isinstance(text, str):
            raise TypeError(f"metadata are str, not {type(name).__name__}: {type(text).__name__}")
        metadata = dict(self._content.meta)
        metadata[_canonical_meta(str(name))] = text
        self._set_metadata(metadata)

    def hasMeta(self, name: str | Key) -> bool:
        """Tell whether there is such a metadata key. `name` may omit `meta:/`."""
        return _find_meta(self._content.meta, name) is not None

    def delMeta(self, name: str | Key) -> None:
        """Remove a metadata key, if there is one. Raises as `setMeta`."""
        metadata = dict(self._content.meta)
        found = _find_meta(metadata, name)
        if found is not None:
            del metadata[found]
        self._set_metadata(metadata)

    def copyMeta(self, other: Key, name: str | Key) -> None:
        """Make one metadata key as `other` has it; remove it where that has none."""
        found = _find_meta(other._content.meta, name)
        if found is None:
            self.delMeta(name)
        else:
            self.setMeta(found, other._content.meta[found])

    def copyAllMeta(self, other: Key) -> None:
        """Add all metadata of `other`, in place of what has the same name."""
        self._set_metadata({**self._content.meta, **other._content.meta})

    # --- the whole key

    def clear(self) -> None:
        """Make the key `/`, with an empty value and no metadata.

        Raises KeyInvalidName or KeyException where any of it is locked.
        """
        self._require(_ALL_LOCKS)
        self._name = names.unescape("/")
        self._content = _EMPTY

    def copy(self, other: Key, flags: int = KEY_CP_ALL) -> None:
        """Take over what `KEY_CP_*` in `flags` names from `other`.

        Raises KeyInvalidName or KeyException for what is locked, and KeyException where flags
        contradict: a value both as string and as it is, or the string of a binary key.
        """
        with_value = flags & (KEY_CP_STRING | KEY_CP_VALUE)
        if with_value == KEY_CP_STRING | KEY_CP_VALUE:
            raise KeyException("KEY_CP_STRING and KEY_CP_VALUE exclude each other")
        if with_value == KEY_CP_STRING and other.isBinary():
            raise KeyTypeMismatch(f"{other.name!r} is binary, it has no string to copy")
        self._require(
            (KEY_LOCK_NAME if flags & KEY_CP_NAME else 0)
            | (KEY_LOCK_VALUE if with_value else 0)
            | (KEY_LOCK_META if flags & KEY_CP_META else 0)
        )
        if flags & KEY_CP_META:
            metadata = other._content.meta
            if with_value:
                self._content = other._content
            else:
                self._set_metadata(metadata)
        elif with_value:
            kept = {name: text for name, text in self._content.meta.items() if name != BINARY}
            self._assign(other.value, {**kept, BINARY: ""} if other.isBinary() else kept)
        if flags & KEY_CP_NAME:
            self._name = other._name

    def dup(self, flags: int = KEY_CP_ALL) -> Key:
        """Return an independent, unlocked copy."""
        if flags == KEY_CP_ALL:
            return self._of(self._name, self._content)
        key = Key()
        key.copy(self, flags)
        return key

    def __copy__(self) -> Key:
        return self.dup()

    def __deepcopy__(self, memo: object) -> Key:
        return self.dup()

    def isNameLocked(self) -> bool:
        """Tell whether the name can no more be changed."""
        return bool(self._locks & KEY_LOCK_NAME)

    def isValueLocked(self) -> bool:
        """Tell whether the value can no more be changed."""
        return bool(self._locks & KEY_LOCK_VALUE)

    def isMetaLocked(self) -> bool:
        """Tell whether the metadata can no more be changed."""
        return bool(self._locks & KEY_LOCK_META)

    def getKey(self) -> Identity:
        """Return a token that equals another one exactly if both are of this same key."""
        return Identity(self)

    # --- Python's protocols

    def __eq__(self, other: object) -> bool:
        return self._name == other._name if isinstance(other, Key) else NotImplemented

    def __lt__(self, other: object) -> bool:
        return self._name < other._name if isinstance(other, Key) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self._name <= other._name if isinstance(other, Key) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self._name > other._name if isinstance(other, Key) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self._name >= other._name if isinstance(other, Key) else NotImplemented

    def __hash__(self) -> int:
        if not self._locks & KEY_LOCK_NAME:
            raise TypeError(f"unhashable: the name of {self!r} is not locked and may change")
        return hash(self._name)

    def __str__(self) -> str:
        return names.escape(self._name)

    def __repr__(self) -> str:
        return f"kdb.Key({self.name!r})"

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        return 1 + len(names.parts(self._name))

    def __iter__(self) -> ValueIterator[str]:
        return ValueIterator(self._items())

    def __reversed__(self) -> ValueIterator[str]:
        return ValueIterator(self._items()[::-1])

    def _items(self) -> tuple[str, ...]:
        return (chr(self._name[0]), *names.parts(self._name))

    # --- how all of it changes

    def _require(self, locks: int) -> None:
        """Raise if one of `locks` is set."""
        held = self._locks & locks
        if held & KEY_LOCK_NAME:
            raise KeyInvalidName(
                f"the name of {self.name!r} is locked, a key set holds or held it; rename a dup()"
            )
        if held:
            raise KeyException(
                f"{self.name!r} is locked, as metadata are; change it through the key it belongs to"
            )

    def _rename(self, name: bytes) -> None:
        self._require(KEY_LOCK_NAME)
        self._name = name

    def _set_metadata(self, metadata: Mapping[str, str]) -> None:
        """Replace the metadata; the value becomes bytes or str as they say."""
        self._require(KEY_LOCK_META)
        value = self._content.value
        if BINARY in metadata:
            value = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        elif isinstance(value, bytes):
            value = value.decode("utf-8", "surrogateescape")
        self._assign(value, metadata)

    def _assign(self, value: str | bytes, metadata: Mapping[str, str]) -> None:
        try:
            self._content = content.make(value, metadata)
        except (InvalidValue, ValueTooLarge) as error:
            raise KeyInvalidValue(error.reason) from error


def unescape(name: str) -> bytes:
    """Parse an escaped name. Raises KeyInvalidName."""
    try:
        return names.unescape(name)
    except (InvalidName, NameTooLong) as error:
        raise KeyInvalidName(error.reason) from error


def name_of(key: object) -> bytes:
    """Return the unescaped name of a key or of a name. Raises KeyInvalidName, TypeError."""
    if isinstance(key, Key):
        return key._name
    if isinstance(key, str):
        return unescape(key)
    raise TypeError(f"a key or its name is needed, not {type(key).__name__}")


def _meta_key(name: str, text: str) -> Key:
    return Key._of(names.unescape(_META + name), Content(text), _ALL_LOCKS)


def _canonical_meta(name: str) -> str:
    """Return a metadata name canonically and without `meta:/`. Raises KeyInvalidName."""
    return names.escape(unescape(_META + name.removeprefix(_META))).removeprefix(_META)


def _find_meta(metadata: Meta, name: str | Key) -> str | None:
    """Return under which name, if any, the metadata have `name`."""
    written = str(name)
    if written in metadata:
        return written
    try:
        found = _canonical_meta(written)
    except KeyInvalidName:
        return None
    return found if found in metadata else None
