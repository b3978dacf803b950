"""Run every test and hold the coverage.

The unit, property and simulation tests run once, and so do those of the commands and of crashes,
with which no D-Bus library has to do; the integration tests run once on each library. Fails where
a test fails or is skipped, where the two integration runs differ in number, or where the coverage
is below its gate. The coverage counts the daemons and commands that the tests start too
(`[tool.coverage.run]`).
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

import coverage_gate

__all__ = ["Counts", "complaints_about", "main", "read_counts"]

ROOT: Final = Path(__file__).parents[1]
BUILD: Final = ROOT / "build"
LIBRARIES: Final = ("dbus-next", "dbus-fast")


class Counts(NamedTuple):
    """How the tests of one run ended; `closing` is pytest's last line."""

    passed: int
    failed: int
    skipped: int
    closing: str


def main() -> int:
    """Run all, print the counts last; return the exit status."""
    options = _arguments()
    started = time.monotonic()
    data = BUILD / "coverage"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True)
    runs = {"unit, property, simulation": _run(["unit", "property", "simulation"], [], options)}
    runs["commands, crashes"] = _run(["commands", "crashes"], [], options)
    for library in LIBRARIES:
        chosen = [f"--dbus-library={library}"]
        runs[f"integration on {library}"] = _run(["integration"], chosen, options)
    print()
    complaints = complaints_about(runs)
    if options.coverage:
        complaints += coverage_gate.check(BUILD)
    for name, counts in runs.items():
        print(f"{name}: {counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped")
        print(f"    {counts.closing}")
    print(f"{time.monotonic() - started:.0f} s")
    for complaint in complaints:
        print(f"FAILED: {complaint}")
    return 1 if complaints else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--soak", action="store_true", help="run the long forms of the tests")
    parser.add_argument(
        "--all-programs", action="store_true", help="fail where a program is missing"
    )
    parser.add_argument("--no-coverage", dest="coverage", action="store_false")
    return parser.parse_args()


def _run(folders: list[str], arguments: list[str], options: argparse.Namespace) -> Counts:
    """Run the tests of some folders; return how they ended."""
    report = BUILD / f"tests-{'-'.join([*folders, *arguments]).replace('--', '')}.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m"]
    if options.coverage:
        command += ["coverage", "run", "-m"]
    command += ["pytest", "--quiet", "--numprocesses=2", "--dist=worksteal"]
    command += [f"--junitxml={report}", *arguments]
    command += ["--soak"] if options.soak else []
    command += ["--all-programs"] if options.all_programs else []
    command += [f"tests/{folder}" for folder in folders if (ROOT / "tests" / folder).is_dir()]
    print(f"\n== {' '.join(command[command.index('pytest') :])}", flush=True)
    closing = ""
    with subprocess.Popen(
        command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            closing = line.strip() or closing
    return read_counts(report, closing)


def _environment() -> dict[str, str]:
    environment = dict(os.environ)
    # A desktop's or a caller's bus and stores are none of the tests' business.
    for name in ("DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS", "NOTIFY_SOCKET"):
        environment.pop(name, None)
    return environment


def read_counts(report: Path, closing: str) -> Counts:
    """Read pytest's report; no report means that pytest did not get to run."""
    if not report.exists():
        return Counts(0, 1, 0, closing)
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in ET.parse(report).getroot().iter("testsuite"):
        for name in totals:
            totals[name] += int(suite.get(name, "0"))
    failed = totals["failures"] + totals["errors"]
    passed = totals["tests"] - failed - totals["skipped"]
    return Counts(passed, failed, totals["skipped"], closing)


def complaints_about(runs: dict[str, Counts]) -> list[str]:
    """Say what is wrong with the runs, by their names."""
    complaints = []
    for name, counts in runs.items():
        if counts.failed:
            complaints.append(f"{name}: {counts.failed} tests failed")
        if counts.skipped:
            complaints.append(f"{name}: {counts.skipped} tests were skipped; none may be")
        if not counts.passed:
            complaints.append(f"{name}: no test passed")
    numbers = {library: runs[f"integration on {library}"].passed for library in LIBRARIES}
    if len(set(numbers.values())) > 1:
        complaints.append(f"the libraries passed different numbers of tests: {numbers}")
    return complaints


if __name__ == "__main__":
    sys.exit(main())
