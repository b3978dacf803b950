"""Lines that a thread of their own writes."""

import fcntl
import os
import pty
from contextlib import closing, contextmanager
from select import select

from kdbd.lines import MAX_WAITING_BYTES, LineWriter


@contextmanager
def pipe():
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def test_lines_leave_in_their_order_and_are_all_there_once_closed():
    with pipe() as (reading, writing):
        with closing(LineWriter(writing)) as lines:
            for number in range(1_000):
                lines.write(f"{number} ü\n")
                lines.flush()
        told = os.read(reading, 65_536).decode()
    assert told == "".join(f"{number} ü\n" for number in range(1_000))


def test_what_is_no_utf8_is_written_with_a_mark():
    with pipe() as (reading, writing):
        with closing(LineWriter(writing)) as lines:
            lines.write("a\udcffb\n")
        assert os.read(reading, 100) == b"a?b\n"


def test_who_stops_reading_stops_nobody_and_is_told_what_was_dropped():
    line = "x" * 1_023 + "\n"
    with pipe() as (reading, writing):
        lines = LineWriter(writing)
        written = 3 * MAX_WAITING_BYTES // len(line)
        for _ in range(written):
            lines.write(line)
        told = b""
        while lines._done_bytes < lines._taken_bytes:
            told += os.read(reading, 1 << 20) if select([reading], [], [], 0)[0] else b""
        lines.write("again\n")
        while not told.endswith(b"again\n"):
            told += os.read(reading, 1 << 20)
        lines.close()
    kept = told.count(line.encode())
    assert MAX_WAITING_BYTES // len(line) <= kept < written
    notice = f"... {written - kept} lines were dropped, as nobody read them\nagain\n"
    assert told.endswith(b"\n" + notice.encode())


def test_a_reader_that_is_gone_is_no_failure():
    reading, writing = os.pipe()
    os.close(reading)
    with closing(LineWriter(writing)) as lines:
        lines.write("for nobody\n")
    os.close(writing)


def test_a_terminal_is_recognised():
    screen, terminal = pty.openpty()
    with (
        pipe() as (_, writing),
        closing(LineWriter(writing)) as plain,
        closing(LineWriter(terminal)) as shown,
    ):
        assert not plain.isatty()
        assert shown.isatty()
    os.close(screen)
    os.close(terminal)


def test_at_the_end_nobody_waits_long_for_a_reader():
    with pipe() as (reading, writing):
        capacity = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
        lines = LineWriter(writing)
        lines.write("x" * capacity + "\n")
        lines.close()
        assert len(os.read(reading, capacity)) == capacity
