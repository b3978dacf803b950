"""Errors as applications get them: KDBException, and noted on the parent key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kdb import errors
from kdb.model.errors import KDBError
from kdb.model.exceptions import KDBException
from kdb.model.key import Key

__all__ = ["noting"]


@contextmanager
def noting(parent: Key | str | None) -> Iterator[None]:
    """Turn an error into a KDBException, and note it on *parent* if that is a key.

    What was noted there before goes, as libelektra's calls do first.
    """
    key = parent if isinstance(parent, Key) else None
    if key is not None:
        errors.clear(key)
    try:
        yield
    except KDBError as error:
        if key is not None:
            errors.set_error(key, error)
        raise KDBException(error) from None
