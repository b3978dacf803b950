"""kdbd's options."""

import os

import pytest

from kdbd import __version__
from kdbd.configuration import Configuration, parse
from kdbd.store.locations import Locations


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Return a home that is asked for by nothing but HOME."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return str(tmp_path)


def refusal(capsys, *arguments):
    """Return the last line of what is told of wrong options."""
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


def test_without_options_the_stores_are_those_of_libelektra_and_the_users(home):
    assert parse([]) == Configuration(
        bus="session",
        address=None,
        locations=Locations(
            spec="/usr/share/elektra/specification",
            user=f"{home}/.config",
            system="/etc/kdb",
            state=f"{home}/.local/state/kdbd",
        ),
        log_format="auto",
        log_level="info",
        history_bytes=256 * 1024 * 1024,
        history_s=90 * 24 * 60 * 60.0,
    )


def test_the_users_directories_may_be_elsewhere(monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/xdg/config")
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg/state")
    locations = parse([]).locations
    assert (locations.user, locations.state) == ("/xdg/config", "/xdg/state/kdbd")


def test_on_the_system_bus_the_journal_is_the_systems(home):
    configuration = parse(["--bus", "system"])
    assert configuration.bus == "system"
    assert configuration.locations == Locations(
        spec="/usr/share/elektra/specification",
        user=f"{home}/.config",
        system="/etc/kdb",
        state="/var/lib/kdbd",
    )
    assert parse(["--bus=system", "--state-dir=/srv"]).locations.state == "/srv"


def test_every_option_is_taken():
    assert parse(
        [
            *("--bus", "session", "--address", "unix:path=/run/bus"),
            *("--system-dir", "/1", "--spec-dir", "/2", "--user-dir", "/3", "--state-dir", "/4"),
            *("--history-mib", "1", "--history-days", "2"),
            *("--log-format", "json", "--log-level", "debug"),
        ]
    ) == Configuration(
        bus="session",
        address="unix:path=/run/bus",
        locations=Locations(spec="/2", user="/3", system="/1", state="/4"),
        log_format="json",
        log_level="debug",
        history_bytes=1024 * 1024,
        history_s=172_800.0,
    )


def test_directories_become_absolute(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    locations = parse(["--system-dir=a/../b", "--user-dir=~/c", "--spec-dir=.", "--state-dir=d"])
    assert locations.locations == Locations(
        spec=os.getcwd(), user=f"{home}/c", system=f"{os.getcwd()}/b", state=f"{os.getcwd()}/d"
    )


@pytest.mark.parametrize("option", ["--history-mib", "--history-days"])
@pytest.mark.parametrize("number", ["0", "-1"])
def test_the_history_is_bounded_by_something(capsys, option, number):
    assert refusal(capsys, f"{option}={number}") == (
        f"kdbd: error: argument {option}: {number} is not positive"
    )


@pytest.mark.parametrize("text", ["", "many", "1.5"])
def test_a_bound_is_a_number(capsys, text):
    assert refusal(capsys, f"--history-mib={text}") == (
        f"kdbd: error: argument --history-mib: {text!r} is no whole number"
    )


def test_wrong_options_are_told_and_nothing_begins(capsys):
    assert refusal(capsys, "--no-such") == "kdbd: error: unrecognized arguments: --no-such"
    assert refusal(capsys, "--bus=none").startswith(
        "kdbd: error: argument --bus: invalid choice: 'none' (choose from "
    )


def test_it_tells_its_version(capsys):
    with pytest.raises(SystemExit) as caught:
        parse(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"kdbd {__version__}\n"
