"""The command kdbd."""

from __future__ import annotations

import asyncio
import sys
from contextlib import closing

from kdb.model.errors import KDBError
from kdbd.app import App
from kdbd.bus.address import InvalidAddress
from kdbd.bus.transport import BusUnavailable, NameTaken
from kdbd.configuration import parse
from kdbd.lines import LineWriter
from kdbd.logs import open_log

__all__ = ["main"]

_START_BUS = "Start one with kdbd on it by 'dbus-run-session kdbd', or name another with --address"


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; answer the exit code."""
    configuration = parse(sys.argv[1:] if arguments is None else arguments)
    refusals: list[BaseException] = []
    with closing(LineWriter(2)) as errors, closing(LineWriter(1)) as output:
        log = open_log(configuration.log_format, configuration.log_level, errors)

        async def serve() -> None:
            await App(configuration, log, output.write).run()

        try:
            asyncio.run(serve())
        except* (KDBError, BusUnavailable, InvalidAddress, NameTaken) as group:
            refusals = list(group.exceptions)
    for refusal in refusals:
        sys.stderr.write(f"kdbd: {_told(_innermost(refusal))}\n")
    return 1 if refusals else 0


def _told(error: BaseException) -> str:
    """Return what is wrong, and what to do."""
    if isinstance(error, BusUnavailable | InvalidAddress):
        return f"{error}. {_START_BUS}"
    if isinstance(error, NameTaken):
        end = "" if error.pid is None else f" by 'kill {error.pid}'"
        return f"{error}. Use that one, end it{end}, or name another bus with --address"
    return str(error)


def _innermost(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
