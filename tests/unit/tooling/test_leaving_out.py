"""A test whose program is missing is left out, and told of; or it is an error, where asked for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

TESTS = """
import os
import pytest

@pytest.mark.needs("strace")
def test_with_strace():
    pass

@pytest.mark.needs("busctl", "strace")
def test_with_both():
    pass

def test_with_nothing():
    assert os.environ["KDBD_DBUS_LIBRARY"] == "dbus-fast"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with the root conftest and three tests."""
    shutil.copy2(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    return tmp_path


def pytest_in(
    folder: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    empty = folder / "bin"
    empty.mkdir()
    # The virtual environment's folder comes first on the PATH; it has no strace either.
    environment |= {"PATH": str(empty), "PYTHONPATH": str(ROOT / "tooling")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--dbus-library=dbus-fast", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("processes", [0, 2])
def test_they_are_left_out_and_their_packages_named(
    project: Path, uncovered_environment: dict[str, str], processes: int
) -> None:
    result = pytest_in(project, uncovered_environment, f"--numprocesses={processes}")
    assert result.returncode == 0, result.stdout
    lines = result.stdout.splitlines()
    assert (
        "2 tests left out: strace is missing; the Debian package is strace: apt-get install strace"
    ) in lines
    assert (
        "1 tests left out: busctl is missing; the Debian package is systemd: "
        "apt-get install systemd"
    ) in lines
    assert "1 passed" in lines[-1]


@pytest.mark.parametrize("processes", [0, 2])
def test_all_programs_are_demanded_where_asked_for(
    project: Path, uncovered_environment: dict[str, str], processes: int
) -> None:
    result = pytest_in(
        project, uncovered_environment, "--all-programs", f"--numprocesses={processes}"
    )
    assert result.returncode == pytest.ExitCode.TESTS_FAILED
    assert "strace is missing; the Debian package is strace" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("=")
    assert "1 passed, 2 errors" in result.stdout
