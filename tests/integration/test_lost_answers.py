"""kdbd is killed between storing and answering: nothing is done twice, and nothing is miscounted.

Each kdbd here ends at a failpoint, and the next one is started; the libraries see answers get lost
again and again.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from daemon_process import DaemonProcess

import kdb
import kdb.aio
from kdb.model.errors import OutcomeUnknown
from private_bus import PrivateBus

TESTS = Path(__file__).parents[1]
COMMAND = (sys.executable, str(TESTS / "failpoint_daemon.py"))
PAGE = TESTS.parent / "docs" / "change-tracking.md"
# Before anything is done, nearly stored, stored.
FAILPOINTS = ("prepare.before", "journal.uncommitted", "reply.before")
TURNS = 6
WAIT_S = 30.0
SETTING = """
import kdb
with kdb.KDB() as db:
    ks = kdb.KeySet()
    db.get(ks, "user:/a")
    ks.append(kdb.Key("user:/a/x", "mine"))
    try:
        print(db.set(ks, "user:/a"))
    except kdb.KDBException as error:
        print(type(error.error).__name__)
"""


@pytest.fixture
def failing(
    bus: PrivateBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DaemonProcess]:
    """Run a kdbd that ends at the failpoint which the environment of its next start names."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
    with DaemonProcess(bus, tmp_path, command=COMMAND) as running:
        yield running


def end_at(daemon: DaemonProcess, failpoint: str, passes: int = 0) -> None:
    """Let the next start end there."""
    daemon.environment = {
        "KDBD_FAILPOINT": failpoint,
        "KDBD_FAILPOINT_PASSES": str(passes),
        "KDBD_FAILPOINT_ASLEEP": "1",
    }
    daemon.stop()
    daemon.start()
    daemon.wake_failpoint()


@contextmanager
def started_again(daemon: DaemonProcess) -> Iterator[None]:
    """Start kdbd again, without a failpoint, when it has ended at one."""

    def follow() -> None:
        assert daemon.wait() == -signal.SIGKILL
        daemon.environment.clear()
        daemon.start()

    with ThreadPoolExecutor(1) as executor:
        following = executor.submit(follow)
        yield
        following.result()


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_a_set_is_stored_once_and_answers_so(failing: DaemonProcess, failpoint: str) -> None:
    with kdb.KDB() as db:
        ks = kdb.KeySet()
        db.get(ks, "user:/a")
        ks.append(kdb.Key("user:/a/x", "1"))
        end_at(failing, failpoint)
        with started_again(failing):
            assert db.set(ks, "user:/a") == 1
        assert db.revision() == 1
        ks["user:/a/x"].value = "2"
        assert db.set(ks, "user:/a") == 1


@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_a_set_for_asyncio_is_stored_once_and_answers_so(
    failing: DaemonProcess, failpoint: str
) -> None:
    async with kdb.aio.KDB() as db:
        ks = kdb.KeySet()
        await db.get(ks, "user:/a")
        ks.append(kdb.Key("user:/a/x", "1"))
        await asyncio.to_thread(end_at, failing, failpoint)
        with started_again(failing):
            assert await db.set(ks, "user:/a") == 1
        assert await db.revision() == 1


def test_a_write_of_one_key_is_not_made_again(failing: DaemonProcess) -> None:
    with kdb.KDB() as db:
        end_at(failing, "reply.before")
        with started_again(failing), pytest.raises(kdb.KDBException) as caught:
            db.set_string("user:/k", "mine")
        assert isinstance(caught.value.error, OutcomeUnknown)
        assert caught.value.number == "C01100"
        assert caught.value.reason == (
            "kdbd ended before it answered, and whether this was stored is not known."
            " Get again and look"
        )
        assert (db.get_string("user:/k"), db.revision()) == ("mine", 1)


async def test_a_write_of_one_key_for_asyncio_is_not_made_again(failing: DaemonProcess) -> None:
    async with kdb.aio.KDB() as db:
        await asyncio.to_thread(end_at, failing, "reply.before")
        with started_again(failing), pytest.raises(kdb.KDBException) as caught:
            await db.apply([kdb.Key("user:/k", "mine")])
        assert isinstance(caught.value.error, OutcomeUnknown)
        assert (await db.get_string("user:/k"), await db.revision()) == ("mine", 1)


@pytest.mark.parametrize(
    ("theirs", "left"),
    [(["rm", "user:/a/x"], "\n"), (["set", "user:/a/x", "theirs"], "theirs\n")],
    ids=["removed", "changed"],
)
def test_what_others_do_before_the_set_is_made_again_is_not_undone(
    failing: DaemonProcess, theirs: list[str], left: str
) -> None:
    end_at(failing, "reply.before")
    client = subprocess.Popen(
        [sys.executable, "-c", SETTING],
        env=failing.client_environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert failing.wait() == -signal.SIGKILL
        # It knows nothing of kdbd's end until somebody else was first.
        client.send_signal(signal.SIGSTOP)
        failing.environment.clear()
        failing.start()
        failing.run("kdb", *theirs)
        client.send_signal(signal.SIGCONT)
        output, _ = client.communicate(timeout=WAIT_S)
    finally:
        client.kill()
        client.wait()
    assert output == "OutcomeUnknown\n"
    assert failing.run("kdb", "get", "user:/a/x", check=False).stdout == left


def recipe() -> Callable[[kdb.KDB, str, str], int]:
    """Return the counter that docs/change-tracking.md shows."""
    (source,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
        if "def add_one" in block
    )
    definition = "\n".join(line[4:] for line in source.partition("\n>>> add_one")[0].splitlines())
    names: dict[str, Any] = {"kdb": kdb}
    exec(compile(definition, PAGE.name, "exec"), names)
    found: Callable[[kdb.KDB, str, str], int] = names["add_one"]
    return found


@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_the_counter_of_the_documents_counts_exactly(
    failing: DaemonProcess, failpoint: str
) -> None:
    """Two clients count, while kdbd is killed over and over."""
    add_one = recipe()

    def count(me: str) -> None:
        with kdb.KDB() as db:
            while counted(db, me) < TURNS:
                try:
                    add_one(db, "user:/visits", me)
                except kdb.KDBException as error:
                    if not isinstance(error.error, OutcomeUnknown):
                        raise

    failing.stop()
    failing.environment = {"KDBD_FAILPOINT": failpoint, "KDBD_FAILPOINT_PASSES": "2"}
    failing.start()
    with ThreadPoolExecutor(3) as executor:
        keeping = executor.submit(keep_alive, failing)
        counting = [executor.submit(count, me) for me in ("a", "b")]
        for each in counting:
            each.result()
        # The last call was answered, so this one runs.
        os.kill(failing.pid, signal.SIGTERM)
        assert keeping.result() >= TURNS // 2
    failing.environment.clear()
    failing.start()
    with kdb.KDB() as db:
        assert add_one(db, "user:/visits", "c") == 2 * TURNS + 1
        assert [counted(db, me) for me in ("a", "b", "c")] == [TURNS, TURNS, 1]


def counted(db: kdb.KDB, me: str) -> int:
    """Return what this one has counted; each of its increments is a change of its key."""
    ks = kdb.KeySet()
    db.get(ks, f"user:/visits/{me}")
    return int(ks[0].value) if ks else 0


def keep_alive(daemon: DaemonProcess) -> int:
    """Start kdbd again each time that it was killed; return how often that was."""
    kills = 0
    while daemon.wait() == -signal.SIGKILL:
        kills += 1
        daemon.start(ready=False)
    return kills
