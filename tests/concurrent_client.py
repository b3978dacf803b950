"""A client that says "ready", waits for a line, and does its work beside others like it.

count TIMES   add 1 to each of two counters so often; tell how often it had to be tried again
set NAME      put one key into a key set and set it
"""

from __future__ import annotations

import sys

import kdb


def main(work: str, argument: str) -> None:
    with kdb.KDB() as db:
        ks = kdb.KeySet()
        db.get(ks, "/")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        if work == "count":
            sys.stdout.write(f"{count(db, int(argument))}\n")
        else:
            put(db, ks, argument)


def count(db: kdb.KDB, times: int) -> int:
    conflicts = 0
    for _ in range(times):
        for name in ("user:/counter/one", "system:/counter/two"):
            while not add_one(db, name):
                conflicts += 1
    return conflicts


def add_one(db: kdb.KDB, name: str) -> bool:
    """Add 1 to a counter, unless somebody else changed it since it was read; tell whether."""
    ks = kdb.KeySet()
    db.get(ks, name)
    key = ks.lookup(name)
    if key is None:
        ks.append(kdb.Key(name, "1"))
    else:
        key.value = str(int(key.value) + 1)
    try:
        # 0: somebody else had the same idea first, so that nothing was left to do.
        return db.set(ks, name) == 1
    except kdb.KDBException as refused:
        if "C02000" not in str(refused):
            raise
        return False


def put(db: kdb.KDB, ks: kdb.KeySet, name: str) -> None:
    ks.append(kdb.Key(f"user:/parallel/{name}", name))
    assert db.set(ks, "/") == 1


if __name__ == "__main__":
    main(*sys.argv[1:])
