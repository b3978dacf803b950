"""The kdb command, as its own process, against a real kdbd: what the transcripts lack."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from process_state import wait_until_it_asks
from transcripts import KDB, run

from kdb.cli.commands import COMMANDS


def test_a_mount_in_place_of_another_keeps_that_where_it_is_refused(kdbd):
    run(kdbd, "kdb mount a.ecf user:/m; kdb set user:/m/k 1")
    code, _, errors = run(kdbd, "kdb mount -f ../bad.ecf user:/m")
    assert code == 5, errors
    assert run(kdbd, "kdb mount; kdb get user:/m/k") == (0, "a.ecf on user:/m\n1\n", "")
    assert run(kdbd, "kdb mount -f b.ecf user:/m") == (0, "", "")
    assert run(kdbd, "kdb mount; kdb get user:/m/k")[:2] == (11, "b.ecf on user:/m\n\n")
    assert run(kdbd, "kdb mount -f a.ecf user:/m; kdb get user:/m/k") == (0, "1\n", "")


def test_of_two_mountpoints_in_one_place_both_are_named(kdbd):
    assert run(kdbd, "kdb mount u.ecf user:/")[0] == 0
    code, output, errors = run(kdbd, "kdb mount all.ecf /")
    assert (code, output) == (5, "")
    assert (
        "/ and user:/ cannot both be mounted: both would be at user:/. Unmount the one that is"
        " there first, or mount elsewhere\n"
    ) in errors
    assert run(kdbd, "kdb mount") == (0, "u.ecf on user:/\n", "")


def test_a_mountpoint_may_announce_once(kdbd):
    assert run(kdbd, "kdb mount m.ecf user:/m dump dbus announce=once") == (0, "", "")
    assert run(kdbd, "kdb mount -3") == (0, "m.ecf on user:/m\n", "")
    code, output, errors = run(kdbd, "kdb mount n.ecf user:/n dump colour=red")
    assert (code, output) == (5, "")
    assert "colour" in errors


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        ("kdb --version", 0, "KDB_VERSION: 0.11.0\nSO_VERSION: 5\n"),
        ("kdb -V", 0, "KDB_VERSION: 0.11.0\nSO_VERSION: 5\n"),
        ("kdb get -V", 0, "KDB_VERSION: 0.11.0\nSO_VERSION: 5\n"),
        ("kdb get --version x y z", 0, "KDB_VERSION: 0.11.0\nSO_VERSION: 5\n"),
        ("kdb get -C never user:/x", 0, "1\n"),
        ("kdb get -C always user:/none", 11, "\n"),
        ("kdb get -C sometimes user:/x", 1, ""),
        ("kdb get -p prof user:/x", 0, "1\n"),
        ("kdb umount -q user:/x", 1, ""),
        ("kdb umount ''", 2, ""),
        ("kdb mount f ''", 2, ""),
        ("kdb rm --nope user:/x", 1, ""),
    ],
)
def test_what_every_command_takes(kdbd, command, code, output):
    run(kdbd, "kdb set user:/x 1")
    assert run(kdbd, command)[:2] == (code, output)


@pytest.mark.parametrize("command", ["kdb", "kdb --help", "kdb -H", "kdb help"])
def test_the_commands_are_listed(bus, kdbd, command):
    code, output, errors = run(kdbd, command)
    assert (code, errors) == (0, "")
    assert all(f"\n  {name} " in output for name in COMMANDS)
    assert all(len(line) <= 80 for line in output.splitlines())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_what_it_does(kdbd, name):
    code, output, errors = run(kdbd, f"kdb {name} --help")
    assert (code, errors) == (0, "")
    assert output.startswith(f"Usage: kdb {name}")
    assert COMMANDS[name][1] in output
    assert all(len(line) <= 80 for line in output.splitlines())
    assert run(kdbd, f"kdb help {name}") == (0, output, "")


def test_an_unknown_command_exits_4(kdbd):
    code, output, errors = run(kdbd, "kdb nosuchcommand")
    assert code == 4
    assert output.startswith("Usage: kdb COMMAND")
    assert run(kdbd, "kdb help nosuchcommand") == (4, "", errors)
    assert errors == "The command kdb nosuchcommand is not known\n"


def test_binary_values_are_printed_in_hexadecimal(kdbd):
    kdbd.run(
        "busctl", f"--address={kdbd.bus.address}", "call", "org.libelektra.KDB1",
        "/org/libelektra/KDB1", "org.libelektra.KDB1", "Set", "saya{ss}", "user:/b", "3", "49",
        "0", "255", "1", "binary", "",
    )  # fmt: skip
    assert run(kdbd, "kdb get user:/b") == (0, r"\x31\x0\xff" + "\n", "")
    assert run(kdbd, "kdb get -v user:/b")[1].splitlines()[-2:] == [
        "The resulting value size is 3",
        r"\x31\x0\xff",
    ]


def test_a_look_up_is_told_step_by_step(kdbd):
    kdbd.run(
        "busctl", f"--address={kdbd.bus.address}", "call", "org.libelektra.KDB1",
        "/org/libelektra/KDB1", "org.libelektra.KDB1", "SetMeta", "sss", "spec:/sw/k", "default",
        "7",
    )  # fmt: skip
    code, output, _ = run(kdbd, "kdb get -v /sw/k")
    assert (code, output.splitlines()) == (
        0,
        [
            "got 2 keys",
            "searching spec:/sw/k, found: spec:/sw/k, options: KDB_O_CALLBACK",
            "The key was not found in any other namespace, taking the default",
            "The resulting keyname is default:/sw/k",
            "The resulting value size is 2",
            "7",
        ],
    )
    assert run(kdbd, "kdb set /sw/k 8")[0] == 12


def test_without_elektra_only_the_applications_keys_go(kdbd):
    for name in ("system:/a", "system:/elektra/x", "system:/elektra", "system:/elektrax"):
        run(kdbd, f"kdb set {name} 1")
    assert run(kdbd, "kdb rm -rE system:/") == (0, "", "")
    assert run(kdbd, "kdb ls system:/")[1] == "system:/elektra\nsystem:/elektra/x\n"


def test_dir_is_that_of_the_working_directory(kdbd):
    command = "mkdir -p a b; cd a; kdb set dir:/x here; kdb get /x; cd ../b; kdb get dir:/x"
    code, output, errors = run(kdbd, command)
    assert (code, output) == (11, 'Create a new key dir:/x with string "here"\nhere\n\n')
    assert errors == "Did not find key 'dir:/x'"


def test_a_removed_working_directory_holds_no_keys(kdbd):
    run(kdbd, "kdb set user:/x 1")
    assert run(kdbd, "mkdir gone; cd gone; rmdir ../gone; kdb get /x") == (0, "1\n", "")


@pytest.mark.parametrize("name", [b"user:/\xff", b"/\xff"])
def test_arguments_that_are_no_utf8_exit_7(kdbd, name):
    done = kdbd.run(str(KDB), "get", os.fsdecode(name), check=False)
    assert (done.returncode, done.stdout) == (7, "")
    assert "UTF-8" in done.stderr


def test_values_that_are_no_utf8_are_printed_as_they_are(kdbd):
    kdbd.stop()
    kdbd.user.mkdir(exist_ok=True)
    (kdbd.user / "default.ecf").write_bytes(b"kdbOpen 2\n$key string 1 1\na\n\xff\n$end\n")
    kdbd.start()
    done = kdbd.run(str(KDB), "get", "user:/a", text=False)
    assert done.stdout == b"\xff\n"


def test_the_whole_mount_point_is_counted(kdbd):
    for name in ("user:/a", "user:/b/c"):
        run(kdbd, f"kdb set {name} 1")
    for name, count in (("user:/", 2), ("/b", 1), ("user:/b", 1)):
        assert run(kdbd, f"kdb ls -v {name}")[1].splitlines()[:2] == [
            "size of all keys in mount point: 2",
            f"size of requested keys: {count}",
        ]


def test_a_damaged_file_is_an_error_of_every_command(kdbd):
    kdbd.user.mkdir(exist_ok=True)
    (kdbd.user / "default.ecf").write_text("garbage\n")
    for command in ("get user:/a", "get -v /a", "set user:/a 1", "ls user:/", "rm user:/a"):
        code, _, errors = run(kdbd, f"kdb {command}")
        assert code == 5, command
        assert "C03100" in errors
    assert (kdbd.user / "default.ecf").read_text() == "garbage\n"


@pytest.mark.parametrize("mountpoint", ["nowhere", "user:/a//", r"'user:/\'"])
def test_a_mountpoint_is_a_valid_name(kdbd, mountpoint):
    code, output, errors = run(kdbd, f"kdb mount f {mountpoint}")
    expected = 0 if mountpoint == "user:/a//" else 7
    assert (code, output) == (expected, ""), errors


def test_a_large_value_and_a_long_listing_come_whole(kdbd):
    value = "v" * 100_000
    assert run(kdbd, f"kdb set user:/big {value}")[0] == 0
    assert run(kdbd, "kdb get user:/big") == (0, value + "\n", "")
    names = [f"user:/many/{number:05}" for number in range(12_000)]
    store(kdbd, names)
    assert run(kdbd, "kdb ls user:/many") == (0, "".join(f"{name}\n" for name in names), "")


def store(kdbd, names):
    script = (
        "import sys, kdb\n"
        "ks = kdb.KeySet()\n"
        "with kdb.KDB() as db:\n"
        "    db.get(ks, 'user:/')\n"
        "    ks.extend(sys.stdin.read().split())\n"
        "    db.set(ks, 'user:/')\n"
    )
    kdbd.run(sys.executable, "-c", script, input="\n".join(names))


def test_an_error_of_the_database_exits_5_and_has_its_number(kdbd):
    code, output, errors = run(kdbd, "kdb set proc:/a 1")
    assert (code, output) == (5, "")
    assert errors.startswith("Sorry, module kdbd issued the error C01320:\nInterface: proc:/a")


def test_a_closed_pipe_is_quiet(kdbd):
    store(kdbd, [f"user:/many/{number:05}" for number in range(12_000)])
    code, output, errors = run(kdbd, "set -o pipefail; kdb ls user:/ | head -1")
    assert (code, output, errors) == (128 + signal.SIGPIPE, "user:/many/00000\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_an_error(kdbd):
    run(kdbd, "kdb set user:/a 1")
    for command in ("kdb get user:/a", "kdb", "kdb --help", "kdb --version", "kdb get --help"):
        code, _, errors = run(kdbd, f"{command} > /dev/full")
        assert (code, errors) == (5, "kdb: cannot write: No space left on device\n"), command


def test_on_a_terminal_every_message_ends_its_line(kdbd):
    with pexpect.spawn(str(KDB), ["get", "user:/none"], env=kdbd.client_environment) as terminal:
        terminal.expect_exact("Did not find key 'user:/none'\r\n")


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_what_is_stored_is_utf8_whatever_the_locale(kdbd, locale):
    environment = kdbd.client_environment | {
        "LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0",
    }  # fmt: skip
    for _ in range(2):
        done = kdbd.run(
            "bash", "-c", 'kdb set -q user:/ä "$(kdb sget user:/ä grün😀)"', env=environment
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert run(kdbd, "kdb get user:/ä") == (0, "grün😀\n", "")
    script = (
        "kdb export user:/ json grün.json; kdb import user:/b json grün.json; kdb get user:/b/ä"
    )
    assert kdbd.run("bash", "-c", script, env=environment).stdout == "grün😀\n"
    assert (kdbd.work / "grün.json").exists()


def test_a_kdbd_that_ends_meanwhile_may_have_done_it(kdbd):
    run(kdbd, "kdb set user:/a 1")
    os.kill(kdbd.pid, signal.SIGSTOP)
    asking = subprocess.Popen(
        [KDB, "set", "user:/a", "2"],
        env=kdbd.client_environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until_it_asks(asking.pid)
    os.kill(kdbd.pid, signal.SIGKILL)
    output, errors = asking.communicate()
    assert (asking.returncode, output) == (5, "")
    assert "kdbd ended before it answered; what was asked may be done" in errors


def test_an_override_and_a_fallback_are_told_step_by_step(kdbd):
    run(kdbd, "kdb meta-set spec:/s/k 'override/#0' /s/over; kdb set user:/s/over 1")
    told = run(kdbd, "kdb get -v /s/k")[1].splitlines()
    assert "    searching user:/s/over, found: user:/s/over" in told
    assert told[-3:] == [
        "The resulting keyname is user:/s/over",
        "The resulting value size is 2",
        "1",
    ]


def test_a_value_beyond_one_reply_is_looked_up_too(kdbd):
    value = "v" * 10_000_000
    kdbd.run("bash", "-c", "kdb import user:/big json", input=f'"{value}"')
    told = run(kdbd, "kdb get -v /big")[1].splitlines()
    assert told[-2:] == ["The resulting value size is 10000001", value]


def test_closed_standard_files_are_not_taken_for_the_bus(kdbd):
    run(kdbd, "kdb set user:/a 1")
    assert run(kdbd, "kdb get user:/a <&- >&- 2>&-") == (0, "", "")
    assert run(kdbd, "kdb get user:/a <&- 2>&-") == (0, "1\n", "")


def environment(address):
    kept = {name: text for name, text in os.environ.items() if name != "XDG_RUNTIME_DIR"}
    return kept | {"DBUS_SESSION_BUS_ADDRESS": address}


@pytest.mark.parametrize(
    "address",
    ["", "unix:path=/nowhere/bus", "unix:abstract=nowhere", "tcp:host=localhost,port=1", "bus"],
)
def test_without_a_bus_one_line_says_how_to_start_kdbd(address):
    done = subprocess.run(
        [KDB, "get", "user:/x"], env=environment(address), capture_output=True, text=True
    )
    said(done)


def test_without_kdbd_one_line_says_how_to_start_it(bus):
    for arguments in (["get", "/x"], ["set", "user:/x", "1"], ["ls", "/"], ["mount"]):
        said(
            subprocess.run(
                [KDB, *arguments], env=environment(bus.address), capture_output=True, text=True
            )
        )


def said(done):
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.startswith("Sorry, no kdbd answers on the bus")
    assert "systemctl --user start kdbd" in done.stderr
    assert done.stderr.count("\n") == 1


def test_ctrl_c_is_quiet(kdbd):
    kdbd.bus.suspend()
    try:
        process = subprocess.Popen(
            [KDB, "get", "user:/x"],
            env=kdbd.client_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        wait_until_it_asks(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.communicate() == (b"", b"")
        assert process.returncode == -signal.SIGINT
    finally:
        kdbd.bus.resume()


def test_nothing_heavy_is_imported(kdbd):
    run(kdbd, "kdb set user:/x 1")
    done = kdbd.run(sys.executable, "-X", "importtime", "-m", "kdb.cli", "get", "user:/x")
    assert done.stdout == "1\n"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    plain = kdbd.run(
        sys.executable, "-X", "importtime", "-c", "import __future__, _socket, runpy, struct"
    )
    allowed = {line.rpartition("|")[2].strip() for line in plain.stderr.splitlines()}
    assert {name for name in imported - allowed if not name.startswith("kdb")} == set()
    assert {name for name in imported if name.startswith("kdb.model")} == set()
