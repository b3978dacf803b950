"""Run the real kdbd with ports that kill it at a named failpoint (`crashing.failpoints`).

    python tests/failpoint_daemon.py [kdbd's options]
    python tests/failpoint_daemon.py --fork-server DESCRIPTOR

The second form has everything imported and forks a daemon for each request that comes by the
socket (`crashing.fork_server`): importing takes 90 % of kdbd's start.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from functools import partial

from crashing.failpoints import FailingDisk, FailingJournal, FailingTransport, Failpoints
from crashing.fork_server import serve

from kdbd.app import App
from kdbd.configuration import parse
from kdbd.logs import open_log

__all__ = ["main", "run"]


def run(arguments: Sequence[str]) -> int:
    """Serve until told to stop, or killed; the exit code is 0."""
    failpoints = Failpoints(os.environ)
    configuration = parse(arguments)
    log = open_log(configuration.log_format, configuration.log_level, sys.stderr)

    async def serve_bus() -> None:
        await App(
            configuration,
            log,
            sys.stdout.write,
            disk=FailingDisk(failpoints),
            open_journal=partial(FailingJournal, failpoints=failpoints),
            transport=partial(FailingTransport, failpoints),
        ).run()

    asyncio.run(serve_bus())
    return 0


def main(arguments: Sequence[str]) -> int:
    """Be one daemon, or the server that forks them."""
    if arguments[:1] == ["--fork-server"]:
        # What all daemons share need not be looked at again by each one's collector.
        gc.collect()
        gc.freeze()
        return serve(int(arguments[1]), run)
    return run(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
