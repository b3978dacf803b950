"""kdb editor: what was changed is stored as one commit, and nothing that was typed is lost."""

from __future__ import annotations

import os
import pty
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_lines import dumped, set_meta
from daemon_process import DaemonProcess
from mounting import MountNamespace
from transcripts import run

pytestmark = pytest.mark.needs("dbus-daemon")

KEPT = re.compile(r"What you edited is kept in (.*)\n")


def editor(kdbd: DaemonProcess, name: str, script: str) -> str:
    """Make a program that edits the file "$1"; return its path."""
    path = kdbd.directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def edited(kdbd: DaemonProcess) -> Iterator[DaemonProcess]:
    """Run a kdbd with some keys, and with a directory for temporary files of its own."""
    run(kdbd, "kdb set user:/t/a 1; kdb set user:/t/b 2; kdb set user:/t/c 3; kdb set user:/o 4")
    (kdbd.directory / "tmp").mkdir()
    os.environ["TMPDIR"] = str(kdbd.directory / "tmp")
    try:
        yield kdbd
    finally:
        del os.environ["TMPDIR"]


def left(kdbd: DaemonProcess) -> list[Path]:
    """Return what is left of temporary files."""
    return [each for each in (kdbd.directory / "tmp").rglob("*") if each.is_file()]


def test_what_was_changed_is_stored_in_one_commit(edited: DaemonProcess) -> None:
    script = 'sed -i -e \'s/"1"/"one"/\' -e \'/"b"/d\' -e \'1s/{/{ "new": "x",/\' "$1"'
    program = editor(edited, "e", script)
    set_meta(edited, "user:/t/c", "m", "v")
    code, output, errors = run(edited, f"kdb editor -e {program} user:/t")
    assert (code, output, errors) == (0, "Stored: 1 added, 1 changed, 1 removed\n", "")
    listing = run(edited, "kdb export user:/ json")[1]
    assert listing == (
        '{\n    "o": "4",\n    "t": {\n        "a": "one",\n        "c": {\n'
        '            ".": "3",\n            "meta:/m": "v"\n        },\n        "new": "x"\n'
        "    }\n}\n"
    )
    revisions = run(edited, "kdb monitor -v -s 5 -n 3 user:/ | cut -d' ' -f2- ")[1]
    assert revisions == (
        "6 added key: user:/t/new\n6 changed key: user:/t/a\n6 removed key: user:/t/b\n"
    )
    assert not left(edited)


def test_the_formats_are_json_and_dump(edited: DaemonProcess) -> None:
    before = dumped(edited, "user:/t")
    program = editor(edited, "e", 'cat "$1"; echo "$1"')
    code, output, errors = run(edited, f"kdb editor -e {program} user:/t dump")
    assert (code, errors) == (0, "")
    assert output.startswith(before)
    assert output.endswith("/keys.ecf\nNothing was changed\n")
    output = run(edited, f"kdb editor -e {program} user:/t")[1]
    assert output.endswith("/keys.json\nNothing was changed\n")
    assert run(edited, f"kdb editor -e {program} user:/t toml")[0] == 7
    assert not left(edited)


def test_the_editor_is_found_as_by_others(edited: DaemonProcess) -> None:
    for name in ("visual", "editor", "vi"):
        editor(edited, name, f'echo {name}: "$#" arguments, the first is "$1" | cut -d/ -f1')
    place = shlex.quote(str(edited.directory))
    said = {
        f"VISUAL={place}/visual EDITOR={place}/editor kdb editor user:/t": "visual",
        f"VISUAL= EDITOR={place}/editor kdb editor user:/t": "editor",
        f"PATH={place}:$PATH VISUAL= EDITOR= kdb editor user:/t": "vi",
        f"VISUAL={place}/visual kdb editor -e {place}/editor user:/t": "editor",
    }
    for command, name in said.items():
        assert run(edited, command)[1].startswith(f"{name}: 1 arguments"), command
    output = run(edited, f"kdb editor -e '{edited.directory}/editor --wait' user:/t")[1]
    assert output.startswith("editor: 2 arguments, the first is --wait\n")


def test_the_text_is_for_its_owner_only(edited: DaemonProcess) -> None:
    program = editor(edited, "e", 'stat -c %a "$1" "$(dirname "$1")"; umask')
    assert run(edited, f"umask 0; kdb editor -e {program} user:/t")[1] == (
        "600\n700\n0077\nNothing was changed\n"
    )


def test_what_means_the_same_changes_nothing(edited: DaemonProcess) -> None:
    program = editor(edited, "e", 'printf \'{"c":"3","b":"2",\\n"a":"1"}\' > "$1"')
    assert run(edited, f"kdb editor -e {program} user:/t") == (0, "Nothing was changed\n", "")
    assert run(edited, "kdb monitor -s 4 -t 0 user:/")[1] == ""
    assert not left(edited)


def test_what_others_change_meanwhile_stays(edited: DaemonProcess) -> None:
    script = """sed -i 's/"1"/"one"/' "$1"
        kdb set -q user:/t/b others; kdb rm user:/t/c; kdb set -q user:/t/new others"""
    code, output, errors = run(edited, f"kdb editor -e {editor(edited, 'e', script)} user:/t")
    assert (code, output, errors) == (0, "Stored: 0 added, 1 changed, 0 removed\n", "")
    assert run(edited, "kdb export user:/t json")[1] == (
        '{\n    "a": "one",\n    "b": "others",\n    "new": "others"\n}\n'
    )


def test_a_conflict_is_named_key_by_key_and_the_text_is_kept(edited: DaemonProcess) -> None:
    script = """printf '{"a": "mine", "b": "mine", "new": "mine", "same": "alike"}' > "$1"
        kdb set -q user:/t/a others; kdb rm user:/t/b; kdb set -q user:/t/c others
        kdb set -q user:/t/new others; kdb set -q user:/t/same alike"""
    code, output, errors = run(edited, f"kdb editor -e {editor(edited, 'e', script)} user:/t")
    assert (code, output) == (5, "")
    assert errors.splitlines()[:6] == [
        "Sorry, module kdb issued the error C02000:",
        "Conflicting state: Somebody else changed what you edited too. Nothing was stored",
        "user:/t/a: base 1, ours 'mine', theirs 'others'",
        "user:/t/b: base 2, ours 'mine', theirs removed",
        "user:/t/c: base 3, ours removed, theirs 'others'",
        "user:/t/new: base 0, ours 'mine', theirs 'others'",
    ]
    kept(edited, errors, '{"a": "mine", "b": "mine", "new": "mine", "same": "alike"}')
    assert run(edited, "kdb export user:/t json")[1] == (
        '{\n    "a": "others",\n    "c": "others",\n    "new": "others",\n    "same": "alike"\n}\n'
    )


def kept(kdbd: DaemonProcess, errors: str, text: str) -> None:
    found = KEPT.search(errors)
    assert found, errors
    path = Path(found[1])
    assert left(kdbd) == [path]
    assert path.read_text() == text
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{\n"a": oops}', "keys.json:2: 'oops}' is no JSON"),
        ('{"a": "1"', "the text is cut short"),
        (" \n", "the text is empty"),
        ('{"a": "\\u0000"}', "holds a NUL"),
        ('{"a": "1", "a": "2"}', "'user:/t/a' is given twice"),
        ('{"a": "\\udcff"}', "UTF-8"),
    ],
)
def test_a_wrong_text_is_told_and_kept(edited: DaemonProcess, text: str, told: str) -> None:
    before = dumped(edited, "user:/")
    (edited.directory / "text").write_text(text)
    program = editor(edited, "e", f'cp {shlex.quote(str(edited.directory / "text"))} "$1"')
    code, output, errors = run(edited, f"kdb editor -e {program} user:/t")
    assert (code, output) == (5, "")
    assert told in errors
    kept(edited, errors, text)
    assert dumped(edited, "user:/") == before


def test_an_editor_that_fails_changes_nothing(edited: DaemonProcess) -> None:
    before = dumped(edited, "user:/")
    failing = editor(edited, "failing", "exit 3")
    code, output, errors = run(edited, f"kdb editor -e {failing} user:/t")
    assert (code, output) == (3, "")
    assert errors == f"kdb: the editor '{failing}' failed with exit code 3; nothing was changed\n"
    assert not left(edited)
    dying = editor(edited, "dying", 'echo "{}" > "$1"; kill -9 $$')
    code, output, errors = run(edited, f"kdb editor -e {dying} user:/t")
    assert (code, output) == (3, "")
    assert f"the editor '{dying}' failed with signal 9" in errors
    kept(edited, errors, "{}\n")
    assert dumped(edited, "user:/") == before


def test_clumsy_use_is_told_in_a_line(edited: DaemonProcess) -> None:
    true = editor(edited, "true", 'rm "$1"')
    for command, code, what in [
        ("kdb editor", 2, "1 or 2 arguments needed"),
        ("kdb editor user:/t json f", 2, "1 or 2 arguments needed"),
        ("kdb editor ''", 2, "not a valid keyname"),
        ("kdb editor nowhere", 7, "nowhere"),
        (r"kdb editor $'user:/\xff'", 7, "no UTF-8"),
        ("kdb editor /t", 2, "as in user:/t"),
        ("kdb editor -e /nowhere/vi user:/t", 3, "No such file or directory; name another"),
        ("kdb editor -e '\"' user:/t", 2, "no command line"),
        ("kdb editor -e true default:/t", 5, "C01320"),
        ("kdb editor -e", 1, "requires an argument"),
    ]:
        found, output, errors = run(edited, command)
        assert (found, output) == (code, ""), (command, errors)
        assert what in errors, (command, errors)
        assert "Traceback" not in errors
    # A file that the editor removed is no empty one
    assert run(edited, f"kdb editor -e {true} user:/t") == (0, "Nothing was changed\n", "")
    assert run(edited, "kdb ls user:/t")[1] == "user:/t/a\nuser:/t/b\nuser:/t/c\n"


def test_a_kdbd_that_is_gone_loses_nothing_that_was_typed(edited: DaemonProcess) -> None:
    script = f'printf \'{{"a": "mine"}}\' > "$1"; kill -9 {edited.pid}'
    code, output, errors = run(edited, f"kdb editor -e {editor(edited, 'e', script)} user:/t")
    assert (code, output) == (5, "")
    assert errors.startswith("Sorry, no kdbd answers on the bus")
    kept(edited, errors, '{"a": "mine"}')


def test_a_full_disk_changes_nothing(edited: DaemonProcess) -> None:
    (edited.work / "big").write_bytes(
        b"kdbOpen 2\n$key string 0 4000000\n\n%b\n$end\n" % (b"v" * 4_000_000)
    )
    run(edited, "kdb import user:/big dump big")
    with MountNamespace() as namespace:
        namespace.mount_tmpfs(edited.directory / "tmp")
        done = edited.run(
            *namespace.command("kdb", "editor", "-e", "true", "user:/big"), check=False
        )
        assert (done.returncode, done.stdout) == (3, "")
        assert "keys.json cannot be written: No space left on device" in done.stderr
        assert not list(namespace.see(edited.directory / "tmp").iterdir())


@contextmanager
def on_a_terminal(
    kdbd: DaemonProcess, *command: str
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        env=kdbd.client_environment,
        cwd=kdbd.work,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield ours, process
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def shown_until(terminal: int, text: str) -> str:
    shown = ""
    while text not in shown:
        shown += os.read(terminal, 4096).decode()
    return shown


def test_on_a_terminal_a_wrong_text_can_be_edited_again(edited: DaemonProcess) -> None:
    script = 'test -e again && text=\'{"a": "mended"}\'; echo "${text:-oops}" > "$1"; touch again'
    command = ("kdb", "editor", "-e", editor(edited, "e", script), "user:/t")
    with on_a_terminal(edited, *command) as (terminal, process):
        assert "'oops' is no JSON" in shown_until(terminal, "Edit it again? [y/N] ")
        os.write(terminal, b"y\n")
        shown_until(terminal, "Stored: 0 added, 1 changed, 2 removed\r\n")
        assert process.wait() == 0
    assert run(edited, "kdb export user:/t json")[1] == '{\n    "a": "mended"\n}\n'
    assert not left(edited)


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"\x04"])
def test_on_a_terminal_a_no_keeps_the_text(edited: DaemonProcess, answer: bytes) -> None:
    command = ("kdb", "editor", "-e", editor(edited, "e", 'printf oops > "$1"'), "user:/t")
    with on_a_terminal(edited, *command) as (terminal, process):
        shown_until(terminal, "Edit it again? [y/N] ")
        os.write(terminal, answer)
        shown = shown_until(terminal, "keys.json\r\n").replace("\r\n", "\n")
        assert process.wait() == 5
    kept(edited, shown, "oops")


def test_ctrl_c_is_for_the_editor(edited: DaemonProcess) -> None:
    """An editor that lives through Ctrl-C is waited for; the signal goes to both."""
    script = 'trap \'echo "{}" > "$1"; done=1\' INT; echo ready; until test $done; do read x; done'
    command = ("kdb", "editor", "-e", editor(edited, "e", script), "user:/t")
    with on_a_terminal(edited, *command) as (terminal, process):
        shown_until(terminal, "ready\r\n")
        os.killpg(process.pid, signal.SIGINT)
        os.write(terminal, b"\n")
        shown_until(terminal, "Stored: 0 added, 0 changed, 3 removed\r\n")
        assert process.wait() == 0


def test_names_and_values_of_every_kind_are_edited(edited: DaemonProcess) -> None:
    """In the C locale too; what is not touched keeps its very bytes."""
    names = ["user:/-e/sp ace", "user:/-e/'\"", "user:/-e/new\nline", "user:/-e/🙂", "user:/-e/b"]
    for name in names:
        run(edited, shlex.join(["kdb", "set", "-q", "--", name, f"-v\n'\"{name}"]))
    set_meta(edited, "user:/-e/b", "binary", "")
    before = dumped(edited, "user:/-e")
    program = editor(edited, "e", 'sed -i \'s/"🙂"/"🐍 ü"/\' "$1"')
    command = f"LC_ALL=C kdb editor -e {program} -- user:/-e"
    assert run(edited, command) == (0, "Stored: 1 added, 0 changed, 1 removed\n", "")
    expected = before.replace("string 4 18\n🙂", "string 7 18\n🐍 ü")
    assert sorted(dumped(edited, "user:/-e")) == sorted(expected)
