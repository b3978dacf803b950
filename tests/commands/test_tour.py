"""`make run`: the tour ends by itself where nobody watches, and stays up on a terminal."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TOUR = Path(__file__).parents[2] / "tour" / "main.py"
WAIT_S = 60


def test_without_a_terminal_the_tour_ends_with_the_one_right_signal() -> None:
    result = subprocess.run(
        [sys.executable, TOUR], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    _, _, story = result.stdout.partition("$ python3 program.py\n")
    signal_line = r"  signal time=\S+ sender=:\S+ -> destination=\(null destination\) serial=\d+ "
    assert re.match(
        r"# dbus-monitor:\n"
        + signal_line
        + r"path=/org/libelektra/configuration; interface=org\.libelektra; member=KeyAdded\n"
        r'     string "user:/a/test"\n'
        r"# the log of kdbd, made by the hook logchange:\n"
        r"  added key: user:/a/test\n",
        story,
    ), result.stdout


def test_on_a_terminal_the_tour_stays_up_until_it_is_interrupted() -> None:
    ours, theirs = pty.openpty()
    with (
        open(ours, encoding="utf-8", errors="replace") as screen,
        subprocess.Popen([sys.executable, TOUR], stdout=theirs, stderr=theirs) as tour,
    ):
        os.close(theirs)
        shown: list[str] = []

        def wait_for(text: str) -> str:
            for line in screen:
                shown.append(line)
                if text in line:
                    return line.strip()
            raise AssertionError("".join(shown))

        address = wait_for("export DBUS_SESSION_BUS_ADDRESS=").partition("=")[2]
        wait_for("Ctrl-C")
        environment = {**os.environ, "DBUS_SESSION_BUS_ADDRESS": address}
        subprocess.run(["kdb", "set", "user:/hello", "world"], env=environment, check=True)
        wait_for('"user:/hello"')
        tour.send_signal(signal.SIGINT)
        assert tour.wait(WAIT_S) == 0
        socket = Path(address.removeprefix("unix:path="))
        assert not socket.parent.exists()


@pytest.mark.parametrize("program", ["dbus-daemon", "dbus-monitor"])
def test_a_program_that_fails_fails_the_tour(program: str, tmp_path: Path) -> None:
    fake = tmp_path / program
    fake.write_text("#!/bin/sh\necho out of order\nexit 3\n", encoding="utf-8")
    fake.chmod(0o755)
    result = subprocess.run(
        [sys.executable, TOUR],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert result.returncode == 1
    assert "NOT AS EXPECTED" in result.stderr
    assert "out of order" in result.stderr
