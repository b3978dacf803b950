"""What is suggested without asking kdbd: commands, options and their arguments, files."""

import pytest

from kdb.cli import manual
from kdb.cli.commands import COMMANDS
from kdb.cli.completion import Candidate, answer, candidates
from kdb.cli.options import COMMON


def test_the_first_word_is_a_command_or_an_option_of_kdb_itself():
    found = candidates([""])
    assert [each.text for each in found] == [*COMMANDS, "--help", "--version"]
    assert Candidate("get", COMMANDS["get"][1]) in found
    assert [each.text for each in candidates(["meta-s"])] == ["meta-set", "meta-show"]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_suggested_with_what_it_does(name):
    options = {**COMMON, **manual.page(name).options}
    expected = set()
    for long, (letter, what, *argument) in options.items():
        expected |= {(f"--{long}=" if argument else f"--{long}", what), (f"-{letter[0]}", what)}
    assert set(candidates([name, "-"])) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ls", "--m"], ["--max-depth=", "--min-depth="]),
        (["ls", "-C", ""], ["always", "auto", "never"]),
        (["ls", "-vC", "a"], ["always", "auto"]),
        (["ls", "--color", "n"], ["never"]),
        (["ls", "--color=n"], ["--color=never"]),
        (["ls", "--json=n"], []),
        (["ls", "--unknown=n"], []),
        (["ls", "-m", ""], []),
        (["help", "umo"], ["umount"]),
        (["help", "get", ""], []),
        (["nosuch", ""], []),
        (["list-commands", ""], []),
        (["set", "--", "user:/a", "-"], []),
        (["mount", "f", "user:/m", "dump", "re"], ["resolver"]),
        (["mount", "f", "user:/m", "dump", "sync", "re"], ["resolver"]),
        (["mount", "-R", ""], ["resolver"]),
    ],
)
def test_a_word_is_suggested_by_what_it_stands_for(words, expected):
    assert [each.text for each in candidates(words)] == expected


@pytest.mark.parametrize("words", [["mount", ""], ["mount", "-f", "e"]])
def test_a_path_is_left_to_the_shell(words):
    assert candidates(words) is None
    assert answer(["zsh", *words]) == "files"


def test_records_say_first_whether_a_space_follows():
    assert answer(["fish", "ls", "--nu"]) == (
        "\0--null\tend each name with NUL, not with a newline"
    )
    assert answer(["bash", "kdb ls --co", " :="]) == "nospace\0--color="
    assert answer(["bash", "kdb ls --color=n", " :="]) == "\0never"
    assert answer(["bash", "kdb nosuch ", " :"]) == ""
