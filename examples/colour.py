"""Show a setting, follow its changes, and set it from standard input."""

import select
import sys

import kdb

COLOUR = "user:/sw/org/example/colour"
PREVIOUS = "user:/sw/org/example/previous"
CONFLICT = "C02000"


def read(db):
    # The revision comes first: a change after it may be called a conflict, but is never missed.
    revision = db.revision()
    return db.get_string(COLOUR), revision


def write(db, wanted, colour, seen):
    """Store both keys or none, unless somebody else did since; tell whether they were stored."""
    try:
        db.apply([kdb.Key(COLOUR, wanted), kdb.Key(PREVIOUS, colour)], expected=seen)
    except kdb.KDBException as error:
        if error.number != CONFLICT:
            raise
        return False
    return True


def main():
    with (
        kdb.KDB() as db,
        db.watch(COLOUR) as watch,
        open(0, "rb", buffering=0) as typed,  # select does not see what is in a buffer
    ):
        colour, seen = read(db)
        print(colour, flush=True)
        while True:
            ready, _, _ = select.select([watch, typed], [], [])
            if watch in ready and any(change.kind != "removed" for change in watch.dispatch()):
                print("now", read(db)[0], flush=True)
            if typed in ready:
                line = typed.readline().decode()
                if not line:
                    return
                stored = write(db, line.strip(), colour, seen)
                colour, seen = read(db)
                if not stored:
                    print(
                        f"conflict: it is {colour} by now; type again to overwrite it", flush=True
                    )


if __name__ == "__main__":
    try:
        main()
    except kdb.KDBException as error:
        sys.exit(error.reason)
