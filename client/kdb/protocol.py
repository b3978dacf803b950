"""The names and limits of kdbd's D-Bus interface.

This module imports nothing, because every start of the ``kdb`` command pays for what it imports.
Programs take these names from :mod:`kdb.wire`, which has them all.
"""

__all__ = [
    "BUS_NAME",
    "HANDLE_INTERFACE",
    "HANDLE_PATH_PREFIX",
    "INLINE_BLOCK_BYTES",
    "INTERFACE",
    "MAX_BLOCK_BYTES",
    "MAX_RULE_BYTES",
    "OBJECT_PATH",
    "RECORD_INTERFACE",
    "SIGNAL_INTERFACE",
    "SIGNAL_PATH",
    "START_HINT",
]

BUS_NAME = "org.libelektra.KDB1"
OBJECT_PATH = "/org/libelektra/KDB1"
INTERFACE = "org.libelektra.KDB1"
HANDLE_INTERFACE = "org.libelektra.KDB1.Handle"
RECORD_INTERFACE = "org.libelektra.KDB1.Record"
HANDLE_PATH_PREFIX = OBJECT_PATH + "/handle/"

# What libelektra's D-Bus plugin has always used; programs in the field match on it.
SIGNAL_PATH = "/org/libelektra/configuration"
SIGNAL_INTERFACE = "org.libelektra"

# Above this a block travels as a memfd: a message of 1 MiB still passes a bus in a few
# milliseconds, and stays far below the 32 MiB that a system bus accepts.
INLINE_BLOCK_BYTES = 1 << 20
# 64 MiB hold about a million keys; a reader allocates what a sender says, so there is an end.
MAX_BLOCK_BYTES = 64 << 20
# dbus-daemon's max_match_rule_length (bus/signals.c: 1024).
MAX_RULE_BYTES = 1024

START_HINT = (
    "start it with 'systemctl --user start kdbd' or 'kdbd &',"
    " in a checkout with '.venv/bin/kdbd &' or, from then on, 'make install-dev'"
)
