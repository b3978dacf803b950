"""`make test` fails where a test fails, is skipped, or runs on one D-Bus library only."""

from pathlib import Path

import pytest

from run_tests import Counts, complaints_about, read_counts

GOOD = {
    "unit, property, simulation": Counts(10, 0, 0, ""),
    "commands, crashes": Counts(7, 0, 0, ""),
    "integration on dbus-next": Counts(5, 0, 0, ""),
    "integration on dbus-fast": Counts(5, 0, 0, ""),
}


def test_all_passed_is_nothing_to_complain_about() -> None:
    assert complaints_about(GOOD) == []


DIFFERENT = "the libraries passed different numbers of tests: {'dbus-next': 5, 'dbus-fast': 4}"


@pytest.mark.parametrize(
    ("counts", "complaints"),
    [
        (
            Counts(4, 0, 0, ""),
            ["the libraries passed different numbers of tests: {'dbus-next': 5, 'dbus-fast': 4}"],
        ),
        (
            Counts(4, 1, 0, ""),
            [
                "integration on dbus-fast: 1 tests failed",
                DIFFERENT,
            ],
        ),
        (
            Counts(5, 0, 1, ""),
            ["integration on dbus-fast: 1 tests were skipped; none may be"],
        ),
    ],
)
def test_what_is_wrong_is_said(counts: Counts, complaints: list[str]) -> None:
    assert complaints_about({**GOOD, "integration on dbus-fast": counts}) == complaints


def test_a_run_without_tests_is_wrong() -> None:
    empty = dict.fromkeys(GOOD, Counts(0, 0, 0, ""))
    assert complaints_about(empty) == [f"{name}: no test passed" for name in GOOD]


def test_the_report_of_pytest_is_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="9" failures="1" errors="2" skipped="3"/></testsuites>',
        encoding="utf-8",
    )
    assert read_counts(report, "closing") == Counts(3, 3, 3, "closing")


def test_no_report_is_a_failure(tmp_path: Path) -> None:
    assert read_counts(tmp_path / "none.xml", "closing") == Counts(0, 1, 0, "closing")
