"""What the documents show is what happens: their examples run, on a real bus."""

import doctest
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stage import Stage

ROOT = Path(__file__).parents[2]

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


def run_console(stage: Stage, block: str) -> None:
    """Run each command of a console block; it must print what the block shows."""
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        status, output = stage.run(*shlex.split(command))
        assert (status, output) == (0, expected), command


@pytest.mark.needs("gdbus")
def test_the_examples_about_change_tracking(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "DBUS_SESSION_BUS_ADDRESS", stage.address)
    monkeypatch.chdir(stage.root)
    names: dict[str, object] = {}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.FAIL_FAST)
    document = "docs/change-tracking.md"
    for language, block in blocks(document):
        if language == "python":
            test = doctest.DocTestParser().get_doctest(block, names, document, document, None)
            report: list[str] = []
            assert test.examples
            assert runner.run(test, out=report.append, clear_globs=False).failed == 0, "".join(
                report
            )
            names = test.globs
        else:
            assert language == "console"
            run_console(stage, block)


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
