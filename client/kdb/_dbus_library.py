"""The D-Bus library of :mod:`kdb.aio`: dbus-next, or its fork dbus-fast where it is installed.

``KDBD_DBUS_LIBRARY`` decides, as for kdbd. Only what both have alike is used.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

__all__ = ["NAME", "Message", "MessageBus", "MessageFlag", "MessageType", "Variant"]

NAME = os.environ.get("KDBD_DBUS_LIBRARY") or (
    "dbus-fast" if find_spec("dbus_fast") else "dbus-next"
)
if NAME not in ("dbus-fast", "dbus-next"):
    raise ImportError(f"KDBD_DBUS_LIBRARY is {NAME!r}; it can be dbus-next or dbus-fast")

_library: Any = import_module(NAME.replace("-", "_"))

Message = _library.Message
MessageBus = import_module(NAME.replace("-", "_") + ".aio").MessageBus
MessageFlag = _library.MessageFlag
MessageType = _library.MessageType
Variant = _library.Variant
