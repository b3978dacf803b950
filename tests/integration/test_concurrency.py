"""Several processes at once: nobody's change is lost, and nobody fails for being one of many."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
