"""kdb backup, restore, stash and reset: everything in one file, and back from it."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_lines import dumped, last_revision, set_meta
from daemon_process import DaemonProcess
from mounting import MountNamespace
from transcripts import run

pytestmark = pytest.mark.needs("dbus-daemon")

KEYS = {
    "user:/": "the root",
    "user:/a": "1",
    "user:/line\nbreak": "\n",
    r"user:/sl\/ash/🙂": "-x",
    "spec:/sw/limit": "",
    "system:/s": "2",
    "user:/m/x": "in a file of its own",
    "dir:/d": "a directory's own",
}


@pytest.fixture
def filled(kdbd: DaemonProcess) -> Iterator[DaemonProcess]:
    """Run a kdbd with keys in all namespaces, metadata, and a mountpoint."""
    os.environ["XDG_DATA_HOME"] = str(kdbd.directory / "data")
    try:
        run(kdbd, "kdb mount m.ecf user:/m")
        for name, value in KEYS.items():
            assert run(kdbd, shlex.join(["kdb", "set", "-q", "--", name, value]))[0] == 0
        set_meta(kdbd, "spec:/sw/limit", "default", "100")
        set_meta(kdbd, "user:/a", "binary", "")
        yield kdbd
    finally:
        del os.environ["XDG_DATA_HOME"]


def kept(kdbd: DaemonProcess) -> list[Path]:
    """Return the backups that were called by their time."""
    return sorted((kdbd.directory / "data" / "kdb" / "backups").glob("*"))


def test_a_backup_is_one_private_file_that_holds_everything(filled: DaemonProcess) -> None:
    before = dumped(filled, "/")
    assert run(filled, "umask 0; kdb backup all.ecf") == (0, "all.ecf\n", "")
    backup = filled.work / "all.ecf"
    assert backup.stat().st_mode & 0o777 == 0o600
    run(filled, "kdb rm dir:/d")
    assert backup.read_text() == dumped(filled, "/")
    assert backup.read_text() != before
    assert not kept(filled)


def test_backups_without_a_file_are_called_by_the_time(filled: DaemonProcess) -> None:
    outputs = [run(filled, "umask 0; kdb backup") for _ in range(3)]
    assert [(code, errors) for code, _, errors in outputs] == [(0, "")] * 3
    files = [Path(output.rstrip("\n")) for _, output, _ in outputs]
    assert sorted(files) == kept(filled)
    for file in files:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(_[23])?\.ecf", file.name)
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_bytes() == files[0].read_bytes()
    assert files[0].parent.stat().st_mode & 0o777 == 0o700
    listing = "".join(f"{file}\n" for file in kept(filled))
    assert run(filled, "kdb backup -l") == (0, listing, "")
    assert json.loads(run(filled, "kdb backup -lj")[1]) == [str(file) for file in kept(filled)]
    made = json.loads(run(filled, "kdb backup --json")[1])
    assert made == {"file": str(kept(filled)[-1]), "keys": 26}


def test_stash_and_restore_bring_everything_back(filled: DaemonProcess) -> None:
    before, mounted = dumped(filled, "/"), run(filled, "kdb mount")[1]
    code, output, errors = run(filled, "kdb stash -f")
    assert (code, errors) == (0, "")
    (file,) = kept(filled)
    assert output == f"{file}\n"
    assert run(filled, "kdb ls /")[1] == "dir:/d\n"
    assert run(filled, "kdb mount")[1] == ""
    assert "in a file of its own" in (filled.user / "m.ecf").read_text()
    run(filled, "kdb set user:/new 1")
    code, output, errors = run(filled, f"kdb restore {file.stem}")
    assert (code, errors) == (0, "")
    assert output.splitlines()[0] == "Restored: 26 added, 0 changed, 1 removed"
    assert (dumped(filled, "/"), run(filled, "kdb mount")[1]) == (before, mounted)
    # What it replaced can be brought back in turn.
    replaced = Path(output.splitlines()[1].removeprefix("What was there before is in "))
    assert replaced in kept(filled)
    assert run(filled, f"kdb restore {replaced}")[0] == 0
    assert run(filled, "kdb ls /")[1] == "dir:/d\nuser:/new\n"


def test_a_restore_is_one_commit_and_the_files_follow(filled: DaemonProcess) -> None:
    run(filled, "kdb backup all.ecf; kdb rm -r user:/; kdb set user:/a other")
    revision = last_revision(filled)
    assert run(filled, "kdb restore all.ecf")[0] == 0
    assert last_revision(filled) == revision + 1
    before = dumped(filled, "/")
    filled.kill()
    filled.start()
    assert dumped(filled, "/") == before
    assert "in a file of its own" in (filled.user / "m.ecf").read_text()
    assert run(filled, "kdb restore all.ecf") == (
        0,
        "Nothing was changed: all is as in the backup\n",
        "",
    )
    assert len(kept(filled)) == 1


EDITED = "kdbOpen 2\n$key string 1 6\nx\nedited\n$key string 3 1\nnew\n1\n$end\n"
DECLARATIONS = 19


def backup_told(output: str, before: str) -> Path:
    """Return the path that follows these words on a line of its own."""
    (path,) = (line.removeprefix(before) for line in output.splitlines() if line.startswith(before))
    return Path(path)


@pytest.mark.parametrize("removal", ["kdb umount user:/m", "kdb reset -f", "kdb stash -f"])
def test_what_somebody_wrote_into_an_unmounted_file_is_saved_before_it_is_replaced(
    filled: DaemonProcess, removal: str
) -> None:
    before = dumped(filled, "/")
    run(filled, "kdb backup all.ecf")
    assert run(filled, removal)[0] == 0
    (filled.user / "m.ecf").write_text(EDITED)
    code, output, errors = run(filled, "kdb restore all.ecf")
    assert (code, errors) == (0, "")
    added = DECLARATIONS if "umount" in removal else 25
    assert output.splitlines()[0] == f"Restored: {added} added, 1 changed, 1 removed"
    assert dumped(filled, "/") == before
    assert run(filled, "kdb restore all.ecf")[1].startswith("Nothing was changed")
    # Both what was shown before and what the file held can be brought back.
    hidden = backup_told(output, "What was in files, but not shown, is in ")
    assert run(filled, f"kdb restore {hidden}")[0] == 0
    assert run(filled, "kdb get user:/m/x; kdb get user:/m/new")[1] == "edited\n1\n"
    shown = backup_told(output, "What was there before is in ")
    assert run(filled, f"kdb restore {shown}")[0] == 0
    assert run(filled, "kdb mount")[1] == ""
    assert "edited" in (filled.user / "m.ecf").read_text()


def test_what_a_mountpoint_hid_is_saved_before_it_is_replaced(filled: DaemonProcess) -> None:
    """Keys of the default file that come to light where the backup has no mountpoint."""
    run(filled, "kdb umount user:/m; kdb set user:/m/x default; kdb backup all.ecf")
    run(filled, "kdb set user:/m/x hidden; kdb set user:/m/y hidden; kdb mount m.ecf user:/m")
    code, output, errors = run(filled, "kdb restore all.ecf")
    assert (code, errors) == (0, "")
    added_changed_removed = f"0 added, 1 changed, {DECLARATIONS + 1} removed"
    assert output.splitlines()[0] == f"Restored: {added_changed_removed}"
    assert run(filled, "kdb ls user:/m; kdb get user:/m/x")[1] == "user:/m/x\ndefault\n"
    assert "in a file of its own" in (filled.user / "m.ecf").read_text()
    hidden = backup_told(output, "What was in files, but not shown, is in ")
    assert run(filled, f"kdb restore {hidden}")[0] == 0
    assert run(filled, "kdb get user:/m/x; kdb get user:/m/y")[1] == "hidden\nhidden\n"


def test_mountpoints_are_restored_in_a_commit_before_the_keys(filled: DaemonProcess) -> None:
    run(filled, "kdb backup all.ecf; kdb umount user:/m; kdb set user:/a other")
    revision = last_revision(filled)
    code, output, errors = run(filled, "kdb restore all.ecf")
    assert (code, errors) == (0, "")
    # What the file still held is neither changed nor saved again.
    assert output.splitlines()[0] == f"Restored: {DECLARATIONS + 1} added, 1 changed, 0 removed"
    assert len(kept(filled)) == 1
    assert last_revision(filled) == revision + 2


def test_a_damaged_file_of_a_mountpoint_stops_a_restore(filled: DaemonProcess) -> None:
    run(filled, "kdb backup all.ecf; kdb umount user:/m; kdb set user:/a other")
    before = dumped(filled, "/")
    (filled.user / "m.ecf").write_text("garbage\n")
    code, output, errors = run(filled, "kdb restore all.ecf")
    assert (code, output) == (5, "")
    assert "m.ecf:1: " in errors
    assert dumped(filled, "/") == before
    assert (filled.user / "m.ecf").read_text() == "garbage\n"


def test_where_only_the_mountpoints_could_be_restored_that_is_told(filled: DaemonProcess) -> None:
    """The file of a mountpoint may be read, but its directory not be written."""
    apart = filled.directory / "apart"
    apart.mkdir()
    run(filled, f"kdb mount {apart}/f.ecf user:/f; kdb set user:/f/x 1; kdb backup all.ecf")
    run(filled, "kdb umount user:/f; kdb set user:/a other")
    (apart / "f.ecf").write_text(EDITED)
    filled.stop()
    with MountNamespace() as namespace:
        namespace.mount_read_only(apart)
        filled.command = list(namespace.command())
        filled.start()
        code, output, errors = run(filled, "kdb restore all.ecf")
        assert (code, output) == (5, "")
        assert "C01100" in errors
        shown, hidden = kept(filled)
        assert "edited" in hidden.read_text()
        assert errors.startswith(
            f"What was there before is in {shown}\n"
            f"What was in files, but not shown, is in {hidden}\n"
            "The mountpoints are as in the backup; as to the keys:\n"
        )
        assert run(filled, "kdb get user:/f/x; kdb get user:/a")[1] == "edited\nother\n"
        assert run(filled, "kdb mount -1")[1] == "user:/f\nuser:/m\n"
        filled.stop()


def test_what_export_writes_of_all_namespaces_can_be_restored(filled: DaemonProcess) -> None:
    """But dir:/, which stays as it is: it belongs to the directory."""
    run(filled, "kdb export / dump all.ecf; kdb set user:/a other; kdb set dir:/d other")
    assert run(filled, "kdb restore all.ecf")[0] == 0
    assert run(filled, "kdb get user:/a; kdb get dir:/d")[1] == "\\x31\nother\n"


def test_reset_removes_everything_in_one_commit(filled: DaemonProcess) -> None:
    revision = last_revision(filled)
    assert run(filled, "kdb reset -f") == (0, "Keys removed: 26\n", "")
    assert last_revision(filled) == revision + 1
    assert run(filled, "kdb ls /; kdb mount")[1] == "dir:/d\n"
    assert run(filled, "kdb reset -f") == (0, "Keys removed: 0\n", "")
    assert not kept(filled)


@pytest.mark.parametrize("command", ["kdb reset", "kdb stash"])
def test_without_a_terminal_nothing_is_removed_unasked(filled: DaemonProcess, command: str) -> None:
    before = dumped(filled, "/")
    for given in (command, f"yes | {command}", f"{command} <&-"):
        code, output, errors = run(filled, given)
        assert (code, output) == (3, "")
        assert "with -f it is done without being asked" in errors
        assert errors.count("\n") == 1
    assert dumped(filled, "/") == before
    assert not kept(filled)


@pytest.mark.parametrize(
    ("answer", "code"), [("y", 0), ("YES", 0), ("", 3), ("n", 3), ("yesterday", 3), ("\x04", 3)]
)
def test_on_a_terminal_it_asks(filled: DaemonProcess, answer: str, code: int) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["kdb", "reset"],
        env=filled.client_environment,
        cwd=filled.work,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    with open(ours, "r+b", buffering=0) as terminal:
        asked = b""
        while not asked.endswith(b"[y/N] "):
            asked += terminal.read(1)
        assert asked == b"This will remove all keys (26) and all mountpoints. Go on? [y/N] "
        terminal.write(answer.encode() + (b"" if answer == "\x04" else b"\n"))
        assert process.wait(30) == code
    left = run(filled, "kdb ls user:/")[1]
    assert (left == "") == (code == 0)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda text: text.removesuffix("$end\n"), "the file is cut short: '$end' is missing"),
        (lambda text: text.removesuffix("\n2\n$end\n"), "the file is cut short: it ends within"),
        (lambda text: "", "the file is empty"),
        (
            lambda text: text.replace("kdbOpen 2", "kdbOpen 3"),
            "version '3' of the dump format",
        ),
        (lambda text: text.replace("user:/a", "usur:/a"), "this is no backup: 'usur:/a'"),
        (lambda text: "{}", "this is no dump file"),
    ],
)
def test_a_damaged_backup_changes_nothing(filled: DaemonProcess, damage: object, told: str) -> None:
    assert callable(damage)
    run(filled, "kdb backup b.ecf; kdb set user:/a other")
    before = dumped(filled, "/")
    backup = filled.work / "b.ecf"
    backup.write_text(damage(backup.read_text()))
    code, output, errors = run(filled, "kdb restore b.ecf")
    assert (code, output) == (5, "")
    assert re.search(rf"b\.ecf:\d+: {re.escape(told)}", errors), errors
    assert dumped(filled, "/") == before
    assert not kept(filled)


def test_clumsy_use_is_told_in_a_line(filled: DaemonProcess) -> None:
    before = dumped(filled, "/")
    for command, code, what in [
        ("kdb backup a b", 2, "0 or 1 argument needed"),
        ("kdb backup -l b", 2, "0 or 1 argument needed"),
        ("kdb backup /nowhere/b", 5, "/nowhere/b cannot be written: No such file"),
        ("kdb backup .", 5, ". is there already"),
        ("kdb backup -f .", 5, ". cannot be written: Is a directory"),
        ("XDG_DATA_HOME=/dev/null kdb backup", 5, "/dev/null/kdb/backups cannot be made"),
        ("XDG_DATA_HOME=/dev/null kdb stash -f", 5, "/dev/null/kdb/backups cannot be made"),
        ("kdb restore", 2, "kdb backup -l lists them"),
        ("kdb restore a b", 2, "kdb backup -l lists them"),
        ("kdb restore nowhere", 5, "there is no file and no backup nowhere"),
        ("kdb restore ''", 5, "there is no file and no backup"),
        ("kdb restore /nowhere/f", 5, "/nowhere/f cannot be read: No such file"),
        ("kdb restore .", 5, ". cannot be read: Is a directory"),
        (r"kdb restore $'\xff'", 5, "there is no file and no backup"),
        ("kdb stash a", 2, "no arguments needed"),
        ("kdb reset user:/a", 2, "no arguments needed"),
        ("kdb reset --hard", 1, "--hard"),
    ]:
        found = filled.run("bash", "-c", command, check=False, text=False)
        errors = found.stderr.decode(errors="replace")
        assert (found.returncode, found.stdout) == (code, b""), (command, errors)
        assert what in errors, (command, errors)
        assert "Traceback" not in errors
        assert dumped(filled, "/") == before, command
    run(filled, "echo mine > b")
    code, output, errors = run(filled, "kdb backup b")
    assert (code, output, (filled.work / "b").read_text()) == (5, "", "mine\n")
    assert run(filled, "kdb backup -f b")[0] == 0
    assert (filled.work / "b").stat().st_mode & 0o777 == 0o600


def test_without_kdbd_nothing_happens(filled: DaemonProcess) -> None:
    run(filled, "kdb backup b")
    filled.stop()
    for command in ("backup", "stash -f", "reset -f", "restore b"):
        code, output, errors = run(filled, f"kdb {command}")
        assert (code, output) == (5, "")
        assert errors.startswith("Sorry, no kdbd answers on the bus")
    assert not kept(filled)


def test_what_may_not_be_written_is_told_and_all_stays(filled: DaemonProcess) -> None:
    """A file that was damaged is neither lost nor written over: the backup is refused."""
    filled.stop()
    (filled.user / "m.ecf").write_text("garbage\n")
    filled.start()
    for command in ("backup", "stash -f", "reset -f"):
        code, output, errors = run(filled, f"kdb {command}")
        assert (code, output) == (5, "")
        assert "C03100" in errors
        assert "m.ecf:1: " in errors
    assert (filled.user / "m.ecf").read_text() == "garbage\n"
    assert run(filled, "kdb get system:/s")[1] == "2\n"
    assert not kept(filled)


def test_a_full_disk_leaves_no_half_backup_and_stops_a_stash(filled: DaemonProcess) -> None:
    value = b"v" * 4_000_000
    (filled.work / "big").write_bytes(b"kdbOpen 2\n$key string 0 4000000\n\n%b\n$end\n" % value)
    run(filled, "kdb import user:/big dump big; kdb backup all.ecf; kdb set user:/a other")
    before = dumped(filled, "/")
    with MountNamespace() as namespace:
        namespace.mount_tmpfs(filled.directory / "data")
        for arguments in (["backup"], ["stash", "-f"], ["restore", f"{filled.work}/all.ecf"]):
            command = namespace.command("kdb", *arguments)
            done = filled.run(*command, check=False)
            assert done.returncode == 5, arguments
            assert "No space left on device" in done.stderr
        backups = namespace.see(filled.directory / "data" / "kdb" / "backups")
        assert not list(backups.iterdir())
    assert dumped(filled, "/") == before


def test_a_backup_is_of_one_moment_while_others_write(filled: DaemonProcess) -> None:
    """Two keys are always set in one commit: no backup has one without the other."""
    script = (
        "import kdb, sys\n"
        "with kdb.KDB() as db:\n"
        "    ks = kdb.KeySet()\n"
        "    db.get(ks, 'user:/pair')\n"
        "    for number in range(400):\n"
        "        for side in ('left', 'right'):\n"
        "            ks.append(kdb.Key(f'user:/pair/{side}', str(number)))\n"
        "        db.set(ks, 'user:/pair')\n"
        "        print(number, flush=True)\n"
    )
    writing = subprocess.Popen(
        [sys.executable, "-c", script],
        env=filled.client_environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    seen = set()
    with writing:
        assert writing.stdout is not None
        writing.stdout.readline()
        for number in range(8):
            assert run(filled, f"kdb backup {number}.ecf")[0] == 0
            text = (filled.work / f"{number}.ecf").read_text()
            sides = dict(re.findall(r"user:/pair/(left|right)\n(\d+)\n", text))
            assert sides["left"] == sides["right"]
            seen.add(sides["left"])
        writing.stdout.read()
    assert writing.returncode == 0
    assert len(seen) > 1


def test_a_stash_removes_only_what_it_saved(filled: DaemonProcess) -> None:
    """Keys that others add while somebody thinks about the question stay."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["kdb", "stash"],
        env=filled.client_environment,
        cwd=filled.work,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    with open(ours, "r+b", buffering=0) as terminal:
        while terminal.read(1) != b"]":
            pass
        run(filled, "kdb set user:/new 1; kdb set user:/a other")
        terminal.write(b"y\n")
        told = b""
        while b"user:/a: base" not in told:
            told += terminal.read(1)
        assert process.wait(30) == 5
    assert process.stdout is not None
    process.stdout.close()
    assert b"C02000" in told
    assert not kept(filled)
    assert run(filled, "kdb ls user:/")[1].startswith("user:/\nuser:/a\n")


def test_what_could_not_be_restored_is_not_put_away(filled: DaemonProcess) -> None:
    """A key that is no UTF-8 comes from a file; kdbd keeps it, but takes no new one."""
    filled.stop()
    file = filled.user / "default.ecf"
    text = b"$key string 4 1\nodd\xff\nv\n$key string 4 1\node2\n\xff\n$end\n"
    file.write_bytes(file.read_bytes().removesuffix(b"$end\n") + text)
    filled.start()
    code, output, errors = run(filled, "kdb backup b.ecf")
    assert (code, output) == (0, "b.ecf\n")
    assert "Keys that are no UTF-8: 2, the first is" in errors
    assert b"odd\xff\nv\n" in (filled.work / "b.ecf").read_bytes()
    before = run(filled, "kdb ls user:/ | od -c")
    code, output, errors = run(filled, "kdb stash -f")
    assert (code, output) == (5, "")
    assert "is no UTF-8 and could not be restored" in errors
    # While they are there, they are no obstacle
    run(filled, "kdb set user:/new 1")
    assert run(filled, "kdb restore b.ecf")[0] == 0
    assert run(filled, "kdb ls user:/ | od -c") == before


def test_a_restore_that_is_refused_names_the_key_and_changes_nothing(
    filled: DaemonProcess,
) -> None:
    """A read-only store: what is there stays, and the backup of it is told."""
    run(filled, "kdb backup b.ecf; kdb set system:/s other; kdb set user:/a other")
    before = dumped(filled, "/")
    filled.stop()
    with MountNamespace() as namespace:
        namespace.mount_read_only(filled.system)
        filled.command = list(namespace.command())
        filled.start()
        code, output, errors = run(filled, "kdb restore b.ecf")
        assert (code, output) == (5, "")
        assert "C01100" in errors
        (saved,) = kept(filled)
        assert f"What was there before is in {saved}\n" in errors
        assert dumped(filled, "/") == before
        filled.stop()


@pytest.mark.parametrize("command", ["reset", "stash"])
def test_what_is_read_only_for_kdbd_stays_and_is_told(filled: DaemonProcess, command: str) -> None:
    """As of an ordinary user, where a vendor's package has put keys."""
    before = dumped(filled, "/")
    filled.stop()
    with MountNamespace() as namespace:
        namespace.mount_read_only(filled.system)
        namespace.mount_read_only(filled.spec)
        filled.command = list(namespace.command())
        filled.start()
        code, output, errors = run(filled, f"kdb {command} -f")
        assert code == 0
        assert errors == (
            "spec:/ is read-only for this kdbd, so its keys (1) stay\n"
            "system:/ is read-only for this kdbd, so its keys (20) and all mountpoints stay\n"
        )
        left = run(filled, "kdb ls user:/; kdb mount -1; kdb get system:/s; kdb ls spec:/")[1]
        assert left == "user:/m\n2\nspec:/sw/limit\n"
        if command == "stash":
            (file,) = kept(filled)
            assert output == f"{file}\n"
            assert run(filled, f"kdb restore {file}")[0] == 0
            assert dumped(filled, "/") == before
        else:
            assert output == "Keys removed: 5\n"
        filled.stop()


def test_a_stash_that_is_refused_leaves_no_file(filled: DaemonProcess) -> None:
    apart = filled.directory / "apart"
    apart.mkdir()
    run(filled, f"kdb umount user:/m; kdb mount {apart}/f.ecf user:/f; kdb set user:/f/x 1")
    before = dumped(filled, "/")
    filled.stop()
    with MountNamespace() as namespace:
        for each in (filled.system, apart):
            namespace.mount_read_only(each)
        filled.command = list(namespace.command())
        filled.start()
        code, output, errors = run(filled, "kdb stash -f")
        assert (code, output) == (5, "")
        assert f"{apart}/f.ecf cannot be written" in errors
        assert "Nothing was stored" in errors
        assert "saved in" not in errors
        assert dumped(filled, "/") == before
        assert not kept(filled)
        filled.stop()


def test_a_stash_without_an_answer_keeps_its_file(filled: DaemonProcess) -> None:
    """The keys may be gone: what was saved is all that is left of them then."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["kdb", "stash"],
        env=filled.client_environment,
        cwd=filled.work,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    with open(ours, "r+b", buffering=0) as terminal:
        while terminal.read(1) != b"]":
            pass
        filled.kill()
        terminal.write(b"y\n")
        output, _ = process.communicate(timeout=30)
        told = os.read(terminal.fileno(), 1 << 16)
    assert (process.returncode, output) == (5, b"")
    (saved,) = kept(filled)
    assert f"The keys may be gone. Everything was saved in {saved}\r\n".encode() in told
    assert "in a file of its own" in saved.read_text()
