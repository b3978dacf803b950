"""`make lint` finds what is planted in a copy of the project."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINTED = ("client", "daemon", "tooling", "tour", "Makefile", "pyproject.toml", "README.md")

IMPORTS = {
    "client/kdb/model/planted.py": ("socket", "kdb.model"),
    "client/kdb/model/planted_too.py": ("msgpack", "kdb.model"),
    "client/kdb/formats/planted.py": ("msgpack", "kdb.formats"),
    "client/kdb/planted.py": ("kdbd.store.journal", "kdb never imports kdbd"),
    "daemon/kdbd/core/planted.py": ("asyncio", "kdbd.core"),
    "daemon/kdbd/store/planted.py": ("dbus_next", "Only the bus layers"),
}
"""A file to plant, what it imports, and the beginning of the contract that it breaks."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of what lint reads."""
    for name in LINTED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
        else:
            shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def make(
    project: Path, uncovered_environment: dict[str, str], target: str
) -> subprocess.CompletedProcess[str]:
    # `make test` tells its own settings to the makes below it.
    environment = {
        name: text
        for name, text in uncovered_environment.items()
        if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))
    }
    # Types are known already for all but the planted file.
    environment["MYPY_CACHE_DIR"] = str(ROOT / ".mypy_cache")
    virtual = sys.prefix
    command = ["make", target, f"VENV={virtual}", f"--old-file={virtual}/dev.stamp"]
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def plant(project: Path, path: str, code: str) -> None:
    (project / path).write_text(f'"""Planted."""\n\n{code}\n', encoding="utf-8")


def test_every_import_that_goes_the_wrong_way_is_found(
    project: Path, uncovered_environment: dict[str, str]
) -> None:
    for path, (imported, _) in IMPORTS.items():
        plant(project, path, f"import {imported}\n\n__all__ = []\n\nprint({imported})")
    result = make(project, uncovered_environment, "lint-imports")
    assert result.returncode != 0
    for path, (imported, contract) in IMPORTS.items():
        module = path.split("/", 1)[1].removesuffix(".py").replace("/", ".")
        assert f"{module}" in result.stdout, (path, result.stdout)
        assert imported in result.stdout
        lines = [line for line in result.stdout.splitlines() if line.startswith(contract)]
        assert lines[0].endswith("BROKEN"), result.stdout


@pytest.mark.parametrize(
    ("target", "code", "complaint"),
    [
        ("lint", "import os\n\n__all__: list[str] = []", "`os` imported but unused"),
        ("lint-form", "X = {  'a':1 }", "ruff format"),
        ("lint-types", 'X: int = "1"', "[assignment]"),
    ],
)
def test_a_planted_fault_is_found(
    project: Path, uncovered_environment: dict[str, str], target: str, code: str, complaint: str
) -> None:
    plant(project, "daemon/kdbd/planted.py", code)
    result = make(project, uncovered_environment, target)
    assert result.returncode != 0
    assert complaint in result.stdout + result.stderr


def test_the_imports_of_the_project_itself_are_in_order(
    project: Path, uncovered_environment: dict[str, str]
) -> None:
    result = make(project, uncovered_environment, "lint-imports")
    assert result.returncode == 0, result.stdout
