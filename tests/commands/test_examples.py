"""The examples are built and run as their page says, and each does what the page says."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from daemon_process import DaemonProcess

import dbus_api
from kdb.wire import BUS_NAME, OBJECT_PATH
from stage import Lines

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PAGE = (EXAMPLES / "README.md").read_text(encoding="utf-8")
COLOUR = "user:/sw/org/example/colour"
PREVIOUS = "user:/sw/org/example/previous"
CONFLICT = "conflict: it is {} by now; type again to overwrite it"
WAIT_S = 60

NEEDS = {
    "python3 colour.py": (),
    "python3 colour_aio.py": (),
    "./colour-c": ("gcc", "gdbus-codegen", "pkg-config"),
    "./colour-vala": ("gcc", "pkg-config", "valac"),
    "./colour-qt": ("g++", "moc", "pkg-config", "qdbusxml2cpp"),
}
"""Each example by the command that runs it, with the programs that build it."""


def commands() -> dict[str, str]:
    """Return what builds each example, by the command that runs it."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    found = {}
    for block in blocks:
        build, _, run = block.strip().rpartition("\n")
        found[run] = build
    return found


@contextmanager
def running(command: str, folder: Path, kdbd: DaemonProcess) -> Iterator[Example]:
    """Run an example, to be ended by the end of its input."""
    with subprocess.Popen(
        command.split(),
        cwd=folder,
        env=kdbd.client_environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        example = Example(program)
        try:
            yield example
            assert program.stdin is not None
            program.stdin.close()
            assert program.wait(WAIT_S) == 0
        finally:
            program.kill()
            example.reader.join()


class Example:
    """A running example: what it printed, and what is typed."""

    def __init__(self, program: subprocess.Popen[str]) -> None:
        self.program = program
        self.lines = Lines()
        self.reader = threading.Thread(target=self.lines.read, args=(program,), daemon=True)
        self.reader.start()

    def type(self, text: str) -> None:
        assert self.program.stdin is not None
        self.program.stdin.write(f"{text}\n")
        self.program.stdin.flush()


GENERATE = {
    "gdbus-codegen": ("--c-namespace", "Kdb", "--generate-c-code", "kdb"),
    "qdbusxml2cpp": ("-i", "kdb_types.h", "-p", "kdb"),
}


@pytest.mark.parametrize("file", sorted(dbus_api.FOLDER.glob("*.xml")), ids=lambda file: file.name)
@pytest.mark.parametrize(
    "program", [pytest.param(name, marks=pytest.mark.needs(name)) for name in GENERATE]
)
def test_proxies_are_made_of_every_interface(tmp_path: Path, program: str, file: Path) -> None:
    made = subprocess.run(
        [program, *GENERATE[program], file], cwd=tmp_path, capture_output=True, text=True
    )
    assert (made.returncode, made.stderr) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} > {"kdb.h"}


@pytest.mark.needs("gdbus-codegen")
def test_gdbus_codegen_reads_every_text(tmp_path: Path) -> None:
    xml = dbus_api.FOLDER / "org.libelektra.KDB1.xml"
    command = ["gdbus-codegen", "--generate-docbook", "kdb", xml]
    subprocess.run(command, cwd=tmp_path, check=True)
    manual = html.unescape((tmp_path / "kdb-org.libelektra.KDB1.xml").read_text(encoding="utf-8"))
    described = dict(dbus_api.comments(xml))
    assert "Committed" in described
    for comment in described.values():
        for text in (comment.text, *comment.arguments.values()):
            assert text.partition("\n")[0] in manual


@pytest.mark.needs("busctl")
@pytest.mark.parametrize(
    "program", [pytest.param(name, marks=pytest.mark.needs(name)) for name in GENERATE]
)
def test_proxies_are_made_of_what_kdbd_answers(
    kdbd: DaemonProcess, tmp_path: Path, program: str
) -> None:
    busctl = ["busctl", f"--address={kdbd.bus.address}", "introspect", "--xml-interface"]
    xml = kdbd.run(*busctl, BUS_NAME, OBJECT_PATH).stdout
    assert "<!--" not in xml
    (tmp_path / "kdb.xml").write_text(xml, encoding="utf-8")
    made = subprocess.run(
        [program, *GENERATE[program], "kdb.xml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (made.returncode, made.stderr) == (0, "")


def test_the_page_names_every_example() -> None:
    assert list(commands()) == list(NEEDS)


@pytest.mark.parametrize("file", re.findall(r"\[([\w.]+)\]\(\1\)", PAGE))
def test_an_example_is_short(file: str) -> None:
    assert len((EXAMPLES / file).read_text(encoding="utf-8").splitlines()) < 60


@pytest.mark.parametrize(
    "command",
    [pytest.param(run, marks=pytest.mark.needs(*programs)) for run, programs in NEEDS.items()],
)
def test_an_example_follows_and_writes(kdbd: DaemonProcess, tmp_path: Path, command: str) -> None:
    folder = shutil.copytree(EXAMPLES, tmp_path / "checkout" / "examples")
    (folder.parent / "daemon").symlink_to(ROOT / "daemon")
    build = subprocess.run(
        ["sh", "-e", "-c", commands()[command]], cwd=folder, capture_output=True, text=True
    )
    assert (build.returncode, build.stderr) == (0, "")

    without = kdbd.run(*command.split(), cwd=folder, stdin=subprocess.DEVNULL, check=False)
    assert (without.returncode, without.stdout) == (1, "")
    assert without.stderr.endswith(f"Did not find key '{COLOUR}'\n")
    assert without.stderr.count("\n") == 1

    kdbd.run("kdb", "set", COLOUR, "blue")
    # Somebody else's, later than the colour and before it is read: no conflict.
    kdbd.run("kdb", "set", PREVIOUS, "foreign")
    with running(command, folder, kdbd) as example:
        example.lines.wait_for("blue")
        example.type("brown")
        example.lines.wait_for("now brown")
    assert example.lines.since(0) == ["blue", "now brown"]
    assert kdbd.run("kdb", "get", PREVIOUS).stdout == "blue\n"

    with running(command, folder, kdbd) as example:
        example.lines.wait_for("brown")
        kdbd.run("kdb", "set", COLOUR, "red")
        example.lines.wait_for("now red")
        example.type("green")
        seen = example.lines.wait_for("conflict")
        assert kdbd.run("kdb", "get", COLOUR).stdout == "red\n"
        # The other key that it writes counts as well, and once.
        kdbd.run("kdb", "set", PREVIOUS, "foreign")
        example.type("green")
        example.lines.wait_for("conflict", since=seen)
        assert kdbd.run("kdb", "get", PREVIOUS).stdout == "foreign\n"
        example.type("green")
        example.lines.wait_for("now green")
        assert kdbd.run("kdb", "get", PREVIOUS).stdout == "red\n"
        # Changed while nobody can tell of it.
        kdbd.stop()
        file = kdbd.user / "default.ecf"
        file.write_bytes(file.read_bytes().replace(b"\ngreen\n", b"\nblack\n"))
        kdbd.start()
        seen = example.lines.wait_for("now black")
        example.type("white")
        example.lines.wait_for("conflict", since=seen)
    # A new kdbd announces what it found in the file, so that may be told again, and late.
    assert list(dict.fromkeys(example.lines.since(0))) == [
        "brown",
        "now red",
        CONFLICT.format("red"),
        "now green",
        "now black",
        CONFLICT.format("black"),
    ]
