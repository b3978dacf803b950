"""kdb export and kdb import: transcripts, failures, strategies, conflicts, size."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from command_lines import dumped, last_revision, set_meta
from daemon_process import DaemonProcess
from mounting import MountNamespace
from transcripts import check, run, steps

from kdb.cli import import_
from kdb.cli.key_sets import Contents, Database
from kdb.model import names
from kdb.model.content import Content
from kdb.model.errors import ConflictError

pytestmark = pytest.mark.needs("dbus-daemon")

FOREIGN = {
    "ansible", "c", "csvstorage", "hosts", "line", "mini", "ni", "nosuch", "simpleini", "toml",
    "xml", "xmltool", "yaml", "yamlcpp",
}  # fmt: skip

MIXED = r"""{
    "#0": "x",
    "a": "1",
    "b": {
        "c": "2",
        "d": "3"
    },
    "ml": "a\nb",
    "sl\\/ash": "z",
    "sp ace": "y"
}
"""
"""What libelektra writes with the brackets of an array: the mapping is in kdb.formats.json_text."""

MIXED_BELOW = "        ".join(MIXED.splitlines(keepends=True)).rstrip()
NO_JSON = "libelektra's output is no JSON"
ALL_JSON = f"""{{
    "user:": {{
        "t": {MIXED_BELOW}
    }},
    "system:": {{
        "t": {{
            "a": "s1",
            "s": "s2"
        }}
    }}
}}
"""
ALL_DUMP = r"""kdbOpen 2
$key string 10 1
user:/t/#0
x
$key string 9 1
user:/t/a
1
$key string 11 1
user:/t/b/c
2
$key string 11 1
user:/t/b/d
3
$key string 10 3
user:/t/ml
a
b
$key string 15 1
user:/t/sl\/ash
z
$key string 14 1
user:/t/sp ace
y
$key string 11 2
system:/t/a
s1
$key string 11 2
system:/t/s
s2
$end
"""
CUT = "names are not cut: design/elektra.md, fault 10"
WITH_META = MIXED.replace('"a": "1"', '"a": {\n        ".": "1",\n        "meta:/m": "v"\n    }')
ONE = "kdbOpen 2\n$key string 0 1\n\n1\n$meta 1 1\nm\nv\n$end\n"
AROUND = "(echo before; kdb export user:/t/a dump; echo after)"
WRITTEN_OVER = "libelektra begins at the start of the file that standard output is"

EXPORTED_OTHERWISE: dict[str, tuple[str, dict[str, Any]]] = {
    "kdb export user:/t json": (NO_JSON, {"stdout": MIXED}),
    "kdb export user:/t yajl": (NO_JSON, {"stdout": MIXED}),
    "kdb export /t dump": (CUT, {"stdout": ALL_DUMP}),
    "kdb export /t json": (NO_JSON, {"stdout": ALL_JSON}),
    "timeout 10 kdb export / dump | head -5": (
        CUT,
        {"stdout": "".join(ALL_DUMP.splitlines(keepends=True)[:5])},
    ),
    "kdb export user:/t dump /nonexistent/dir/f": (
        "an error of the key database exits 5: design/elektra.md",
        {"exit": 5},
    ),
    "kdb export user:/t json with metadata": (
        "metadata are no error, they are exported",
        {"stdout": WITH_META, "stderr": ""},
    ),
    f"{AROUND} > o2; od -c o2 | head -20": (
        WRITTEN_OVER,
        {"cmd": f"{AROUND} > o2; cat o2", "stdout": f"before\n{ONE}after\n"},
    ),
    f"{AROUND} >> o3; cat o3": (WRITTEN_OVER, {"stdout": f"before\n{ONE}after\n"}),
}
"""What is expected instead of the transcript, by command, and why."""


def test_the_transcript_of_export_holds(kdbd: DaemonProcess) -> None:
    left, has_metadata = dict(EXPORTED_OTHERWISE), False
    for step in steps("export"):
        words = shlex.split(step["cmd"].partition("|")[0])
        if words[1] == "meta-set":
            set_meta(kdbd, *words[2:])
            has_metadata = True
            continue
        command = step["cmd"]
        if has_metadata and words[-1] == "json":
            command += " with metadata"
        check(kdbd, as_we_have_it(step, words) | left.pop(command, ("", {}))[1])
    assert has_metadata
    assert not left


def as_we_have_it(step: dict[str, Any], words: list[str]) -> dict[str, Any]:
    """Return a step; a format that kdbd has none of exits 7."""
    if words[1:2] in (["export"], ["import"]) and FOREIGN & set(words[3:]) and step["exit"] != 2:
        return step | {"exit": 7, "stdout": "", "stderr": "which there are"}
    return step


FAILED = "a failed import exits non-zero: design/elektra.md, fault 9"
IMPORTED_OTHERWISE = {
    ("kdb import user:/t json", "{bad"),
    ("kdb import user:/t dump", "garbage\n"),
    ("kdb import user:/t dump", "kdbOpen 2\n$key string 99 3\nx\nabc\n"),
    ("kdb import user:/t dump", "kdbOpen 3\n"),
    ("kdb import user:/t json /nonexistent", ""),
}
"""Imports that fail: libelektra exits 0 and removes what was there; see fault 9."""


def test_the_transcript_of_import_holds(kdbd: DaemonProcess) -> None:
    failed = set()
    foreign: dict[str, int] = {}
    for step in steps("import"):
        words = shlex.split(step["cmd"])
        what = step["cmd"], step.get("stdin", "")
        if words[:2] == ["kdb", "export"] and words[2] in foreign:
            # Nothing was imported, so all is as it was before.
            before = foreign.pop(words[2])
            assert dumped(kdbd, words[2]) == before
            continue
        if what in IMPORTED_OTHERWISE:
            failed.add(what)
            before = dumped(kdbd, "user:/")
            check(kdbd, step | {"exit": 5})
            assert dumped(kdbd, "user:/") == before
        elif words[1] == "import" and FOREIGN & set(words[3:]):
            if step["exit"] == 0:
                foreign[words[2]] = dumped(kdbd, words[2])
            check(kdbd, as_we_have_it(step, words))
        elif what == ("kdb import user:/t dump", ""):
            # An empty file is one without keys; libelektra warns of a plugin of its own.
            check(kdbd, step | {"stderr": ""})
        else:
            check(kdbd, step)
    assert failed == IMPORTED_OTHERWISE
    assert not foreign


def test_a_failed_import_changes_nothing(kdbd: DaemonProcess) -> None:
    """The transcript that shows how libelektra then removes keys, with the right outcome."""
    before = ""
    for step in steps("import_failure"):
        command = step["cmd"]
        if command.startswith("kdb import") and (step["stderr"] or step["exit"]):
            before = dumped(kdbd, "user:/")
            check(kdbd, step | {"exit": step["exit"] or 5})
            assert dumped(kdbd, "user:/") == before
        elif command.startswith("kdb ls"):
            assert run(kdbd, command)[1].startswith("user:/keep\n")
        else:
            run(kdbd, command, step.get("stdin", ""))
    assert run(kdbd, "kdb ls user:/")[1] == "user:/keep\nuser:/t/a\n"


# What the transcripts lack


@pytest.mark.parametrize("form", ["dump", "json"])
def test_all_that_a_key_may_hold_comes_back(kdbd: DaemonProcess, form: str) -> None:
    """Names and values as people and programs make them, binary values, metadata, and no bytes."""
    for name, value in AWKWARD.items():
        assert run(kdbd, shlex.join(["kdb", "set", "-q", "--", name, value]))[0] == 0
    set_meta(kdbd, "user:/t/bytes", "binary", "")
    set_meta(kdbd, "user:/t/described", "check/range", "1-10\n…")
    before = dumped(kdbd, "user:/t")
    assert run(kdbd, f"LC_ALL=C kdb export user:/t {form} ./-out") == (0, "", "")
    assert run(kdbd, "kdb rm -r user:/t")[0] == 0
    assert run(kdbd, f"LC_ALL=C kdb import user:/t {form} ./-out") == (0, "", "")
    assert dumped(kdbd, "user:/t") == before
    if form == "json":
        json.loads((kdbd.work / "-out").read_bytes())


AWKWARD = {
    "user:/t": "a value of its own",
    "user:/t/with space": " ",
    "user:/t/'quotes\"": "'\"",
    "user:/t/line\nbreak": "a\nb\r\n\t\x1b[1m",
    "user:/t/-dash": "-v",
    "user:/t/🙂 ü": "🙂 ü\u2028",
    r"user:/t/sl\/ash/\\back": "/\\",
    "user:/t/%/%": "the empty part",
    "user:/t/array/#0": "first",
    "user:/t/array/#_10": "eleventh",
    "user:/t/___empty_map": "",
    "user:/t/bytes": "",
    "user:/t/meta:/.": "no metadata",
}


def test_a_value_of_10_mb_comes_back(kdbd: DaemonProcess) -> None:
    (kdbd.work / "big").write_bytes(b"kdbOpen 2\n$key string 0 10000000\n\n%b\n$end\n" % BIG)
    assert run(kdbd, "kdb import user:/big dump big") == (0, "", "")
    assert run(kdbd, "kdb export user:/big json | kdb import user:/again json") == (0, "", "")
    assert run(kdbd, "kdb export user:/again dump | cmp - big") == (0, "", "")


BIG = b"0123456789" * 1_000_000


def test_a_value_that_is_too_large_is_refused_with_its_line(kdbd: DaemonProcess) -> None:
    code, output, errors = run(kdbd, 'printf \'{"a":\n"%017000000d"}\' 0 | kdb import user:/t json')
    assert (code, output) == (5, "")
    assert "standard input:2: a value has 17000000 bytes, at most 16777216 are kept" in errors


CLUMSY = [
    ("kdb export", 2, "need 1 to 3 arguments"),
    ("kdb export ''", 2, "not a valid keyname"),
    ("kdb export user:/t yaml", 7, "no format yaml; kdb reads and writes dump and json"),
    ("kdb import user:/t yaml", 7, "no format yaml; kdb reads and writes dump and json"),
    ("kdb export -j user:/t dump", 2, "-j stands for the format json"),
    ("kdb export user:/t dump .", 5, "Is a directory"),
    ("kdb export user:/t dump nowhere/f", 5, "nowhere/f cannot be written: No such file"),
    ("kdb export --nope user:/t", 1, "--nope"),
    (r"kdb export $'user:/\xff'", 7, "no UTF-8"),
    (r"kdb import $'user:/\xff' json <<< '{}'", 7, "no UTF-8"),
    (r"kdb export user:/t $'\xff'", 7, "kdb reads and writes dump and json"),
    ("kdb export meta:/t", 5, "C01320"),
    ("kdb export default:/", 5, "C01320"),
    ("kdb import default:/t <<< 'kdbOpen 2'", 5, "C01320"),
    ("kdb import proc:/t json <<< '{\"a\": 1}'", 5, "proc:/"),
    ("kdb import user:/t json .", 5, ". cannot be read: Is a directory"),
    ("kdb import user:/t json nowhere", 5, "nowhere cannot be read: No such file"),
    ("kdb import user:/t json <&-", 5, "standard input:1: the text is cut short"),
    ("kdb import /t json", 2, "user:/t"),
    ("kdb import -s user:/t json", 2, "cut, import, ours, preserve, theirs"),
    ('kdb import user:/t json <<< \'{"a": "\\u0000"}\'', 5, "holds a NUL"),
    ('kdb import user:/t json <<< \'{"a": "\\udcff"}\'', 5, "UTF-8"),
    ("printf '\\xff' | kdb import user:/t json", 5, "byte 0xff is no UTF-8"),
    ("printf 'kdbOpen 2\\n$key string 1 1\\na\\n1\\n' | kdb import user:/t", 5, "cut short"),
]


def test_clumsy_use_is_told_in_a_line_and_changes_nothing(kdbd: DaemonProcess) -> None:
    run(kdbd, "kdb set user:/t/a 1")
    before = dumped(kdbd, "/")
    for command, code, what in CLUMSY:
        found, output, errors = run(kdbd, command)
        assert (found, output) == (code, ""), (command, errors)
        assert what in errors, command
        assert "Traceback" not in errors
        assert "should not have happened" not in errors
        assert dumped(kdbd, "/") == before, command
    assert not list(kdbd.work.iterdir())


def test_without_kdbd_nothing_is_written(kdbd: DaemonProcess) -> None:
    run(kdbd, "kdb set user:/t/a 1; kdb export user:/t dump f")
    before = (kdbd.work / "f").read_bytes()
    kdbd.stop()
    for command in ("kdb export user:/t dump f", "kdb import user:/t dump f"):
        code, output, errors = run(kdbd, command)
        assert (code, output) == (5, "")
        assert errors.startswith("Sorry, no kdbd answers on the bus")
        assert errors.count("\n") == 1
    assert (kdbd.work / "f").read_bytes() == before


def test_an_exported_file_keeps_its_mode_and_its_place(kdbd: DaemonProcess) -> None:
    run(kdbd, "kdb set user:/t/a 1; touch f; chmod 640 f; ln -s f link; umask 077")
    assert run(kdbd, "kdb export user:/t dump link; umask 027; kdb export user:/t dump new")[0] == 0
    assert (kdbd.work / "link").is_symlink()
    assert (kdbd.work / "f").read_text() == dumped(kdbd, "user:/t")
    assert (kdbd.work / "f").stat().st_mode & 0o777 == 0o640
    assert (kdbd.work / "new").stat().st_mode & 0o777 == 0o640
    assert sorted(each.name for each in kdbd.work.iterdir()) == ["f", "link", "new"]


def test_a_pipe_is_written_to_as_it_is(kdbd: DaemonProcess) -> None:
    run(kdbd, "kdb set user:/t/a 1")
    assert run(kdbd, "kdb export user:/t dump /dev/stdout") == (0, dumped(kdbd, "user:/t"), "")
    assert run(kdbd, "mkfifo p; cat p & kdb export user:/t dump p; wait")[1] == dumped(
        kdbd, "user:/t"
    )
    assert run(kdbd, "kdb export user:/t | head -c 1")[1:] == ("k", "")


def test_a_full_disk_leaves_the_file_that_was_there(kdbd: DaemonProcess) -> None:
    (kdbd.work / "big").write_bytes(b"kdbOpen 2\n$key string 0 10000000\n\n%b\n$end\n" % BIG)
    run(kdbd, "kdb import user:/big dump big")
    with MountNamespace() as namespace:
        disk = kdbd.work / "disk"
        namespace.mount_tmpfs(disk)
        inside = namespace.see(disk)
        (inside / "f").write_text("before")
        done = kdbd.run(
            *namespace.command("kdb", "export", "user:/big", "dump", str(disk / "f")), check=False
        )
        assert done.returncode == 5
        assert f"{disk}/f cannot be written: No space left on device" in done.stderr
        assert [each.name for each in inside.iterdir()] == ["f"]
        assert (inside / "f").read_text() == "before"
    code, _, errors = run(kdbd, "kdb export user:/big > /dev/full")
    assert (code, errors) == (5, "kdb: cannot write: No space left on device\n")


def test_verbose_counts_what_was_imported(kdbd: DaemonProcess) -> None:
    run(kdbd, "kdb set user:/t/a 1; kdb set user:/t/b 2; kdb set user:/t/c 3")
    command = 'kdb import -v user:/t json <<< \'{"a": "1", "b": "x", "d": "4"}\''
    assert run(kdbd, command)[:2] == (
        0,
        "Keys: added 1, changed 1, removed 1; now 3\n",
    )


def test_the_root_of_a_namespace_can_be_imported(kdbd: DaemonProcess) -> None:
    run(kdbd, "kdb set user:/a 1; kdb set system:/s 2")
    assert run(kdbd, 'kdb import user:/ json <<< \'{".": "root", "b": "2"}\'') == (0, "", "")
    assert run(kdbd, "kdb ls /")[1] == "user:/\nuser:/b\nsystem:/s\n"
    assert run(kdbd, "kdb import user:/ json <<< '{}'") == (0, "", "")
    assert run(kdbd, "kdb ls /")[1] == "system:/s\n"


def test_dir_is_that_of_the_working_directory(kdbd: DaemonProcess) -> None:
    run(kdbd, 'mkdir -p a b; cd a; kdb import dir:/ json <<< \'{"x": "here"}\'')
    assert run(kdbd, "cd a; kdb export dir:/ json")[1] == '{\n    "x": "here"\n}\n'
    assert run(kdbd, "cd b; kdb export dir:/ json")[1] == "{\n\n}\n"
    assert run(kdbd, "mkdir c; cd c; rmdir ../c; kdb export / json") == (0, "{\n\n}\n", "")


# Others who write at the same time


def test_many_imports_at_once_end_as_one_of_them(kdbd: DaemonProcess) -> None:
    """Each is a commit of its own: what is there in the end is from one file, whole."""
    texts = {}
    for which in "abcdef":
        texts[which] = {f"k{number}": which for number in range(200)} | {which: "only here"}
        (kdbd.work / which).write_text(json.dumps(texts[which]))
    command = "for f in a b c d e f; do kdb import -s cut user:/t json $f & done; wait"
    assert run(kdbd, command) == (0, "", "")
    found = json.loads(run(kdbd, "kdb export user:/t json")[1])
    which = found["k0"]
    assert {name: text for name, text in found.items() if name in texts[which]} == texts[which]


def test_the_strategies_decide_over_what_others_changed_meanwhile() -> None:
    def keys(**values: str) -> dict[bytes, Content]:
        return {f"\x06\0{name}".encode(): Content(value) for name, value in values.items()}

    first = keys(a="1", b="2", c="3", d="4")
    file = keys(a="file", b="2", c="file", e="file")
    now = keys(a="1", b="other", c="other", d="other", f="other")
    outcomes = {
        "cut": file,
        "import": keys(a="file", b="2", c="file", d="other", e="file", f="other"),
        "theirs": keys(a="file", b="other", c="file", e="file", f="other"),
        "ours": keys(a="file", b="other", c="other", d="other", e="file", f="other"),
        "preserve": keys(a="file", b="other", c="file", e="file", f="other"),
    }
    for strategy, outcome in outcomes.items():
        assert import_.wanted(strategy, first, file)(now) == outcome, strategy


def test_a_conflict_names_the_keys_and_is_resolved_by_reading_again(
    kdbd: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
    run(kdbd, "kdb set user:/t/a 1; kdb set user:/t/b 2")
    parent = names.unescape("user:/t")
    with Database() as database:
        read = database.read(parent)
        run(kdbd, "kdb set user:/t/a other; kdb set user:/t/new other")
        with pytest.raises(ConflictError) as raised:
            database.write(read, {})
        assert [each.name for each in raised.value.conflicts] == ["user:/t/a"]
        assert run(kdbd, "kdb ls user:/t")[1] == "user:/t/a\nuser:/t/b\nuser:/t/new\n"
        replaced = database.change(read, lambda now: {})
    assert [names.escape(name) for name in replaced.contents] == [
        "user:/t/a",
        "user:/t/b",
        "user:/t/new",
    ]
    assert run(kdbd, "kdb ls user:/")[1] == ""


def test_who_changes_the_keys_at_every_attempt_keeps_them(
    kdbd: DaemonProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", kdbd.bus.address)
    asked = []

    def wanted(now: Contents) -> Contents:
        asked.append(now)
        run(kdbd, f"kdb set user:/t/a {len(asked)}")
        return {b"\x06\0t\0a": Content("ours")}

    with Database() as database:
        read = database.read(names.unescape("user:/t"))
        with pytest.raises(ConflictError, match="user:/t/a"):
            database.change(read, wanted)
    assert run(kdbd, "kdb get user:/t/a")[1] == f"{len(asked)}\n"
    assert len(asked) == 6


# Long imports


@contextmanager
def importing(kdbd: DaemonProcess, file: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run an import whose standard error is a terminal; hand out the terminal's other end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["kdb", "import", "user:/t", "json", str(file)],
        env=kdbd.client_environment | {"COLUMNS": "80"},
        cwd=kdbd.work,
        stdin=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def told(terminal: int) -> Iterator[str]:
    """Yield what a terminal shows, piece by piece, until nobody writes to it any more."""
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # how Linux says so
            return
        yield piece.decode()


def wait_for(terminal: int, text: str) -> str:
    shown = ""
    for piece in told(terminal):
        shown += piece
        if text in shown:
            return shown
    raise AssertionError(f"no {text!r} in {shown!r}")


def test_a_bar_is_shown_on_a_terminal_when_it_takes_longer_than_a_second(
    kdbd: DaemonProcess,
) -> None:
    (kdbd.work / "f").write_text('{"a": "1"}')
    kdbd.suspend()
    with importing(kdbd, kdbd.work / "f") as (process, terminal):
        shown = wait_for(terminal, ", 2 s")
        kdbd.resume()
        shown += "".join(told(terminal))
        assert process.wait() == 0
    assert re.search(r"kdb import \[#{10}[->]{10}\] looking what is there, 1 s", shown)
    # Each line goes over the one before, and in the end nothing is left.
    lines = shown.split("\r\x1b[K")
    assert lines[0] == lines[-1] == ""
    assert all(0 < len(line) < 80 for line in lines[1:-1])
    # While it waits, a mark moves.
    bars = [line[line.index("[") : line.index("]")] for line in lines[1:-1]]
    assert all(bar.count(">") == 1 for bar in bars)
    assert all(bar != following for bar, following in pairwise(bars))
    assert run(kdbd, "kdb get user:/t/a")[1] == "1\n"


def test_no_bar_is_shown_where_standard_error_is_no_terminal(kdbd: DaemonProcess) -> None:
    (kdbd.work / "f").write_text('{"a": "1"}')
    kdbd.suspend()
    with importing(kdbd, kdbd.work / "f") as (_, terminal):
        process = subprocess.Popen(
            ["kdb", "import", "user:/p", "json", "f"],
            env=kdbd.client_environment,
            cwd=kdbd.work,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        wait_for(terminal, ", 2 s")  # as long as the other has waited
        kdbd.resume()
        assert process.communicate()[1] == b""
    assert process.returncode == 0


def test_a_bar_is_no_wider_than_the_terminal(kdbd: DaemonProcess) -> None:
    (kdbd.work / "f").write_text('{"a": "1"}')
    kdbd.suspend()
    narrow = kdbd.client_environment | {"COLUMNS": "20"}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["kdb", "import", "user:/t", "json", "f"], env=narrow, cwd=kdbd.work, stderr=theirs
    )
    os.close(theirs)
    shown = wait_for(ours, "kdb import [")
    kdbd.resume()
    shown += "".join(told(ours))
    os.close(ours)
    assert process.wait() == 0
    assert all(len(line) < 20 for line in shown.split("\r\x1b[K"))


MANY = 100_000


def test_100_000_keys_are_one_commit_and_ctrl_c_leaves_none_or_all(kdbd: DaemonProcess) -> None:
    (kdbd.work / "f").write_text(json.dumps({f"k{number}": "value" for number in range(MANY)}))
    revision = last_revision(kdbd)
    with importing(kdbd, kdbd.work / "f") as (process, terminal):
        for _ in told(terminal):
            # The bar: it is in the middle.
            process.send_signal(signal.SIGINT)
        code = process.wait()
    assert last_revision(kdbd) - revision in (0, 1)
    assert len(run(kdbd, "kdb ls user:/t")[1].splitlines()) in (0, MANY)
    assert code in (0, -signal.SIGINT)
    assert run(kdbd, "kdb import user:/t json f") == (0, "", "")
    assert last_revision(kdbd) == revision + 1
    assert len(run(kdbd, "kdb ls user:/t")[1].splitlines()) == MANY
    exported = json.loads(run(kdbd, "kdb export user:/t json")[1])
    assert exported == json.loads((kdbd.work / "f").read_text())
    # And with as many conflicts as there are keys, or none at all.
    assert run(kdbd, "kdb import user:/t json f") == (0, "", "")
    assert last_revision(kdbd) == revision + 1


def test_a_kdbd_that_dies_in_the_middle_loses_nothing(kdbd: DaemonProcess) -> None:
    run(kdbd, "kdb set user:/t/old 1")
    (kdbd.work / "f").write_text('{"a": "1"}')
    kdbd.suspend()
    with importing(kdbd, kdbd.work / "f") as (process, terminal):
        wait_for(terminal, "looking what is there")
        kdbd.kill()
        kdbd.start()
        assert process.wait() in (0, 5)
        shown = "".join(told(terminal))
    if process.returncode == 0:
        assert run(kdbd, "kdb ls user:/t")[1] == "user:/t/a\n"
    else:
        assert shown.count("Sorry, ") == 1
        assert run(kdbd, "kdb ls user:/t")[1] == "user:/t/old\n"
