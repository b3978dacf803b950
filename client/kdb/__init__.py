"""The key database, for applications, in the vocabulary of libelektra's Python binding.

    import kdb

    with kdb.KDB() as db:
        ks = kdb.KeySet()
        db.get(ks, "user:/sw/app")
        ks.append(kdb.Key("user:/sw/app/colour", "blue"))
        db.set(ks, "user:/sw/app")

The same for asyncio is `kdb.aio.KDB`. Names are imported when first used: importing this package
loads no D-Bus library, which would take several times as long as Python itself.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # type checkers know it; importing typing would take most of the time here
if TYPE_CHECKING:
    from typing import Any

    from kdb import aio as aio
    from kdb import errors as errors
    from kdb._kdb import KDB as KDB
    from kdb.constants import *  # noqa: F403 - the list of names is kept there, once
    from kdb.model.elektradiff import ElektraDiff as ElektraDiff
    from kdb.model.exceptions import *  # noqa: F403 - as above
    from kdb.model.key import Key as Key
    from kdb.model.keyset import KeySet as KeySet

_CLASSES = {
    "ElektraDiff": "kdb.model.elektradiff",
    "KDB": "kdb._kdb",
    "Key": "kdb.model.key",
    "KeySet": "kdb.model.keyset",
}
_MODULES = ("aio", "errors")
_LISTS = ("kdb.constants", "kdb.model.exceptions")


def _names() -> list[str]:
    lists = (import_module(module).__all__ for module in _LISTS)
    return sorted({*_CLASSES, *(name for names in lists for name in names)})


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return _names()
    if name in _MODULES:
        return import_module(f"kdb.{name}")
    homes = (_CLASSES[name],) if name in _CLASSES else _LISTS
    for module in map(import_module, homes):
        if not name.startswith("_") and hasattr(module, name):
            value = globals()[name] = getattr(module, name)
            return value
    raise AttributeError(f"module 'kdb' has no attribute {name!r}", name=name, obj=None)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_names()})
