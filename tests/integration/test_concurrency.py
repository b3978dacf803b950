"""Several processes at once: nobody's change is lost, and nobody fails for being one of many."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from time import monotonic

from caller import Caller
from daemon_process import DaemonProcess

CLIENT = Path(__file__).parents[1] / "concurrent_client.py"
WAIT_S = 60.0


class Clients:
    """Processes that are ready to begin, and begin together."""

    def __init__(self, kdbd: DaemonProcess, work: str, *arguments: list[str]) -> None:
        self._processes = [
            subprocess.Popen(
                [sys.executable, str(CLIENT), work, *each],
                env=kdbd.client_environment,
                cwd=kdbd.work,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for each in arguments
        ]

    def run(self) -> list[str]:
        """Let all begin; answer what each has to tell once it is done."""
        try:
            for process in self._processes:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n", process.communicate()[1]
            for process in self._processes:
                assert process.stdin is not None
                process.stdin.write("begin\n")
                process.stdin.flush()
            return [self._end(process) for process in self._processes]
        finally:
            for process in self._processes:
                process.kill()
                process.communicate()

    def _end(self, process: subprocess.Popen[str]) -> str:
        out, err = process.communicate(timeout=WAIT_S)
        assert (process.returncode, err) == (0, ""), err
        return out.strip()


def test_two_counters_incremented_by_conflicting_clients_end_at_the_right_sum(
    kdbd: DaemonProcess,
) -> None:
    clients, times = 4, 50
    told = Clients(kdbd, "count", *[[str(times)]] * clients).run()
    # They were in each other's way, or nothing is shown.
    assert sum(map(int, told)) > 0, "no conflict"
    kdb = [sys.executable, "-m", "kdb.cli", "get"]
    assert kdbd.run(*kdb, "user:/counter/one").stdout == f"{clients * times}\n"
    assert kdbd.run(*kdb, "system:/counter/two").stdout == f"{clients * times}\n"


def test_8_parallel_sets_all_succeed(kdbd: DaemonProcess) -> None:
    Clients(kdbd, "set", *[[str(number)] for number in range(8)]).run()
    found = kdbd.run(sys.executable, "-m", "kdb.cli", "ls", "user:/parallel").stdout.split()
    assert found == [f"user:/parallel/{number}" for number in range(8)]


def longest_wait(kdbd: DaemonProcess, work: Callable[[], object]) -> tuple[float, float]:
    """Answer how long the work takes, and how long others' gets meanwhile, each in seconds."""
    waits: list[float] = []
    begun, done = Event(), Event()

    def get() -> None:
        with Caller(kdbd.bus.address) as other:
            while not done.is_set():
                asked = monotonic()
                other.call("List", "ssu", "system:/", "", 0)
                waits.append(monotonic() - asked)
                begun.set()

    thread = Thread(target=get)
    thread.start()
    begun.wait()
    waits.clear()
    started = monotonic()
    try:
        work()
    finally:
        took = monotonic() - started
        done.set()
        thread.join()
    return took, max(waits)


def test_others_are_answered_while_many_keys_are_mounted_and_unmounted(
    kdbd: DaemonProcess,
) -> None:
    count = 60_000
    names = sorted(f"group{number % 100}/key{number}" for number in range(count))
    records = [f"$key string {len(name)} 5\n{name}\nvalue\n" for name in names]
    before = "".join(["kdbOpen 2\n", *records, "$end\n"])
    file = kdbd.user / "many.ecf"
    file.parent.mkdir(exist_ok=True)
    file.write_text(before, encoding="utf-8")
    with Caller(kdbd.bus.address) as caller:

        def keys() -> int:
            reply = caller.call("Get", "s", "user:/many/group7/key7")
            assert reply[:2] == ("user:/many/group7/key7", b"value")
            return int(reply[3])

        mounting = longest_wait(
            kdbd, lambda: caller.call("Mount", "ssa{ss}", "user:/many", "many.ecf", {})
        )
        assert keys() == 1
        caller.call("Remove", "sb", "user:/many/group7/key7", False)
        unmounting = longest_wait(kdbd, lambda: caller.call("Unmount", "s", "user:/many"))
        assert caller.error("GetString", "s", "user:/many/group8/key8").name == "KeyNotFound"
    gone = "$key string 11 5\ngroup7/key7\nvalue\n"
    assert file.read_text(encoding="utf-8") == before.replace(gone, "")
    for took, waited in (mounting, unmounting):
        assert waited < took / 6
