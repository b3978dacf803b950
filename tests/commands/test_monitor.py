"""kdb monitor: every change once, in order, across the ends of kdbd and of the bus."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_lines import set_meta
from daemon_process import DaemonProcess
from restarting import kill_both, kill_daemon, restart_bus
from transcripts import run

from private_bus import PrivateBus

pytestmark = pytest.mark.needs("dbus-daemon")

TESTS = Path(__file__).parents[1]
PARENT = "user:/watched"
WRITES = 1_000
WAIT_S = 60.0


@contextmanager
def monitoring(
    kdbd: DaemonProcess, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Run a monitor; hand it out when it watches."""
    process = subprocess.Popen(
        ["kdb", "monitor", "-d", *arguments],
        env=kdbd.client_environment | dict(environment or {}),
        cwd=kdbd.work,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # With --json it is beside the output.
        told = process.stderr if {"-j", "--json"} & set(arguments) else process.stdout
        assert told is not None
        assert told.readline().startswith("watching ")
        yield process
    finally:
        process.kill()
        process.communicate()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def test_each_change_is_a_line_as_soon_as_it_is_stored(kdbd: DaemonProcess) -> None:
    with monitoring(kdbd, "user:/a") as process:
        run(kdbd, "kdb set user:/a/x 1")
        assert lines(process, 1) == ["added key: user:/a/x\n"]
        run(kdbd, "kdb set user:/b 1; kdb set user:/a/x 2; kdb set user:/a/x 2")
        assert lines(process, 1) == ["changed key: user:/a/x\n"]
        run(kdbd, "kdb set system:/a 1; kdb rm user:/a/x; kdb set user:/a root")
        assert lines(process, 2) == ["removed key: user:/a/x\n", "added key: user:/a\n"]
        process.send_signal(signal.SIGINT)
        assert process.communicate() == ("", "")
        assert process.returncode == -signal.SIGINT


def test_all_keys_are_watched_without_a_name(kdbd: DaemonProcess) -> None:
    with monitoring(kdbd, "-n", "3") as process:
        run(kdbd, "kdb set dir:/d 1; kdb set user:/u 1; kdb set system:/s 1")
        assert process.communicate(timeout=WAIT_S) == (
            "added key: dir:/d\nadded key: user:/u\nadded key: system:/s\n",
            "",
        )
        assert process.returncode == 0


def test_json_is_an_object_for_each_line(kdbd: DaemonProcess) -> None:
    with monitoring(kdbd, "--json", "-w", "-n", "4", "/sw") as process:
        run(kdbd, "kdb set 'user:/sw/ü \"\n' $'a\\nb'")
        first, *_ = lines(process, 1)
        set_meta(kdbd, "user:/sw/b", "binary", "")
        second, *_ = lines(process, 1)
        run(kdbd, "kdb rm user:/sw/b; kdb rm -r user:/sw")
        rest, errors = process.communicate(timeout=WAIT_S)
        assert errors == ""
    objects = [json.loads(line) for line in (first, second, *rest.splitlines())]
    times = [each.pop("time") for each in objects]
    assert times == sorted(times)
    assert objects == [
        {"revision": 1, "change": "added", "name": 'user:/sw/ü "\n', "value": "a\nb", "meta": {}},
        {
            "revision": 2,
            "change": "added",
            "name": "user:/sw/b",
            "base64": "",
            "meta": {"binary": ""},
        },
        {"revision": 3, "change": "removed", "name": "user:/sw/b"},
        {"revision": 4, "change": "removed", "name": 'user:/sw/ü "\n'},
    ]


def test_a_name_or_value_can_neither_begin_a_line_nor_steer_a_terminal(
    kdbd: DaemonProcess,
) -> None:
    with monitoring(kdbd, "-w", "-n", "1", "/") as process:
        run(kdbd, "kdb set $'user:/a\\nadded key: user:/b' $'\\e[2J\\r\\u2028🙂'")
        assert process.communicate(timeout=WAIT_S)[0] == (
            "added key: user:/a\\nadded key: user:/b = \\x1b[2J\\r\\u2028🙂\n"
        )


def test_verbose_tells_time_and_revision(kdbd: DaemonProcess) -> None:
    run(kdbd, "kdb set user:/a 1; kdb set user:/b 1; kdb set user:/c 1; kdb rm user:/b")
    code, output, errors = run(kdbd, "kdb monitor -v -s 1 -n 3 user:/")
    assert (code, errors) == (0, "")
    words = [line.split(" ", 1) for line in output.splitlines()]
    assert [rest for _, rest in words] == [
        "2 added key: user:/b",
        "3 added key: user:/c",
        "4 removed key: user:/b",
    ]
    assert all(len(time) == len("2026-11-20T18:05:00+0100") for time, _ in words)


def test_the_kinds_are_coloured(kdbd: DaemonProcess) -> None:
    run(kdbd, "kdb set user:/a 1; kdb set user:/a 2; kdb rm user:/a")
    command = "kdb monitor -C always -s 0 -n 3 user:/"
    assert run(kdbd, command)[1] == (
        "\x1b[32madded key:\x1b[0m user:/a\n"
        "\x1b[33mchanged key:\x1b[0m user:/a\n"
        "\x1b[31mremoved key:\x1b[0m user:/a\n"
    )


def test_on_a_terminal_it_says_what_it_watches(kdbd: DaemonProcess) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["kdb", "monitor", "-n", "1", "user:/sw"],
        env=kdbd.client_environment | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    with open(ours, "rb", buffering=0) as terminal:
        said = b""
        while not said.endswith(b"\r\n"):
            said += terminal.read(1)
        assert said == b"Watching user:/sw and all keys below. Ctrl-C ends it.\r\n"
        run(kdbd, "kdb set user:/sw/a 1")
        shown = b""
        while not shown.endswith(b"\r\n"):
            shown += terminal.read(1)
        assert shown == b"\x1b[32madded key:\x1b[0m user:/sw/a\r\n"
        assert process.wait(WAIT_S) == 0


def test_time_and_number_bound_it_for_scripts(kdbd: DaemonProcess) -> None:
    run(kdbd, "kdb set user:/a 1; kdb set user:/b 1")
    assert run(kdbd, "kdb monitor -t 0 user:/") == (0, "", "")
    assert run(kdbd, "kdb monitor -t 0.1 -s 0 user:/")[:2] == (
        0,
        "added key: user:/a\nadded key: user:/b\n",
    )
    assert run(kdbd, "kdb monitor -t 0.1 -n 1 -s 0 user:/") == (0, "added key: user:/a\n", "")
    assert run(kdbd, "kdb monitor -t 0.1 -n 3 -s 0 user:/") == (
        11,
        "added key: user:/a\nadded key: user:/b\n",
        "Only 2 of 3 changes came in time\n",
    )


def test_a_number_is_reached_at_the_end_of_a_commit(kdbd: DaemonProcess) -> None:
    """So that what is shown last can be given to -s, and nothing is lost."""
    (kdbd.work / "f").write_text('{"a": "1", "b": "1", "c": "1"}')
    run(kdbd, "kdb import user:/t json f; kdb set user:/t/d 1")
    added = [f"added key: user:/t/{name}\n" for name in "abcd"]
    assert run(kdbd, "kdb monitor -n 1 -s 0 user:/t") == (0, "".join(added[:3]), "")
    assert run(kdbd, "kdb monitor -n 1 -s 1 user:/t") == (0, added[3], "")
    assert run(kdbd, "kdb monitor -n 4 -s 0 user:/t") == (0, "".join(added), "")
    assert run(kdbd, "kdb monitor -t 1 -n 0 user:/t") == (0, "", "")


def test_a_closed_pipe_ends_it_though_nothing_changes(kdbd: DaemonProcess) -> None:
    with monitoring(kdbd, "user:/") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(WAIT_S) == -signal.SIGPIPE
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_clumsy_use_is_told_in_a_line(kdbd: DaemonProcess) -> None:
    for command, code, what in [
        ("kdb monitor nowhere", 7, "nowhere"),
        ("kdb monitor ''", 2, "not a valid keyname"),
        ("kdb monitor user:/a user:/b", 2, "0 or 1 argument needed"),
        ("kdb monitor -n some", 1, "-n --count needs a whole number"),
        ("kdb monitor -n -1", 1, "-n --count needs a whole number"),
        ("kdb monitor -n", 1, "requires an argument"),
        ("kdb monitor -s 99999999999999999999", 1, "-s --since needs a whole number"),
        ("kdb monitor -t soon", 1, "-t --timeout needs a number of seconds"),
        ("kdb monitor -t nan", 1, "-t --timeout needs a number of seconds"),
        ("kdb monitor -t -1", 1, "-t --timeout needs a number of seconds"),
        ("kdb monitor meta:/a", 5, "meta:/a is not stored"),
        ("kdb monitor default:/", 5, "default:/ is not stored"),
        ("kdb monitor proc:/", 5, "proc:/ is not stored"),
        (r"kdb monitor $'user:/\xff'", 7, "UTF-8"),
        ("kdb monitor -n 1 -s 0 user:/ > /dev/full", 5, "No space left on device"),
    ]:
        run(kdbd, "kdb set user:/a 1")
        found, output, errors = run(kdbd, command)
        assert (found, output) == (code, ""), (command, errors)
        assert what in errors, (command, errors)
        assert "Traceback" not in errors


def test_without_kdbd_it_says_how_to_start_it(kdbd: DaemonProcess) -> None:
    kdbd.stop()
    code, output, errors = run(kdbd, "kdb monitor user:/")
    assert (code, output) == (5, "")
    assert errors.startswith("Sorry, no kdbd answers on the bus")
    assert errors.count("\n") == 1


def test_more_than_kdbd_remembers_is_told_as_lost(kdbd: DaemonProcess) -> None:
    run(kdbd, "kdb set user:/a 1")
    assert run(kdbd, "kdb monitor -n 1 -s 1000 user:/")[:2] == (
        0,
        "lost: more changed than kdbd remembers; read user:/ again\n",
    )
    code, output, _ = run(kdbd, "kdb monitor -j -n 1 -s 1000 user:/")
    found = json.loads(output)
    del found["time"]
    assert (code, found) == (0, {"revision": 1, "change": "lost", "name": "user:/"})


@pytest.mark.parametrize("options", [("-w",), ("--json", "-w")])
def test_every_change_is_shown_exactly_once_whatever_ends(
    kdbd: DaemonProcess, bus: PrivateBus, options: Sequence[str]
) -> None:
    ends = {150: kill_daemon, 380: restart_bus, 610: kill_both, 870: kill_daemon}
    with monitoring(kdbd, *options, "-n", str(WRITES), PARENT) as process:
        writing = subprocess.Popen(
            [sys.executable, str(TESTS / "writing_client.py"), PARENT, str(WRITES)],
            env=kdbd.client_environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        with writing:
            assert writing.stdout is not None
            for line in writing.stdout:
                if end := ends.pop(int(line), None):
                    end(kdbd, bus)
        assert writing.returncode == 0
        assert not ends
        output, errors = process.communicate(timeout=WAIT_S)
        assert (process.returncode, errors) == (0, "")
    names = [f"{PARENT}/{number:04}" for number in range(WRITES)]
    if "--json" in options:
        found = [json.loads(line) for line in output.splitlines()]
        assert [each["name"] for each in found] == names
        assert {each["change"] for each in found} == {"added"}
        revisions = [each["revision"] for each in found]
        assert revisions == sorted(set(revisions))
    else:
        shown = [line.partition(" = ")[0] for line in output.splitlines()]
        assert shown == [f"added key: {name}" for name in names]


def test_a_locale_that_is_not_utf8_changes_nothing(kdbd: DaemonProcess) -> None:
    with monitoring(kdbd, "-w", "-n", "1", "user:/ü", environment={"LC_ALL": "C"}) as process:
        run(kdbd, "kdb set user:/ü/🙂 é")
        assert process.communicate(timeout=WAIT_S)[0] == "added key: user:/ü/🙂 = é\n"


def test_a_name_may_begin_with_a_dash_and_a_value_be_large(kdbd: DaemonProcess) -> None:
    value = "v" * 100_000
    with monitoring(kdbd, "-w", "-n", "1", "--", "dir:/-n") as process:
        run(kdbd, f"kdb set -- dir:/-n {value}")
        assert process.communicate(timeout=WAIT_S)[0] == f"added key: dir:/-n = {value}\n"


def test_a_value_that_is_no_utf8_is_shown_as_it_is(kdbd: DaemonProcess) -> None:
    kdbd.stop()
    kdbd.user.mkdir(exist_ok=True)
    (kdbd.user / "default.ecf").write_bytes(b"kdbOpen 2\n$key string 1 1\na\n\xff\n$end\n")
    kdbd.start()
    assert run(kdbd, "kdb monitor -w -s 0 -n 1 user:/") == (0, "added key: user:/a = \udcff\n", "")
    found = json.loads(run(kdbd, "kdb monitor -j -w -s 0 -n 1 user:/")[1])
    assert found["base64"] == "/w=="
