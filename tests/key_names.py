"""Key names made of their parts."""

from collections.abc import Iterable
from functools import reduce

from kdb.model.names import Namespace, add_base_name

__all__ = ["from_parts"]


def from_parts(namespace: Namespace, parts: Iterable[str]) -> bytes:
    """Make a name of unescaped parts."""
    return reduce(add_base_name, parts, bytes((namespace,)))
