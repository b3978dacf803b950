"""The words of a line that is being typed, and what of the last one the shell replaces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.cli.shell_words import Line, of_line, quoted, unquoted

BREAKS = " \t\n\"'@><=;|&(:"
TEXTS = st.text(st.characters(exclude_categories=("Cc", "Cs")))


@pytest.mark.parametrize(
    ("line", "words", "kept", "quote"),
    [
        ("", [""], 0, ""),
        ("kdb", ["kdb"], 0, ""),
        ("kdb ", ["kdb", ""], 0, ""),
        ("kdb  get\t", ["kdb", "get", ""], 0, ""),
        ("kdb get user:", ["kdb", "get", "user:"], 5, ""),
        ("kdb get user:/a", ["kdb", "get", "user:/a"], 5, ""),
        (r"kdb get user:/a\ b", ["kdb", "get", "user:/a b"], 5, ""),
        (r"kdb get user\:/a", ["kdb", "get", "user:/a"], 0, ""),
        ("kdb get user:/a=b", ["kdb", "get", "user:/a=b"], 8, ""),
        ("kdb get 'user:/a b", ["kdb", "get", "user:/a b"], 0, "'"),
        ('kdb get "user:/a b', ["kdb", "get", "user:/a b"], 0, '"'),
        ('kdb get user:/"a b', ["kdb", "get", "user:/a b"], 6, '"'),
        ('kdb get "user:/a b"/c', ["kdb", "get", "user:/a b/c"], 9, ""),
        (r'kdb get "a\"b\\c\d', ["kdb", "get", r'a"b\c\d'], 0, '"'),
        (r"kdb get 'a\b", ["kdb", "get", r"a\b"], 0, "'"),
        ("kdb get a\\", ["kdb", "get", "a"], 0, ""),
        ("kdb set '' x", ["kdb", "set", "", "x"], 0, ""),
    ],
)
def test_a_line_is_split_as_bash_does(line, words, kept, quote):
    assert of_line(line, BREAKS) == Line(words, kept, quote)


@given(TEXTS)
def test_what_is_quoted_is_one_word_again(text):
    assert of_line(f"kdb {quoted(text, '')}", BREAKS).words == ["kdb", text]
    assert of_line(f'kdb "{quoted(text, chr(34))}', BREAKS).words == ["kdb", text]
    assert of_line(f"kdb '{quoted(text, chr(39))}", BREAKS).words == ["kdb", text]


def test_fish_escapes_within_single_quotes():
    assert unquoted(r"'it\'s \\ \x", "fish") == r"it's \ \x"
    assert unquoted(r"'it\x", "zsh") == r"it\x"
