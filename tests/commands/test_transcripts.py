"""libelektra's transcripts, run with our kdb, and by name what of them is left out."""

import re
import shlex
from pathlib import Path

import pytest
from transcripts import check, command_of, run, steps

from kdb.cli.commands import COMMANDS
from kdb.formats import dump
from kdb.model.names import escape, parts, unescape

PLUGINS = {"dump", "resolver", "sync", "dbus"}
MODULES = re.compile(r"system:/elektra/.*\n")
# By transcript, the commands that it has and kdb has not.
LEFT_OUT = {
    "general": {
        "cache", "convert", "list-tools", "plugin-check", "plugin-info", "plugin-list", "validate",
    },
    "merge": {"cmerge", "merge"},
}  # fmt: skip
# A page that each program writes for itself; its exit code is compared.
PAGES = {"kdb", "kdb nosuchcommand", "kdb -p prof get user:/x", "kdb meta-set user:/t/a mtime 123"}
LISTS = {"kdb list-commands"}
RECORDING = {"kdb file user:/elektra/record/session"}


WHOLE = "cp find get ls meta mv nameparts proc_crash rm set spec_default"


@pytest.mark.parametrize("name", WHOLE.split())
def test_the_transcript_holds(kdbd, name):
    left_out = set()
    for step in steps(name):
        if command_of(step) not in COMMANDS:
            left_out.add(command_of(step))
        elif step["cmd"] in PAGES:
            check_page(kdbd, step)
        elif name == "find" and "-v" in step["cmd"]:
            # libelektra counts the keys that describe its plugins; here are the eight stored.
            check(kdbd, step | {"stdout": step["stdout"].replace(" 138\n", " 8\n")})
        else:
            check(kdbd, step)
    assert left_out == LEFT_OUT.get(name, set()) - set(COMMANDS)


def test_the_transcript_of_completing_holds_but_for_the_keys_of_plugins(kdbd):
    """Kdbd has none of libelektra's plugins, so it has no keys that describe them."""
    shortened = 0
    for step in steps("complete"):
        output = MODULES.sub("", step["stdout"])
        shortened += output != step["stdout"]
        if step["exit"] == 2 and "EOF" in step["stderr"]:
            assert run(kdbd, step["cmd"])[0] == 2  # the shell's own
            continue
        check(kdbd, step | {"stdout": output})
    assert shortened == 3


def test_the_transcript_of_files_holds(kdbd):
    """The session that is recorded has no file yet: recordings come with the recording."""
    left_out = [step["cmd"] for step in steps("file") if step["cmd"] in RECORDING]
    for step in steps("file"):
        if step["cmd"] not in RECORDING:
            check(kdbd, step)
    assert left_out == ["kdb file user:/elektra/record/session"]


@pytest.mark.parametrize("name", ["general", "merge"])
def test_the_transcript_holds_for_the_commands_that_there_are(kdbd, name):
    left_out = set()
    for step in steps(name):
        command = command_of(step)
        if step["cmd"] in PAGES:
            check_page(kdbd, step)
        elif step["cmd"] in LISTS:
            listed = "".join(f"{each}\n" for each in COMMANDS)
            assert run(kdbd, step["cmd"]) == (0, listed, "")
        elif command in COMMANDS or not command:
            # What a merge made cannot be listed without it.
            if not re.search("user:/c?res", step["cmd"]):
                check(kdbd, step)
        else:
            left_out.add(command)
    assert left_out == LEFT_OUT[name]


def check_page(kdbd, step):
    code, output, errors = run(kdbd, step["cmd"])
    assert (code, bool(errors)) == (step["exit"], bool(step["stderr"])), step["cmd"]
    assert output.startswith("Usage: kdb ")


def test_the_transcript_of_mounting_holds_for_files_in_the_dump_format(kdbd):
    """Plugins that kdbd has none of exit with 7; what the transcript does in them is left out."""
    foreign = {}
    for step in steps("mount"):
        words = shlex.split(step["cmd"].partition("|")[0])
        if words[:2] == ["kdb", "mount"] and step["exit"] == 0:
            others = [word for word in words[2:] if not word.startswith("-")]
            if set(others[2:]) - PLUGINS or "noresolver" in others:
                path, mountpoint = [word for word in others if word != "noresolver"][:2]
                foreign[mountpoint] = path
                check(kdbd, step | {"exit": 7, "stdout": "", "stderr": "no such plugin"})
                continue
        if words[0] not in ("kdb", "cat") or (words[0] == "kdb" and words[1] not in COMMANDS):
            continue
        if any(concerns(step["cmd"], mountpoint) for mountpoint in foreign):
            continue
        if words[0] == "cat":
            # The file of a mountpoint is written before its set is answered.
            for path in words[1:]:
                if Path(path).name not in foreign.values():
                    assert run(kdbd, f"cat {path}")[1] == step["stdout"].partition("{")[0]
            continue
        if words[1] == "export":
            held = declarations(step["stdout"], foreign)
            assert declarations(run(kdbd, step["cmd"])[1], foreign) == held != {}
            continue
        if words[1] == "mount" and len(words) < 4:
            step |= {"stdout": without(step["stdout"], {**foreign, "user:/x": "e.ecf"})}
            if "od" in step["cmd"]:
                step |= {"cmd": step["cmd"].partition("|")[0], "stdout": "t.ecf on user:/m\0"}
        check(kdbd, step)


def declarations(text, foreign):
    """Return what declares the mountpoints that are not foreign, by name."""
    root = unescape("system:/elektra/mountpoints")
    held = dict(dump.read(text.encode(), root, "standard output"))
    ours = {part for name in held if (part := parts(name)[2]) not in foreign}
    return {escape(n): content.value for n, content in held.items() if parts(n)[2] in ours}


def concerns(command, mountpoint):
    return re.search(rf"{re.escape(mountpoint)}(/|'|\s|$)", command) is not None


def without(listing, foreign):
    """Return a listing without what is not mounted here."""
    gone = {f"{path} on {mountpoint}" for mountpoint, path in foreign.items()}
    gone |= set(foreign) | set(foreign.values())
    return "".join(line for line in listing.splitlines(True) if line.rstrip("\n") not in gone)
