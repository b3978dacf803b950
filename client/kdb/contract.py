"""What an application asks for when it opens the database.

libelektra's contracts are key sets below ``system:/elektra/contract``. Change tracking, which
``002_…`` lets applications ask for, is always there; the other contracts concern plugins inside
the process (gopts, a global key set), which kdbd has none of, so they are refused rather than
silently not kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from kdb.model import names
from kdb.model.errors import InterfaceError
from kdb.model.exceptions import ContractException
from kdb.model.key import Key
from kdb.model.keyset import KeySet

__all__ = ["CHANGE_TRACKING", "Contract", "directory", "of"]

Contract = Mapping[str, tuple[str, Any]]
"""The contract of the service's Open: D-Bus variants as (signature, value)."""

CHANGE_TRACKING: Final = "system:/elektra/contract/changetracking"


def of(options: Key | KeySet | None, directory: str | os.PathLike[str] | None) -> Contract:
    """Return the contract for what KDB was given; without a directory there is no dir:/.

    Raises:
        ContractException: *options* ask for something else than change tracking.

    """
    contract: dict[str, tuple[str, Any]] = {}
    if directory is not None:
        contract["directory"] = ("s", os.fspath(directory))
    if isinstance(options, KeySet) and len(options):
        above = names.unescape(CHANGE_TRACKING)
        for key in options:
            if not names.is_below_or_same(names.unescape(key.name), above):
                raise ContractException(
                    InterfaceError(
                        f"kdbd keeps no contract {key.name!r}; it keeps {CHANGE_TRACKING}",
                        module="kdb",
                    )
                )
        contract["changetracking"] = ("b", True)
    return contract


def directory(bus: str, chosen: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
    """Return the directory from which dir:/ is looked for: by default the working directory.

    A daemon on the system bus has no dir:/, nor has a directory that was removed.
    """
    if chosen is not None or bus == "system":
        return chosen
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None
