"""A client that sets keys one after the other, and prints the number of each that is stored.

    writing_client.py PARENT COUNT

kdbd and the bus may come and go meanwhile. The last key is ``PARENT/end``.
"""

from __future__ import annotations

import sys

import kdb
from kdb.model.errors import OutcomeUnknown


def main(parent: str, count: int) -> None:
    with kdb.KDB() as db:
        for number in range(count):
            put(db, f"{parent}/{number:04}")
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
        put(db, f"{parent}/end")


def put(db: kdb.KDB, name: str) -> None:
    """Store a key; where kdbd ended before it answered, look first."""
    try:
        db.set_string(name, "")
    except kdb.KDBException as error:
        if not isinstance(error.error, OutcomeUnknown):
            raise
        ks = kdb.KeySet()
        db.get(ks, name)
        if not ks:
            put(db, name)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
