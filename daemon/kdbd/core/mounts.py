r"""Mountpoints as the keys that declare them, as libelektra writes them.

Below ``system:/elektra/mountpoints/<mountpoint as one escaped part>`` lie the path of the file
(``definition/path``), the plugins, and what each does at which position. kdbd needs of these the
path, the storage (only dump) and ``announce`` of the dbus plugin; the rest is written so that
libelektra finds what it expects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kdb.model.content import Content
from kdb.model.errors import InstallationError, InvalidName, KDBError, SemanticError
from kdb.model.names import (
    Namespace,
    add_base_name,
    add_name,
    escape,
    is_below,
    is_below_or_same,
    namespace,
    parts,
    unescape,
)

__all__ = [
    "MOUNTPOINTS",
    "MountSpec",
    "declare",
    "declared",
    "root_of",
]

MOUNTPOINTS = unescape("system:/elektra/mountpoints")

_RESOLVER = "resolver_fm_hpu_b"
# What `kdb mount FILE MOUNTPOINT dump` of libelektra 0.11 declares (recorded, dbus/05_mount).
_DECLARATION = (
    ("", ""),
    ("config", ""),
    ("config/fcrypt/textmode", "0"),
    ("definition/positions/get/resolver", "resolver"),
    ("definition/positions/get/storage", "dump"),
    ("definition/positions/set/commit", "resolver"),
    ("definition/positions/set/precommit/#0", "sync"),
    ("definition/positions/set/resolver", "resolver"),
    ("definition/positions/set/rollback", "resolver"),
    ("definition/positions/set/storage", "dump"),
    ("plugins/backend", ""),
    ("plugins/backend/name", "backend"),
    ("plugins/dump", ""),
    ("plugins/dump/name", "dump"),
    ("plugins/resolver", ""),
    ("plugins/resolver/name", _RESOLVER),
    ("plugins/sync", ""),
    ("plugins/sync/name", "sync"),
)
_PATH = "definition/path"
_STORAGE = "definition/positions/set/storage"
_ANNOUNCE = "plugins/dbus/config/announce"
_ANNOUNCING = (
    ("plugins/dbus", ""),
    ("plugins/dbus/config", ""),
    ("plugins/dbus/name", "dbus"),
)


@dataclass(frozen=True, slots=True)
class MountSpec:
    """A declared mountpoint: its name, its file, and whether one signal stands for a commit.

    ``error`` answers every access where kdbd cannot serve it.
    """

    mountpoint: str
    path: str
    announce_once: bool = False
    error: KDBError | None = None

    @property
    def unescaped(self) -> bytes:
        """The mountpoint's unescaped name."""
        return unescape(self.mountpoint)

    @property
    def namespaces(self) -> tuple[Namespace, ...]:
        """The namespaces that it mounts in: a cascading one in all but spec:/ (cli/file.json)."""
        own = namespace(self.unescaped)
        if own is Namespace.CASCADING:
            return (Namespace.DIR, Namespace.USER, Namespace.SYSTEM)
        return (own,)


def root_of(mountpoint: str) -> bytes:
    """Answer the key that declares a mountpoint."""
    return add_base_name(MOUNTPOINTS, mountpoint)


def declare(spec: MountSpec) -> dict[bytes, Content]:
    """Answer the keys that declare a mountpoint."""
    root = root_of(spec.mountpoint)
    declaration = dict(_DECLARATION)
    declaration[_PATH] = spec.path
    if spec.announce_once:
        declaration.update(_ANNOUNCING)
        declaration[_ANNOUNCE] = "once"
    return {
        add_name(root, suffix) if suffix else root: Content(value)
        for suffix, value in declaration.items()
    }


def declared(keys: Iterable[tuple[bytes, Content]]) -> tuple[list[MountSpec], list[KDBError]]:
    """Read the declarations among the keys at or below ``MOUNTPOINTS``, in key order.

    Answers the mountpoints, and what is wrong: one with an unknown storage is still a mountpoint
    (its ``error`` answers every access); what is no mountpoint at all, or claims another's name,
    is left out.
    """
    declarations: dict[bytes, dict[bytes, Content]] = {}
    depth = len(parts(MOUNTPOINTS))
    for name, content in keys:
        if is_below(name, MOUNTPOINTS):
            part = parts(name)[depth]
            declarations.setdefault(add_base_name(MOUNTPOINTS, part), {})[name] = content
    specs = []
    errors: list[KDBError] = []
    claimed: dict[tuple[Namespace, bytes], str] = {}
    for root, keys_of_it in declarations.items():
        try:
            spec = _read(root, keys_of_it)
            _claim(spec, claimed)
        except KDBError as error:
            errors.append(error)
            continue
        if spec.error is not None:
            errors.append(spec.error)
        specs.append(spec)
    return specs, errors


def _read(root: bytes, keys: Mapping[bytes, Content]) -> MountSpec:
    mountpoint = parts(root)[-1]

    def text(suffix: str) -> str | None:
        content = keys.get(add_name(root, suffix))
        return content.value if content is not None and isinstance(content.value, str) else None

    try:
        unescaped = unescape(mountpoint)
    except InvalidName as error:
        raise SemanticError(f"{escape(root)} declares no mountpoint: {error.reason}") from error
    if escape(unescaped) != mountpoint:
        raise SemanticError(
            f"{escape(root)} declares the mountpoint {mountpoint}, whose canonical name is"
            f" {escape(unescaped)}. Declare that"
        )
    if namespace(unescaped) in (Namespace.META, Namespace.PROC, Namespace.DEFAULT):
        raise SemanticError(
            f"{mountpoint} cannot be mounted: keys of its namespace are not stored. Mount at a"
            " name in spec:/, dir:/, user:/, system:/ or at a cascading name"
        )
    for reserved in _RESERVED:
        if is_below_or_same(unescaped, reserved):
            raise SemanticError(
                f"{mountpoint} cannot be mounted: {escape(reserved)} is built in. Mount elsewhere"
            )
    path = text(_PATH)
    if not path:
        raise SemanticError(
            f"{escape(root)} declares a mountpoint without a file. Set {escape(root)}/{_PATH}"
        )
    storage = text(_STORAGE)
    unknown = None
    if storage != "dump":
        unknown = InstallationError(
            f"{mountpoint} wants the storage {storage!r}, which kdbd has not. Use dump",
            mountpoint=mountpoint,
        )
    return MountSpec(mountpoint, path, text(_ANNOUNCE) == "once", unknown)


# libelektra keeps these apart; the mountpoints' own declarations must be found before any mount.
# A cascading mountpoint is one in system:/ too.
_RESERVED = (unescape("system:/elektra"), unescape("/elektra"))


def _claim(spec: MountSpec, claimed: dict[tuple[Namespace, bytes], str]) -> None:
    places = [(each, spec.unescaped[1:]) for each in spec.namespaces]
    for place in places:
        if place in claimed:
            # Which of them was there before, the keys do not tell.
            raise SemanticError(
                f"{claimed[place]} and {spec.mountpoint} cannot both be mounted: both would be at"
                f" {escape(bytes([place[0]]) + place[1])}. Unmount the one that is there first, or"
                " mount elsewhere"
            )
    claimed.update(dict.fromkeys(places, spec.mountpoint))
