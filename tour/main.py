"""A tour through kdbd's main job, on a private session bus and a scratch store.

Each step shows the command and what it really printed, and fails loudly when that is not what the
step is about. On a terminal the tour then stays up, so that another terminal can join in; Ctrl-C
ends it. Otherwise it ends with status 0. Nothing outside a temporary directory is touched.
"""

import shlex
import sys
import tempfile
from pathlib import Path
from typing import Final

from stage import Lines, NotAsExpected, Stage

__all__ = ["main"]

RULE: Final = "type='signal',interface='org.libelektra'"

PROGRAM: Final = """\
import kdb

with kdb.KDB() as db:
    a, b = kdb.KeySet(), kdb.KeySet()
    db.get(a, "user:/a")                       # (A)
    db.get(b, "user:/b")                       # (B)
    a.append(kdb.Key("user:/a/test", "hi"))
    db.set(a, "user:/a")                       # (C)
"""
"""The program of the decision about operation sequences, in Python."""


FENCE: Final = "system:/elektra/tour"
QUOTE: Final = '"'
FILE: Final = """\
kdbOpen 2
$key string 10 1
brightness
1
$key string 10 1
saturation
1
$key string 4 2
test
hi
$end
"""


class Tour:
    """The steps, on a stage where the bus, kdbd and dbus-monitor run."""

    def __init__(self, stage: Stage, log: Lines, monitor: Lines) -> None:
        self._stage = stage
        self._log = log
        self._monitor = monitor
        self._logged = len(log)
        self._seen = len(monitor)
        self._fences = 0

    def signals(self) -> None:
        """Set, read, change and remove a key, and see each change announced."""
        title("Keys are set and read; dbus-monitor shows what changed")
        key = "user:/sw/org/tour/colour"
        say("dbus-monitor runs beside, as you could start it in another terminal:")
        show_command("dbus-monitor", "--session", RULE)
        self.kdb("set", key, "blue", prints=f'Create a new key {key} with string "blue"')
        self.expect_signals(f"KeyAdded {key}")
        self.kdb("get", key, prints="blue")
        say("A name without a namespace is looked up: proc, dir, user, system, default.")
        self.kdb("get", key.removeprefix("user:"), prints="blue")
        self.kdb("set", key, "green", prints='Set string to "green"')
        self.expect_signals(f"KeyChanged {key}")
        say("Setting what is already there changes nothing, so nothing is announced.")
        self.kdb("set", key, "green", prints='Set string to "green"')
        self.expect_signals()
        self.kdb("rm", key, prints="")
        self.expect_signals(f"KeyDeleted {key}")

    def sequence(self) -> None:
        """Play the example of the decision about operation sequences, setup included."""
        title("Get a, get b, change a, set a: one signal, one log line")
        say("libelektra's plugins announced five changes here, four of them wrong: they compared")
        say("a with what was got last, b. kdbd compares with what the store holds. The setup:")
        hook = "system:/elektra/hook/notification/send/plugins"
        for number, plugin in enumerate(("dbus", "logchange")):
            name = f"{hook}/#{number}"
            self.kdb("set", name, plugin, prints=f'Create a new key {name} with string "{plugin}"')
        for part in ("a", "b"):
            self.kdb("mount", f"{part}.ecf", f"user:/{part}", prints="")
        self.kdb("mount", prints="a.ecf on user:/a\nb.ecf on user:/b")
        for name in ("a/brightness", "a/saturation", "b/foreground", "b/background"):
            key = f"user:/{name}"
            self.kdb("set", key, "1", prints=f'Create a new key {key} with string "1"')
        self.skip_signals()
        say("Now the program:")
        (self._stage.root / "program.py").write_text(PROGRAM, encoding="utf-8")
        self.run("cat", "program.py", prints=PROGRAM.rstrip("\n"))
        self.run("python3", "program.py", prints="")
        say("dbus-monitor:")
        self.expect_signals("KeyAdded user:/a/test")
        say("the log of kdbd, made by the hook logchange:")
        self.expect_logged("added key: user:/a/test")
        self.kdb("get", "user:/a/test", prints="hi")
        say("The mountpoint's file holds it; kdbd wrote it before it answered:")
        self.run("cat", "user/a.ecf", prints=FILE.rstrip("\n"))

    def kdb(self, *arguments: str, prints: str) -> None:
        """Run a kdb command, which must end well and print `prints`."""
        self.run("kdb", *arguments, prints=prints)

    def run(self, *command: str, prints: str) -> None:
        """Run a command, which must end well and print `prints`."""
        show_command(*command)
        status, output = self._stage.run(*command)
        show_lines(output.splitlines())
        if status != 0:
            raise NotAsExpected(f"the command ended with status {status}, expected 0")
        if output.rstrip("\n") != prints:
            raise NotAsExpected(f"the command was expected to print {prints!r}")

    def expect_signals(self, *expected: str) -> None:
        """Show the signals that came since the last time; they must be `expected`."""
        lines = self._signal_lines()
        show_lines(lines or ["(no signal)"])
        found = [
            f"{signal.rpartition('member=')[2]} {text.strip().removeprefix('string ').strip(QUOTE)}"
            for signal, text in zip(lines[::2], lines[1::2], strict=True)
        ]
        if found != list(expected):
            raise NotAsExpected(f"the signals are {found}, expected {list(expected)}")

    def skip_signals(self) -> None:
        """Pass over what was announced and logged until now."""
        self._signal_lines()
        self._logged = len(self._log)

    def expect_logged(self, expected: str) -> None:
        """Show the lines of logchange that came since `skip_signals`: just `expected`."""
        until = self._log.wait_for(f"added key: {FENCE}/{self._fences}", since=self._logged)
        lines = self._log.since(self._logged)[: until - self._logged]
        lines = [line for line in lines if " key: " in line and FENCE not in line]
        show_lines(lines)
        if lines != [expected]:
            raise NotAsExpected(f"the log lines are {lines}, expected {[expected]}")

    def _signal_lines(self) -> list[str]:
        """Return what dbus-monitor printed since the last time.

        A key of the tour's own is changed and its signal awaited: the bus keeps the order, so all
        that was announced before has then arrived.
        """
        since = self._seen
        self._fences += 1
        fence = f"{FENCE}/{self._fences}"
        status, output = self._stage.run("kdb", "set", fence, "")
        if status != 0:
            raise NotAsExpected(f"kdb set {fence} ended with status {status}:\n{output}")
        self._seen = self._monitor.wait_for(f'string "{fence}"', since=since)
        return self._monitor.since(since)[: self._seen - since - 2]


def main() -> int:
    """Give the tour; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="kdbd-tour-") as root, Stage(Path(root)) as stage:
        log: Lines | None = None
        try:
            stage.start_bus()
            log = stage.start_service()
            monitor = stage.start("dbus-monitor", "--session", RULE)
            # dbus-monitor gives up its name on the bus when it begins to see everything.
            monitor.wait_for('string ":', since=monitor.wait_for("member=NameLost"))
            print(f"A session bus of its own and kdbd run, on stores below {root}.")
            tour = Tour(stage, log, monitor)
            tour.signals()
            tour.sequence()
            print("\nThat is the main job, and every step ended as it should.")
            if sys.stdout.isatty():
                invite(stage, monitor)
        except NotAsExpected as failure:
            print(f"\nNOT AS EXPECTED: {failure}", file=sys.stderr)
            if log is not None:
                print("\nThe last lines of kdbd's log:", file=sys.stderr)
                print("\n".join(log.since(max(0, len(log) - 20))), file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print()
            return 130
    return 0


def invite(stage: Stage, monitor: Lines) -> None:
    """Say how to talk to kdbd from another terminal, and show signals until Ctrl-C."""
    title("kdbd stays up: join in from another terminal")
    print(f"    export DBUS_SESSION_BUS_ADDRESS={shlex.quote(stage.address)}")
    print(f"    export PATH={shlex.quote(str(stage.scripts))}:$PATH")
    print("    kdb ls user:/")
    print("    kdb set user:/hello world")
    print("    busctl --user introspect org.libelektra.KDB1 /org/libelektra/KDB1")
    print("\nWhat changes is shown here. Ctrl-C ends kdbd and the bus, and removes the stores.")
    monitor.echo(lambda line: print(f"  {line}", flush=True))
    stage.wait_for_interrupt()
    print()


def title(text: str) -> None:
    """Print the title of a part."""
    print(f"\n== {text}", flush=True)


def say(text: str) -> None:
    """Print a sentence."""
    print(f"# {text}", flush=True)


def show_command(*command: str) -> None:
    """Print a command as one would type it."""
    words = [f'"{word}"' if "'" in word else shlex.quote(word) for word in command]
    print(f"$ {' '.join(words)}", flush=True)


def show_lines(lines: list[str]) -> None:
    """Print what a program printed."""
    for line in lines:
        print(f"  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
