"""What the documents show is what happens: their examples run, on a real bus."""

import doctest
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stage import Lines, Stage

ROOT = Path(__file__).parents[2]

_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Run a bus and kdbd on empty stores."""
    with tempfile.TemporaryDirectory(prefix="kdbd-docs-") as root, Stage(Path(root)) as running:
        running.start_bus()
        running.start_service()
        yield running


def blocks(document: str) -> list[tuple[str, str]]:
    """Return the code blocks of a document, each with its language."""
    found = _BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))
    assert found, document
    return found


def same(printed: str, shown: str) -> bool:
    """Tell whether this was printed; `...` in what is shown stands for anything."""
    return doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)


def run_console(stage: Stage, block: str) -> None:
    """Run each command of a console block; it must print what the block shows.

    With `&` at its end it runs beside those after it. What is shown as an error is one.
    """
    beside: list[tuple[Lines, str]] = []
    for command, expected in _COMMAND.findall(block.replace("\\\n", " ")):
        words = shlex.split(command)
        if words[-1] == "&":
            lines = stage.start(*words[:-1])
            lines.wait_for("is owned by")
            beside.append((lines, expected))
            continue
        status, output = stage.run(*words)
        assert (status, same(output, expected)) == (expected.startswith("Error: "), True), (
            command,
            output,
        )
    for lines, expected in beside:
        lines.wait_for(expected.splitlines()[-1])
        assert same("".join(f"{line}\n" for line in lines.since(0)), expected)


@pytest.mark.needs("gdbus")
@pytest.mark.parametrize(
    "document", ["docs/change-tracking.md", "docs/dbus-api.md", "docs/python.md"]
)
def test_the_examples_of_a_page(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, document: str
) -> None:
    monkeypatch.setitem(os.environ, "DBUS_SESSION_BUS_ADDRESS", stage.address)
    monkeypatch.chdir(stage.root)
    names: dict[str, object] = {}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.FAIL_FAST)
    for language, block in blocks(document):
        if language == "python":
            test = doctest.DocTestParser().get_doctest(block, names, document, document, None)
            report: list[str] = []
            assert test.examples
            assert runner.run(test, out=report.append, clear_globs=False).failed == 0, "".join(
                report
            )
            names = test.globs
        elif language == "console":
            run_console(stage, block)
        else:
            assert language == "text"


@pytest.mark.needs("gdbus", "busctl")
def test_the_examples_of_the_readme(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "DBUS_SESSION_BUS_ADDRESS", stage.address)
    monkeypatch.chdir(stage.root)
    answers = {
        "kdb get": "blue\n",
        "kdb ls": "user:/sw/org/app/colour\n",
        "busctl --user call org.libelektra.KDB1 /org/libelektra/KDB1 org.libelektra.KDB1 Get": (
            's "green"\n'
        ),
        "gdbus": "('red',)\n",
    }
    met = set()
    for language, block in blocks("README.md"):
        if language == "python":
            exec(compile(block, "README.md", "exec"), {})
        if language != "sh" or block.startswith("make"):
            continue
        for line in block.splitlines():
            command = shlex.split(line, comments=True)
            if command[0] == "dbus-monitor":
                continue
            status, output = stage.run(*command)
            assert status == 0, (line, output)
            for prefix, answer in answers.items():
                if shlex.join(command).startswith(prefix):
                    met.add(prefix)
                    assert output == answer, line
    assert met == set(answers)


# gdbus-codegen comes with the headers.
@pytest.mark.needs("gcc", "gdbus-codegen", "pkg-config")
def test_the_c_program_of_the_readme(stage: Stage) -> None:
    (program,) = [block for language, block in blocks("README.md") if language == "c"]
    (stage.root / "program.c").write_text(program, encoding="utf-8")
    status, flags = stage.run("pkg-config", "--cflags", "--libs", "gio-2.0")
    assert status == 0
    built = stage.run("gcc", "-Wall", "program.c", *shlex.split(flags), "-o", "program")
    assert built == (0, "")
    stage.run("kdb", "set", "user:/sw/org/app/colour", "blue")
    assert stage.run("./program") == (0, "blue\n")
