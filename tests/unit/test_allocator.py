"""Large values that are freed leave the process."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
from kdbd.allocator import give_back_large_values
import re

give_back_large_values()
kept = []
values = [bytearray(1_000_000)]
values.clear()
for _ in range(100):
    values.append(bytearray(b"v" * 1_000_000))
    kept.append(bytearray(b"k" * 100_000))
values.clear()
with open("/proc/self/status") as status:
    print(re.search(r"VmRSS:\\s+(\\d+) kB", status.read())[1])
"""


def test_large_values_that_are_freed_leave_the_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], check=True, capture_output=True, text=True
    )
    # 10 MB are kept, beside the interpreter; 100 MB went.
    assert int(done.stdout) < 60_000
