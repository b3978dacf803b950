"""How many calls of one client wait for their answers."""

import asyncio
import sys
from typing import Any

from kdb.protocol import INTERFACE, OBJECT_PATH
from kdbd.bus.calls import Call
from kdbd.bus.dispatch import Dispatcher, Later, Target
from kdbd.bus.load import MAX_CALLS
from kdbd.logs import open_log


class Waiting:
    """A service whose only method ends when it is told to."""

    def __init__(self) -> None:
        self.futures: list[asyncio.Future[None]] = []
        self.handlers = {(INTERFACE, "Sync"): self.sync}

    def find(self, path: str, sender: str) -> Target:
        return Target((INTERFACE,))

    def sync(self, subject: Any, call: Call) -> Later[tuple[()]]:
        self.futures.append(asyncio.get_running_loop().create_future())
        return Later(self.futures[-1], lambda _: ())

    async def end(self) -> None:
        for future in self.futures:
            future.set_result(None)
        self.futures.clear()
        await asyncio.sleep(0)


class Answers:
    """The names of the errors, and "" for replies, of each sender."""

    def __init__(self) -> None:
        self.of: dict[str, list[str]] = {}

    def reply(self, call: Call, signature: str, body: Any, fds: Any = ()) -> None:
        self.of.setdefault(call.sender, []).append("")

    def error(self, call: Call, name: str, text: str) -> None:
        self.of.setdefault(call.sender, []).append(name)


def call(sender: str) -> Call:
    return Call(sender, OBJECT_PATH, INTERFACE, "Sync", "", [], (), 1, True, False)


async def test_a_client_with_too_many_unanswered_calls_is_refused_and_others_are_served() -> None:
    service, answers = Waiting(), Answers()
    dispatch = Dispatcher(service, answers, open_log("json", "error", sys.stderr))
    refused = "org.libelektra.KDB1.Error.LimitsExceeded"
    for _ in range(MAX_CALLS + 3):
        dispatch(call(":1.1"))
    dispatch(call(":1.2"))
    assert answers.of == {":1.1": [refused] * 3}
    await service.end()
    assert answers.of == {":1.1": [*[refused] * 3, *[""] * MAX_CALLS], ":1.2": [""]}
    answers.of.clear()
    dispatch(call(":1.1"))
    await service.end()
    assert answers.of == {":1.1": [""]}
