"""Hold the coverage, branches included: every line of what is pure, 95 % of all."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

__all__ = ["check", "complaints"]

GATES: Final = {
    "kdb.model": ("client/kdb/model/", 100.0),
    "kdbd.core": ("daemon/kdbd/core/", 100.0),
    "all": ("", 95.0),
}
"""Name of the part, the folder whose files belong to it, and the percentage it must reach."""


def check(build: Path) -> list[str]:
    """Combine the data that the test runs left, print the report, return what is too low."""
    file = build / "coverage.json"
    coverage = [sys.executable, "-m", "coverage"]
    subprocess.run([*coverage, "combine", "--quiet"], check=False)
    subprocess.run([*coverage, "report"], check=False)
    subprocess.run([*coverage, "json", "--quiet", "-o", str(file)], check=False)
    if not file.exists():
        return ["coverage: there are no data"]
    return complaints(json.loads(file.read_bytes()))


def complaints(report: dict[str, Any]) -> list[str]:
    """Say which part of coverage's JSON report is below its gate; print what each part has."""
    found = []
    for part, (folder, gate) in GATES.items():
        summaries = [
            file["summary"] for path, file in report["files"].items() if path.startswith(folder)
        ]
        total = sum(one["num_statements"] + one["num_branches"] for one in summaries)
        hit = sum(one["covered_lines"] + one["covered_branches"] for one in summaries)
        percent = 100.0 * hit / total if total else 0.0
        print(f"coverage of {part}: {percent:.2f} % of lines and branches, at least {gate:g} %")
        if percent < gate:
            found.append(f"coverage of {part} is {percent:.2f} %, below {gate:g} %")
    return found


if __name__ == "__main__":
    lines = check(Path(__file__).parents[1] / "build")
    for line in lines:
        print(line, file=sys.stderr)
    sys.exit(1 if lines else 0)
