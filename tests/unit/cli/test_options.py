"""Arguments as getopt_long takes them."""

import pytest

from kdb.cli.options import InvalidOption, parse

OPTIONS = {
    "max-depth": ("M:", "at most", "DEPTH"),
    "min-depth": ("m:", "at least", "DEPTH"),
    "null": ("0", "end with NUL"),
}


@pytest.mark.parametrize(
    ("arguments", "options", "others"),
    [
        ([], {}, []),
        (["a", "b"], {}, ["a", "b"]),
        (["-0v", "a"], {"0": "", "v": ""}, ["a"]),
        (["a", "-0"], {"0": ""}, ["a"]),
        (["-m1", "a"], {"m": "1"}, ["a"]),
        (["-m", "-1"], {"m": "-1"}, []),
        (["-0m", "1"], {"0": "", "m": "1"}, []),
        (["--null", "--min-depth=1", "--max-depth", "2"], {"0": "", "m": "1", "M": "2"}, []),
        (["--nu"], {"0": ""}, []),
        (["--min-depth="], {"m": ""}, []),
        (["--", "-0", "--", "a"], {}, ["-0", "--", "a"]),
        (["-"], {}, ["-"]),
        (["-C", "never", "-p", "profile"], {"C": "never", "p": "profile"}, []),
    ],
)
def test_options_may_stand_anywhere(arguments, options, others):
    assert parse(arguments, OPTIONS) == (options, others)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-z"], "invalid option -- 'z'"),
        (["-0z"], "invalid option -- 'z'"),
        (["-1"], "invalid option -- '1'"),
        (["-m"], "option -- 'm' requires an argument"),
        (["--min-depth"], "option '--min-depth' requires an argument"),
        (["--null=1"], "option '--null' doesn't allow an argument"),
        (["--m"], "option '--m' is ambiguous"),
        (["--nope"], "option '--nope' is unknown"),
        (["-C", "sometimes"], "-C --color needs never, auto, or always as argument"),
    ],
)
def test_what_is_no_option_is_named(arguments, text):
    with pytest.raises(InvalidOption) as caught:
        parse(arguments, OPTIONS)
    assert str(caught.value) == text
