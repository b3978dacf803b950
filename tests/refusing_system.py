"""Ways to be refused by the system for real: no right, no room."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["file_size_limit", "unprivileged"]

# A user id that owns nothing (`nobody` on most systems).
_STRANGER = 65_534


@contextmanager
def unprivileged() -> Iterator[None]:
    """Have no more rights than others; who runs the tests as an ordinary user never has."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(_STRANGER, _STRANGER, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, in bytes; Python ignores SIGXFSZ."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
