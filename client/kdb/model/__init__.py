"""Names, keys, key sets, diffs and errors of a key database. Pure: the standard library only."""

from kdb.model.content import NO_META, Content, Meta
from kdb.model.errors import KDBError
from kdb.model.names import PERSISTABLE, Namespace

__all__ = ["NO_META", "PERSISTABLE", "Content", "KDBError", "Meta", "Namespace"]
