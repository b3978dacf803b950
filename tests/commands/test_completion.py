"""Completion in the real shells: what TAB makes of a line is what the command then gets."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from daemon_process import DaemonProcess

pytestmark = pytest.mark.needs("bash", "fish", "zsh")

# tests/unit/cli measures what these shells ask kdb for.
IS_MEASURED = False

SCRIPTS = Path(__file__).resolve().parents[2] / "completions"
SHELLS = ("bash", "fish", "zsh")
# By the beginning that is typed: the last part of a name, in its escaped form.
PARTS = {
    "a": "a plain",
    "b": "b'single",
    "c": 'c"double',
    "d": "d\\\\backslash",
    "e": "e\\/slash",
    "f": "f:colon",
    "g": "g$dollar",
    "h": "h*star?",
    "i": "i(paren)[bracket]{brace}",
    "j": "j;semicolon&ampersand|pipe",
    "k": "k=equals@at",
    "l": "l~tilde^caret!bang",
    "m": "m<less>more`tick",
    "n": "nä😀",
    "o": "o#hash",
    "p": "p  two spaces",
    "#": "#0",
}


class Shell:
    """A shell with a terminal of its own, in the work directory, with the completion loaded."""

    def __init__(self, kdbd: DaemonProcess, name: str) -> None:
        self.name = name
        command, *arguments = {
            "bash": ["bash", "--noprofile", "--norc", "-i"],
            "fish": ["fish", "--no-config", "-i"],
            "zsh": ["zsh", "-f", "-i"],
        }[name]
        self.terminal = pexpect.spawn(
            command,
            arguments,
            env=kdbd.client_environment | {"TERM": "dumb", "LC_ALL": "C.UTF-8", "PS1": "$ "},
            cwd=str(kdbd.work),
            encoding="utf-8",
            timeout=30,
            dimensions=(50, 200),
        )
        self.terminal.delaybeforesend = None
        self.terminal.logfile_read = sys.stdout  # pytest shows it with a test that failed
        for line in {
            "bash": [f"source {SCRIPTS}/kdb.bash", "set +o histexpand"],
            "fish": [f"source {SCRIPTS}/kdb.fish"],
            "zsh": [f"fpath=({SCRIPTS} $fpath)", "autoload -U compinit", "compinit -u -D"],
        }[name]:
            self.terminal.sendline(line)
        self.terminal.sendline("echo rea''dy")
        self.terminal.expect("ready\r\n")

    def type(self, keys: str) -> None:
        """Type keys as a person does; a tab completes, a carriage return ends the line."""
        self.terminal.send(keys)

    def expect(self, text: str) -> None:
        """Wait until the terminal shows a text."""
        self.terminal.expect_exact(text)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest, kdbd: DaemonProcess) -> Iterator[Shell]:
    """Run each shell on a store with names that need quotes."""
    script = (
        "import sys, kdb\n"
        "with kdb.KDB() as db:\n"
        "    ks = kdb.KeySet()\n"
        "    db.get(ks, 'user:/')\n"
        "    for name in sys.argv[1:]:\n"
        "        ks.append(kdb.Key(name, f'the value of {name}'))\n"
        "    db.set(ks, 'user:/')\n"
    )
    names = [f"user:/t/{part}" for part in PARTS.values()]
    kdbd.run(sys.executable, "-c", script, *names, "user:/deep/er/key", "user:/deep/er")
    kdbd.run("kdb", "meta-set", "user:/deep/er/key", "check/range", "1-9")
    kdbd.run("kdb", "mount", "m.ecf", "system:/mounted")
    (kdbd.work / "a file.ecf").touch()
    made = Shell(kdbd, request.param)
    yield made
    made.terminal.close(force=True)


@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_every_name_is_completed_so_that_kdb_gets_it(shell: Shell, quote: str) -> None:
    for begun, part in PARTS.items():
        shell.type(f"kdb get {quote}user:/t/{begun}\t\r")
        shell.expect(f"the value of user:/t/{part}\r\n")


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("kdb namesp\tuser:/x\r", "user:\r\n"),
        ("kdb help namesp\t\r", "Usage: kdb namespace"),
        ("kdb get --no-n\t--json user:/deep/er/key\r", '"name": "user:/deep/er/key"'),
        ("kdb get --co\tnev\tuser:/deep/er/key\r", "the value of user:/deep/er/key\r\n"),
        ("kdb get -C nev\tuser:/deep/er/key\r", "the value of user:/deep/er/key\r\n"),
        ("kdb get us\tdeep/er/k\t\r", "the value of user:/deep/er/key\r\n"),
        ("kdb get user:/de\ter/k\t\r", "the value of user:/deep/er/key\r\n"),
        ("kdb get /deep/er/k\t\r", "the value of user:/deep/er/key\r\n"),
        ("kdb get -- user://deep/./er/k\t\r", "the value of user:/deep/er/key\r\n"),
        ("kdb meta-get user:/deep/er/key ch\t\r", "1-9\r\n"),
        ("kdb umount system:/mo\t && echo un''mounted\r", "unmounted\r\n"),
        ("kdb mount a\tuser:/m && kdb mount -2\r", "a file.ecf\r\n"),
        ("kdb restore a\t 2>&1 | cat\r", "a file.ecf"),
        ("kdb import -s the\tuser:/i dump < /dev/null && echo im''ported\r", "imported\r\n"),
    ],
)
def test_each_argument_is_completed_by_what_it_is(shell: Shell, keys: str, shown: str) -> None:
    shell.type(keys)
    shell.expect(shown)


def test_what_there_is_is_listed(shell: Shell) -> None:
    # bash puts in what all have in common, rings, and then lists. fish lists in a menu, which a
    # terminal without cursor movement cannot show, and so is asked what it would list.
    keys = {
        "bash": "kdb meta-s\t\t\t",
        "fish": "complete --do-complete 'kdb meta-s'\r",
        "zsh": "kdb meta-s\t\t",
    }
    shell.type(keys[shell.name])
    shell.expect("meta-set")
    shell.expect("meta-show")


def test_without_kdbd_nothing_is_suggested_and_nothing_said(
    shell: Shell, kdbd: DaemonProcess
) -> None:
    kdbd.stop()
    shell.type("kdb get user:/deep/e\t; echo sa''me\r")
    shell.expect("same\r\n")
    assert "Sorry, no kdbd" in (shell.terminal.before or "")
