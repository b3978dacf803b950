"""States of the database made by hand, for the tests of kdbd.core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from kdb.model import content as model_content
from kdb.model.content import Content
from kdb.model.errors import KDBError
from kdb.model.names import Namespace, escape, namespace, unescape
from kdbd.core.backend import Backend
from kdbd.core.commit import Draft, KeyChange
from kdbd.core.requests import Request
from kdbd.core.view import Mounts, View

__all__ = [
    "REVISION",
    "content",
    "drafted",
    "error_of",
    "items",
    "key",
    "mounted",
    "mounts",
    "pauses",
    "stores",
    "summary",
]

# What requests are drafted as, where a test names no other revision.
REVISION = 9

key = unescape


def content(
    value: str | bytes, meta: Mapping[str, str] = MappingProxyType({}), *, revision: int = 0
) -> Content:
    """Return a content that was stored by a revision."""
    return model_content.make(value, meta)._replace(revision=revision)


def mounted(
    identity: int, mountpoint: str, keys: Mapping[str, Content] | None = None, **options: Any
) -> Backend:
    """Return the backend of a mountpoint."""
    backend = Backend(identity, key(mountpoint), **options)
    backend.tree.update({key(name): each for name, each in (keys or {}).items()})
    return backend


def mounts(*backends: Backend) -> Mounts:
    """Return the mounts of one root."""
    return Mounts({backend.mountpoint: backend for backend in backends})


def stores(
    keys: Mapping[str, Content] | None = None,
    *backends: Backend,
    namespaces: Iterable[str] = ("spec", "user", "system"),
) -> View:
    """Return a view of these namespaces, each key in the backend that it belongs to.

    The roots' backends have the identities 101, 102, ... unless they are among those given.
    """
    tables: dict[Namespace, dict[bytes, Backend]] = {}
    roots = [Backend(number, key(f"{each}:/")) for number, each in enumerate(namespaces, start=101)]
    for backend in (*roots, *backends):
        tables.setdefault(namespace(backend.mountpoint), {})[backend.mountpoint] = backend
    view = View({which: Mounts(table) for which, table in tables.items()})
    for name, each in (keys or {}).items():
        view.backend(key(name)).tree[key(name)] = each
    return view


def drafted(request: Request, revision: int = REVISION) -> Draft:
    """Return a request's draft, or raise its error."""
    made = request(revision)
    if isinstance(made, Draft):
        return made
    while True:
        try:
            next(made)
        except StopIteration as finished:
            draft: Draft = finished.value
            return draft


def pauses(request: Request, revision: int = REVISION) -> int:
    """Return how often a request lets others go on."""
    made = request(revision)
    assert not isinstance(made, Draft)
    return sum(1 for _ in made)


def error_of(call: Callable[..., object], *arguments: Any) -> tuple[type[KDBError], str, str]:
    """Return the class, the number and the text of the error that a call raises."""
    with pytest.raises(KDBError) as caught:
        call(*arguments)
    return type(caught.value), caught.value.number, str(caught.value)


def items(pairs: Iterable[tuple[bytes, Content]]) -> list[tuple[str, str | bytes]]:
    """Return names and values, as one reads them."""
    return [(escape(name), each.value) for name, each in pairs]


def summary(
    changes: Iterable[KeyChange],
) -> list[tuple[int, str, str | bytes | None, str | bytes | None]]:
    """Return of each change the backend's identity, the name, and the value before and after."""
    return [
        (
            change.backend.identity,
            escape(change.name),
            None if change.old is None else change.old.value,
            None if change.new is None else change.new.value,
        )
        for change in changes
    ]
