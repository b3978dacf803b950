"""A client that watches a parent key and prints every change, until the key ``…/end`` changes.

    watching_client.py blocking|dispatch|aio PARENT

It says "ready" first: what changes after that is to be told. Each change is one line: its revision,
what happened, and the name.
"""

from __future__ import annotations

import asyncio
import select
import sys

import kdb
import kdb.aio


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def told(change: kdb.WatchEvent, parent: str) -> bool:
    """Tell a change; tell whether it is the last."""
    tell(f"{change.revision} {change.kind} {change.name}")
    return str(change.name) == f"{parent}/end"


def blocking(parent: str) -> None:
    with kdb.KDB() as db, db.watch(parent) as watch:
        tell("ready")
        for change in watch:
            if told(change, parent):
                return


def dispatch(parent: str) -> None:
    """As an event loop does it."""
    with kdb.KDB() as db, db.watch(parent) as watch:
        tell("ready")
        while True:
            select.select([watch], [], [])
            for change in watch.dispatch():
                if told(change, parent):
                    return


async def aio(parent: str) -> None:
    async with kdb.aio.KDB() as db, db.watch(parent) as watch:
        tell("ready")
        async for change in watch:
            if told(change, parent):
                return


if __name__ == "__main__":
    if sys.argv[1] == "aio":
        asyncio.run(aio(sys.argv[2]))
    else:
        {"blocking": blocking, "dispatch": dispatch}[sys.argv[1]](sys.argv[2])
