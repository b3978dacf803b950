"""The numbers that keys and key sets understand, as in libelektra's Python binding."""

from __future__ import annotations

from typing import Final

from kdb.model.names import Namespace

__all__ = [
    "KDB_O_DEL",
    "KDB_O_NONE",
    "KDB_O_POP",
    "KEY_BINARY",
    "KEY_CP_ALL",
    "KEY_CP_META",
    "KEY_CP_NAME",
    "KEY_CP_STRING",
    "KEY_CP_VALUE",
    "KEY_END",
    "KEY_FLAGS",
    "KEY_LOCK_META",
    "KEY_LOCK_NAME",
    "KEY_LOCK_VALUE",
    "KEY_META",
    "KEY_NS_CASCADING",
    "KEY_NS_DEFAULT",
    "KEY_NS_DIR",
    "KEY_NS_FIRST",
    "KEY_NS_LAST",
    "KEY_NS_META",
    "KEY_NS_NONE",
    "KEY_NS_PROC",
    "KEY_NS_SPEC",
    "KEY_NS_SYSTEM",
    "KEY_NS_USER",
    "KEY_SIZE",
    "KEY_VALUE",
    "KS_END",
    "ElektraNamespace_CASCADING",
    "ElektraNamespace_DEFAULT",
    "ElektraNamespace_DIR",
    "ElektraNamespace_META",
    "ElektraNamespace_NONE",
    "ElektraNamespace_PROC",
    "ElektraNamespace_SPEC",
    "ElektraNamespace_SYSTEM",
    "ElektraNamespace_USER",
]

# What follows in the constructor of a key; KEY_BINARY and KEY_LOCK_* are flags (after KEY_FLAGS).
KEY_END: Final = 0
KEY_VALUE: Final = 1 << 1
KEY_FLAGS: Final = 3
KEY_BINARY: Final = 1 << 4
KEY_SIZE: Final = 1 << 11
KEY_META: Final = 1 << 15
KEY_LOCK_NAME: Final = 1 << 17
KEY_LOCK_VALUE: Final = 1 << 18
KEY_LOCK_META: Final = 1 << 19

# What `Key.copy` and `Key.dup` copy. A string is copied where the key is not binary.
KEY_CP_NAME: Final = 1 << 0
KEY_CP_STRING: Final = 1 << 1
KEY_CP_VALUE: Final = 1 << 2
KEY_CP_META: Final = 1 << 3
KEY_CP_ALL: Final = KEY_CP_NAME | KEY_CP_VALUE | KEY_CP_META

KS_END: Final = None

KDB_O_NONE: Final = 0
KDB_O_DEL: Final = 1 << 0
KDB_O_POP: Final = 1 << 1

KEY_NS_NONE: Final = int(Namespace.NONE)
KEY_NS_CASCADING: Final = int(Namespace.CASCADING)
KEY_NS_META: Final = int(Namespace.META)
KEY_NS_SPEC: Final = int(Namespace.SPEC)
KEY_NS_PROC: Final = int(Namespace.PROC)
KEY_NS_DIR: Final = int(Namespace.DIR)
KEY_NS_USER: Final = int(Namespace.USER)
KEY_NS_SYSTEM: Final = int(Namespace.SYSTEM)
KEY_NS_DEFAULT: Final = int(Namespace.DEFAULT)
KEY_NS_FIRST: Final = KEY_NS_META
KEY_NS_LAST: Final = KEY_NS_DEFAULT

ElektraNamespace_NONE: Final = KEY_NS_NONE
ElektraNamespace_CASCADING: Final = KEY_NS_CASCADING
ElektraNamespace_META: Final = KEY_NS_META
ElektraNamespace_SPEC: Final = KEY_NS_SPEC
ElektraNamespace_PROC: Final = KEY_NS_PROC
ElektraNamespace_DIR: Final = KEY_NS_DIR
ElektraNamespace_USER: Final = KEY_NS_USER
ElektraNamespace_SYSTEM: Final = KEY_NS_SYSTEM
ElektraNamespace_DEFAULT: Final = KEY_NS_DEFAULT
