"""A client that sets keys one after the other, and prints the number of each that is stored.

    writing_client.py PARENT COUNT

kdbd and the bus may come and go meanwhile. The last key is ``PARENT/end``.
"""

from __future__ import annotations

import sys

import kdb


def main(parent: str, count: int) -> None:
    with kdb.KDB() as db:
        for number in range(count):
            db.set_string(f"{parent}/{number:04}", "")
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
        db.set_string(f"{parent}/end", "")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
