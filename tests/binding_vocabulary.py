"""Every name of libelektra's Python binding that programs use."""

__all__ = ["CONSTANTS", "ERRORS", "EXCEPTIONS", "METHODS"]

CONSTANTS = {
    "KDB_O_DEL": 1, "KDB_O_NONE": 0, "KDB_O_POP": 2,
    "KEY_BINARY": 16, "KEY_END": 0, "KEY_FLAGS": 3, "KEY_META": 32768, "KEY_SIZE": 2048,
    "KEY_VALUE": 2,
    "KEY_CP_ALL": 13, "KEY_CP_META": 8, "KEY_CP_NAME": 1, "KEY_CP_STRING": 2, "KEY_CP_VALUE": 4,
    "KEY_LOCK_META": 524288, "KEY_LOCK_NAME": 131072, "KEY_LOCK_VALUE": 262144,
    "KEY_NS_CASCADING": 1, "KEY_NS_DEFAULT": 8, "KEY_NS_DIR": 5, "KEY_NS_FIRST": 2,
    "KEY_NS_LAST": 8, "KEY_NS_META": 2, "KEY_NS_NONE": 0, "KEY_NS_PROC": 4, "KEY_NS_SPEC": 3,
    "KEY_NS_SYSTEM": 7, "KEY_NS_USER": 6,
    "ElektraNamespace_CASCADING": 1, "ElektraNamespace_DEFAULT": 8, "ElektraNamespace_DIR": 5,
    "ElektraNamespace_META": 2, "ElektraNamespace_NONE": 0, "ElektraNamespace_PROC": 4,
    "ElektraNamespace_SPEC": 3, "ElektraNamespace_SYSTEM": 7, "ElektraNamespace_USER": 6,
    "KS_END": None,
    "VERSION": "0.11.0", "VERSION_MAJOR": 0, "VERSION_MINOR": 11, "VERSION_PATCH": 0,
    "DB_SYSTEM": "/etc/kdb", "DB_HOME": "/home", "DB_USER": ".config", "DEBUG": 0,
}  # fmt: skip

METHODS = {
    "Key": """
        name basename value get set getMeta setMeta hasMeta delMeta copyMeta copyAllMeta
        isBelow isBelowOrSame isDirectBelow isString isBinary isNull isValid isCascading isSpec
        isProc isDir isUser isSystem getNamespace setNamespace addName addBaseName delBaseName
        clear copy dup isNameLocked isValueLocked isMetaLocked array_elements getKey Array
        __copy__ __eq__ __ge__ __gt__ __hash__ __iter__ __le__ __len__ __lt__ __ne__ __repr__
        __reversed__ __str__ __bool__
    """,
    "KeySet": """
        lookup append extend pop remove cut filter filter_below unpack_names unpack_basenames
        search copy dup clear getKeySet
        __contains__ __copy__ __deepcopy__ __eq__ __getitem__ __iter__ __len__ __repr__
        __reversed__ __str__
    """,
    "KDB": "open close get set calculateChanges __enter__ __exit__",
    "ElektraDiff": """
        calculateDiff isEmpty getAddedKeys getRemovedKeys getModifiedKeys getAddedMetaKeys
        getRemovedMetaKeys getModifiedMetaKeys removeKey removeSameOrBelow removeOther cut undo dup
    """,
}

EXCEPTIONS = [
    "Exception", "KeyException", "KeyInvalidName", "KeyTypeMismatch", "KeyTypeConversion",
    "KeyNotFoundException", "KDBException", "ContractException", "KDBMountException",
]  # fmt: skip

ERRORS = [
    "get_error", "get_warnings", "ElektraError", "ElektraWarning",
    "number", "description", "module", "file", "line", "mountpoint", "configfile", "reason",
]  # fmt: skip
