r"""What ``--json`` prints: one JSON document, in UTF-8, with a newline at its end.

A key is an object with ``name``, ``value``, ``meta`` and ``revision``. JSON has no bytes: a binary
value is ``base64`` in place of ``value``, and so is a string that is not UTF-8. Of metadata, bytes
that are not UTF-8 are written as ``\udcXX``, as in ``kdb.formats.json_text``.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

from kdb.cli.command import say_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["key", "show", "value"]


def show(document: Any) -> None:
    """Print a document, indented for a person."""
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    say_bytes(text.encode("utf-8", "backslashreplace"))


def key(name: str, value_bytes: bytes, meta: Mapping[str, str], revision: int) -> dict[str, Any]:
    """Return the object for a key, as kdbd answers it."""
    return {"name": name, **value(value_bytes, meta), "meta": dict(meta), "revision": revision}


def value(value_bytes: bytes, meta: Mapping[str, str]) -> dict[str, str]:
    """Return the part of a key's object that holds its value."""
    if "binary" not in meta:
        try:
            return {"value": value_bytes.decode()}
        except UnicodeDecodeError:
            pass
    return {"base64": base64.b64encode(value_bytes).decode()}
