"""Programs as they are written for libelektra's Python binding run unchanged."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from binding_vocabulary import ERRORS, EXCEPTIONS, METHODS
from daemon_process import DaemonProcess

PROGRAMS = sorted((Path(__file__).parents[1] / "data" / "binding").glob("*.py"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_a_program_runs(kdbd: DaemonProcess, program: Path) -> None:
    result = kdbd.run(sys.executable, "-W", "error", str(program), check=False)
    assert (result.stderr, result.returncode) == ("", 0)
    assert result.stdout == program.with_suffix(".txt").read_text(encoding="utf-8")


def test_the_programs_use_every_class_and_function() -> None:
    used = {
        node.attr
        for program in PROGRAMS
        for node in ast.walk(ast.parse(program.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }
    methods = {name for names in METHODS.values() for name in names.split()}
    # What Python itself calls, the programs use without naming it.
    named = {name for name in methods if not name.startswith("__")}
    assert {*METHODS, *named, *ERRORS, *EXCEPTIONS} - used == set()
