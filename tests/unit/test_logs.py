"""The log, as it leaves on standard error."""

import json
import pty
import re
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from select import select

import pytest
import structlog

from kdbd.logs import open_log


@pytest.fixture(autouse=True)
def _unconfigured():
    yield
    structlog.reset_defaults()


def shown(screen):
    """Return a line of a terminal, once the kernel has passed it on."""
    told = b""
    while not told.endswith(b"\n"):
        assert select([screen], [], [], 60)[0], told
        told += screen.read(65_536)
    return told.decode()


@contextmanager
def terminal(monkeypatch):
    """Let standard error be a terminal; give what reads from it."""
    # Within the test itself: between its phases pytest sets standard error anew.
    reading, writing = pty.openpty()
    with (
        open(writing, "w") as stream,
        open(reading, "rb", buffering=0) as screen,
        monkeypatch.context() as patched,
    ):
        patched.setattr(sys, "stderr", stream)
        yield lambda: shown(screen)


def lines(capsys):
    told = capsys.readouterr()
    assert told.out == ""
    return told.err.splitlines()


@pytest.mark.parametrize("form", ["json", "auto"])
def test_away_from_a_terminal_each_event_is_one_line_of_json(capsys, form):
    log = open_log(form, "info", sys.stderr)
    before = datetime.now(UTC)
    log.info("commit", revision=7, caller=":1.5", path="/tmp/grün\n")
    log.warning("file.refused")
    told = [json.loads(line) for line in lines(capsys)]
    for each in told:
        text = each.pop("timestamp")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", text)
        when = datetime.fromisoformat(text.removesuffix("Z") + "+00:00")
        assert before <= when < before + timedelta(minutes=1)
    assert told == [
        {
            "event": "commit",
            "level": "info",
            "revision": 7,
            "caller": ":1.5",
            "path": "/tmp/grün\n",
        },
        {"event": "file.refused", "level": "warning"},
    ]


def test_what_is_no_json_is_told_as_python_shows_it(capsys):
    open_log("json", "info", sys.stderr).info("event", name=b"\x06\0a")
    (line,) = lines(capsys)
    assert json.loads(line)["name"] == r"b'\x06\x00a'"


def test_an_exception_is_one_field_of_the_line(capsys):
    log = open_log("json", "info", sys.stderr)
    try:
        raise KeyError("name")
    except KeyError:
        log.exception("call.failed", member="Get")
    (line,) = lines(capsys)
    told = json.loads(line)
    assert (told["event"], told["level"], told["member"]) == ("call.failed", "error", "Get")
    assert told["exception"].startswith("Traceback (most recent call last):\n")
    assert told["exception"].endswith("\nKeyError: 'name'")
    assert "exc_info" not in told


@pytest.mark.parametrize(
    ("level", "told"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_what_is_below_the_level_is_left_out(capsys, form, level, told):
    log = open_log(form, level, sys.stderr)
    for each in ("debug", "info", "warning", "error"):
        getattr(log, each)(f"event.{each}")
    assert re.findall(r"event\.(\w+)", capsys.readouterr().err) == told


def test_on_the_console_it_is_readable(capsys):
    open_log("console", "info", sys.stderr).info("ready", revision=7)
    (line,) = lines(capsys)
    assert re.fullmatch(r"\S+Z \[info *\] ready +revision=7", line)


def test_a_terminal_is_recognised_and_has_colours(monkeypatch):
    with terminal(monkeypatch) as screen:
        open_log("auto", "info", sys.stderr).info("ready", revision=7)
        told = screen()
    assert "\x1b[" in told
    plain = re.sub(r"\x1b\[[0-9;]*m", "", told)
    assert re.fullmatch(r"\S+Z \[info *\] ready +revision=7\r\n", plain)


def test_on_a_terminal_it_is_json_where_that_is_asked_for(monkeypatch):
    with terminal(monkeypatch) as screen:
        open_log("json", "info", sys.stderr).info("ready", revision=7)
        told = json.loads(screen())
    del told["timestamp"]
    assert told == {"event": "ready", "level": "info", "revision": 7}
