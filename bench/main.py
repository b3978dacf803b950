"""Measure kdbd beside xfconfd and dconf; print a table and write build/bench.json.

    bench/main.py                      everything, about ten minutes
    bench/main.py --quick              smaller sizes and fewer runs, to see that all of it works
    bench/main.py --only set,get       some rows; --of dbus-next,dconf some columns

Every service runs on a private bus and on files of its own below build/bench, since a temporary
directory may be in memory, where being durable costs nothing.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path[1:1] = [str(ROOT / "tests"), str(ROOT / "tooling")]

from jeepney import message_bus  # noqa: E402 - needs the path above

import programs  # noqa: E402 - the same
from figures import SUBJECTS  # noqa: E402 - the same
from plan import FULL, QUICK, WORK, Plan  # noqa: E402 - the same
from private_bus import PrivateBus  # noqa: E402 - the same
from processes import PROGRAMS  # noqa: E402 - the same
from report import rows_of, to_json  # noqa: E402 - the same
from running import Connecting  # noqa: E402 - the same
from session import Results, idle, measure, sizes_for  # noqa: E402 - the same
from subjects import SUBJECT_BY_NAME, missing_services  # noqa: E402 - the same
from table import table  # noqa: E402 - the same

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Measure what the options ask for."""
    options = _options(arguments)
    # Ended by Ctrl-C or otherwise, it takes its services and files along.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    needed = ["dbus-daemon"]
    needed += ["xfconf-query"] if "xfconfd" in options.of else []
    needed += ["dconf"] if "dconf" in options.of else []
    if "process" in options.only:
        needed += [each for name in options.of for each in PROGRAMS.get(name, ())]
    lacking = programs.sentences(programs.missing(dict.fromkeys(needed)))
    lacking += missing_services(options.of)
    for sentence in lacking:
        print(sentence, file=sys.stderr)
    if lacking:
        return 1
    plan = QUICK if options.quick else FULL
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="bench-", dir=build))
    try:
        circumstances = _circumstances()
        before = _floors_ms(scratch)
        failures: list[str] = []
        results = _measure_all(plan, options.only, options.of, scratch, failures)
        circumstances["floors_ms"] = floors = [before, _floors_ms(scratch)]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    rows = rows_of(results, plan)
    (build / "bench.json").write_text(to_json(rows, circumstances), encoding="utf-8")
    print(table(rows))
    print(
        "\nMedians of the runs. The last column compares kdbd on dbus-next; ! misses what is"
        " required.\nOf the peers only dconf is durable, and its readers ask no service."
        "\nBefore and after, a call to the bus itself took"
        f" {' and '.join(f'{bus:.2f}' for bus, _ in floors)} ms,\nappend and fdatasync"
        f" {' and '.join(f'{disk:.2f}' for _, disk in floors)} ms;"
        f" the load was {circumstances['load']:.1f} and {os.getloadavg()[0]:.1f}"
        f" on {os.cpu_count()} cores.\n"
        f"{sum(len(row.missed) for row in rows)} of"
        f" {sum(len(row.bounds.keys() & row.figures.keys()) for row in rows)} required figures"
        f" are missed. All runs are in {build.name}/bench.json"
    )
    for failure in failures:
        print(f"\nnot measured: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _measure_all(
    plan: Plan, only: list[str], of: list[str], scratch: Path, failures: list[str]
) -> Results:
    clock = itertools.count(1)
    results: Results = {}
    subjects = [SUBJECT_BY_NAME[name] for name in of]
    # Size by size, so that figures that are compared are taken within minutes of each other.
    tasks = [
        (keys, subject, work)
        for subject in subjects
        for keys, work in sizes_for(plan, only, subject)
    ]
    for keys, subject, work in sorted(tasks, key=lambda task: task[0]):
        try:
            measure(subject, keys, work, scratch, plan, clock=clock, results=results, say=_say)
        except Exception:  # noqa: BLE001 - what was measured before it must not be lost
            failures.append(f"{subject.name} at {keys:,} keys:\n{traceback.format_exc()}")
    if "idle" in only:
        _say(f"all are left alone for {plan.idle_s:g} s")
        idle(subjects, scratch, plan, results)
    return results


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _circumstances() -> dict[str, object]:
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def _floors_ms(scratch: Path) -> tuple[float, float]:
    """Return what a call to the bus and a durable append take on this machine, now."""
    return _bus_call_ms(), _fdatasync_ms(scratch)


def _bus_call_ms(count: int = 300) -> float:
    """Return the median time of a blocking call to the bus itself: the floor of every call."""
    times = []
    with PrivateBus() as bus, Connecting(bus.address) as connection:
        for _ in range(count):
            began = time.perf_counter()
            connection.send_and_get_reply(message_bus.GetId())
            times.append((time.perf_counter() - began) * 1e3)
    return median(times)


def _fdatasync_ms(scratch: Path, count: int = 100) -> float:
    """Return the median time of an append made durable: the floor of every durable set."""
    times = []
    with (scratch / "append").open("ab", buffering=0) as file:
        for _ in range(count):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1e3)
    return median(times)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/main.py",
        description="Measure kdbd beside xfconfd and dconf.",
        epilog="Rows: " + "; ".join(f"{name}: {words}" for name, words in WORK.items()),
    )
    parser.add_argument(
        "--only",
        type=_some_of(list(WORK)),
        default=list(WORK),
        metavar="ROW,…",
        help="only these rows",
    )
    parser.add_argument(
        "--of",
        type=_some_of(list(SUBJECTS)),
        default=list(SUBJECTS),
        metavar="COLUMN,…",
        help=f"only these columns: {', '.join(SUBJECTS)}",
    )
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer runs")
    return parser.parse_args(arguments)


def _some_of(known: list[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        asked = text.split(",")
        for name in asked:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return [name for name in known if name in asked]

    return parse


if __name__ == "__main__":
    sys.exit(main())
