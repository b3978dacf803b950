"""The coverage gate: every line and branch of what is pure, 95 % of all."""

import pytest

import coverage_gate


def report(**files: tuple[int, int]) -> dict[str, object]:
    """Return coverage's JSON for files, each with (statements and branches, those that ran)."""
    return {
        "files": {
            path: {
                "summary": {
                    "num_statements": total // 2,
                    "num_branches": total - total // 2,
                    "covered_lines": hit // 2,
                    "covered_branches": hit - hit // 2,
                }
            }
            for path, (total, hit) in files.items()
        }
    }


MODEL, CORE, REST = "client/kdb/model/key.py", "daemon/kdbd/core/view.py", "daemon/kdbd/main.py"


def test_full_coverage_passes(capsys: pytest.CaptureFixture[str]) -> None:
    full = report(**{MODEL: (100, 100), CORE: (100, 100), REST: (200, 180)})
    assert coverage_gate.complaints(full) == []
    assert capsys.readouterr().out.splitlines() == [
        "coverage of kdb.model: 100.00 % of lines and branches, at least 100 %",
        "coverage of kdbd.core: 100.00 % of lines and branches, at least 100 %",
        "coverage of all: 95.00 % of lines and branches, at least 95 %",
    ]


def test_one_branch_that_never_ran_in_what_is_pure_fails() -> None:
    lacking = report(**{MODEL: (10_000, 9_999), CORE: (100, 100), REST: (1_000, 1_000)})
    assert coverage_gate.complaints(lacking) == ["coverage of kdb.model is 99.99 %, below 100 %"]


def test_too_little_of_all_fails() -> None:
    lacking = report(**{MODEL: (100, 100), CORE: (100, 100), REST: (200, 179)})
    assert coverage_gate.complaints(lacking) == ["coverage of all is 94.75 %, below 95 %"]


def test_a_part_without_files_fails() -> None:
    assert coverage_gate.complaints({"files": {}}) == [
        "coverage of kdb.model is 0.00 %, below 100 %",
        "coverage of kdbd.core is 0.00 %, below 100 %",
        "coverage of all is 0.00 %, below 95 %",
    ]
