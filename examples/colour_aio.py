"""Show a setting, follow its changes, and set it from standard input, with asyncio."""

import asyncio
import sys

import kdb
import kdb.aio

COLOUR = "user:/sw/org/example/colour"
PREVIOUS = "user:/sw/org/example/previous"
CONFLICT = "C02000"


async def read(db):
    # The revision comes first: a change after it may be called a conflict, but is never missed.
    revision = await db.revision()
    return await db.get_string(COLOUR), revision


async def follow(db, watch):
    async for change in watch:
        if change.kind != "removed":
            colour, _ = await read(db)
            print("now", colour, flush=True)


async def write(db, wanted, colour, seen):
    """Store both keys or none, unless somebody else did since; tell whether they were stored."""
    try:
        await db.apply([kdb.Key(COLOUR, wanted), kdb.Key(PREVIOUS, colour)], expected=seen)
    except kdb.KDBException as error:
        if error.number != CONFLICT:
            raise
        return False
    return True


async def main():
    async with kdb.aio.KDB() as db, db.watch(COLOUR) as watch, asyncio.TaskGroup() as tasks:
        colour, seen = await read(db)
        print(colour, flush=True)
        following = tasks.create_task(follow(db, watch))
        while line := await asyncio.to_thread(sys.stdin.readline):
            stored = await write(db, line.strip(), colour, seen)
            colour, seen = await read(db)
            if not stored:
                print(f"conflict: it is {colour} by now; type again to overwrite it", flush=True)
        following.cancel()


if __name__ == "__main__":
    failure = None
    try:
        asyncio.run(main())
    except* kdb.KDBException as errors:
        failure = errors.exceptions[0].reason
    sys.exit(failure)
