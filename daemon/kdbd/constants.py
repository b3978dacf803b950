"""The keys that are built in: what `kdb ls system:/elektra/version` of libelektra 0.11 shows."""

from __future__ import annotations

from sortedcontainers import SortedDict

from kdb.model.content import Content
from kdb.model.errors import InterfaceError
from kdb.model.names import unescape
from kdbd.core.backend import Backend

__all__ = ["LIBELEKTRA_VERSION", "built_in"]

# The version whose names, files and vocabulary kdbd keeps.
LIBELEKTRA_VERSION = "0.11.0"

_VERSION = {
    "": "",
    "/constants": "",
    "/constants/KDB_VERSION": LIBELEKTRA_VERSION,
    "/constants/KDB_VERSION_MAJOR": "0",
    "/constants/KDB_VERSION_MINOR": "11",
    "/constants/KDB_VERSION_PATCH": "0",
    "/constants/SO_VERSION": "5",
    "/infos": "All information you want to know",
    "/infos/author": "The authors of kdbd",
    "/infos/description": "Version information of the key database",
    "/infos/licence": "BSD",
    "/infos/version": "1",
}


def built_in() -> list[Backend]:
    """Answer the read-only backends system:/elektra/version and system:/elektra/modules.

    They are no files and in no journal: their identities are negative.
    """
    backends = []
    for identity, name, keys in (
        (-1, "system:/elektra/version", _VERSION),
        (-2, "system:/elektra/modules", {}),
    ):
        backends.append(
            Backend(
                identity,
                unescape(name),
                concealed=True,
                refusal=InterfaceError(
                    f"{name} is read-only: it describes this kdbd. Nothing was stored",
                    mountpoint=name,
                ),
                tree=SortedDict(
                    {unescape(name + suffix): Content(value) for suffix, value in keys.items()}
                ),
            )
        )
    return backends
