"""Looking up names: which key a name stands for.

A name with a namespace stands for the key of that name. A cascading name `/x` is looked up, in
this order, and the first key that is there is found:

    where spec:/x is there                    where it is not
    1. its links override/#0, override/#1 ...  1. proc:/x, dir:/x, user:/x, system:/x
    2. x in its namespace/#0, namespace/#1 ... 2. default:/x
       or, without them, in proc, dir, user,  3. the key `/x` itself (only a key set outside
       system                                    the database can hold one)
    3. its links fallback/#0, fallback/#1 ...
    4. default:/x
    5. its metadata `default`, as the key default:/x

- A link is a cascading name, looked up by these rules, or a name with a namespace. It takes no
  defaults: those of another name must not come before what this name's specification says.
- The lists end at the first number that is missing or empty, and `namespace` at an unknown one.
  A link that is no valid name finds nothing.
- Each name is looked up once: a link back to one, in a loop or by two ways, finds nothing new.
- Patterns are not expanded: spec:/arr/# and spec:/map/_/x say nothing about /arr/#1 and /map/a/x,
  as recorded from libelektra, where only metadata come from them.

Sources: Elektra's cascading look-up, and its order as `kdb get -v` prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kdb.model.content import Content, Meta
from kdb.model.errors import InvalidName, NameTooLong, SemanticError
from kdb.model.names import (
    Namespace,
    array_part,
    escape,
    in_namespace,
    namespace,
    namespace_name,
    parts,
    unescape,
)

__all__ = ["MAX_DEPTH", "Found", "Get", "Step", "default_key", "lookup"]

# Specifications link one or two names deep. 32 leave room, and stay far from the interpreter's
# bound on nested calls, of which each link takes three.
MAX_DEPTH: Final = 32

_CASCADE: Final = (Namespace.PROC, Namespace.DIR, Namespace.USER, Namespace.SYSTEM)
_BY_NAME: Final = {namespace_name(ns): ns for ns in Namespace if ns > Namespace.META}

Get = Callable[[bytes], Content | None]


class Found(NamedTuple):
    """The key found: its unescaped name, and its content (of a default: value and revision)."""

    name: bytes
    content: Content


class Step(NamedTuple):
    """One name that was searched, and whether a key was there.

    Of a cascading name that step is the last: `/x` itself. `kdb get -v` prints the steps, though
    libelektra's prints none that come after a specification key was found.
    """

    name: bytes
    found: bool


def lookup(name: bytes, get: Get, steps: list[Step] | None = None) -> Found | None:
    """Find the key that a name stands for; None where there is none.

    `get` answers the content of exactly one key, and None where it is missing or not to be seen.
    `steps` collects what was searched. Raises SemanticError for links deeper than `MAX_DEPTH`.
    """
    search = _Search(get, [] if steps is None else steps)
    if namespace(name) is Namespace.CASCADING:
        return search.cascading(name, defaults=True, depth=0)
    return search.exact(name)


def default_key(name: bytes, specification: Content) -> Found | None:
    """Return the key of default:/ that a specification key makes, as the listing shows it.

    None without the metadata `default`, and for a specification of array elements (`#`).
    """
    if "default" not in specification.meta or "#" in parts(name):
        return None
    return _default(name, specification)


@dataclass(frozen=True, slots=True)
class _Search:
    get: Get
    steps: list[Step]
    looked_up: set[bytes] = field(default_factory=set)

    def cascading(self, name: bytes, *, defaults: bool, depth: int) -> Found | None:
        self.looked_up.add(name)
        specification = self.one(in_namespace(name, Namespace.SPEC))
        if specification is not None:
            meta = specification.content.meta
            return (
                self.links(name, meta, "override", depth=depth)
                or self.among(name, _namespaces(meta))
                or self.links(name, meta, "fallback", depth=depth)
                or (self.default(name, specification.content) if defaults else None)
            )
        return self.among(name, _CASCADE) or (
            self.one(in_namespace(name, Namespace.DEFAULT)) or self.one(name) if defaults else None
        )

    def exact(self, name: bytes) -> Found | None:
        found = self.one(name)
        if found is None and namespace(name) is Namespace.DEFAULT:
            specification = self.get(in_namespace(name, Namespace.SPEC))
            return specification and default_key(name, specification)
        return found

    def one(self, name: bytes) -> Found | None:
        content = self.get(name)
        self.steps.append(Step(name, content is not None))
        return None if content is None else Found(name, content)

    def among(self, name: bytes, namespaces: tuple[Namespace, ...]) -> Found | None:
        for each in namespaces:
            if (found := self.exact(in_namespace(name, each))) is not None:
                return found
        return None

    def links(self, name: bytes, meta: Meta, kind: str, *, depth: int) -> Found | None:
        for text in _numbered(meta, kind):
            try:
                target = unescape(text)
            except (InvalidName, NameTooLong):
                continue
            if (found := self.link(name, target, depth=depth + 1)) is not None:
                return found
        return None

    def link(self, name: bytes, target: bytes, *, depth: int) -> Found | None:
        if namespace(target) is not Namespace.CASCADING:
            return self.exact(target)
        if target in self.looked_up:
            return None
        if depth > MAX_DEPTH:
            raise SemanticError(
                f"the look-up follows links (override/#, fallback/#) more than {MAX_DEPTH} names "
                f"deep and ends at {escape(in_namespace(name, Namespace.SPEC))!r}; link directly"
            )
        return self.cascading(target, defaults=False, depth=depth)

    def default(self, name: bytes, specification: Content) -> Found | None:
        stored = self.one(in_namespace(name, Namespace.DEFAULT))
        if stored is None and "default" in specification.meta:
            return _default(name, specification)
        return stored


def _default(name: bytes, specification: Content) -> Found:
    value = specification.meta["default"]
    default = Content(value, revision=specification.revision)
    return Found(in_namespace(name, Namespace.DEFAULT), default)


def _namespaces(meta: Meta) -> tuple[Namespace, ...]:
    """Return the namespaces that a specification names, or those of every look-up."""
    if "namespace/#0" not in meta:
        return _CASCADE
    found = []
    for text in _numbered(meta, "namespace"):
        if text not in _BY_NAME:
            break
        found.append(_BY_NAME[text])
    return tuple(found)


def _numbered(meta: Meta, kind: str) -> Iterator[str]:
    index = 0
    while text := meta.get(f"{kind}/{array_part(index)}"):
        yield text
        index += 1
