"""The match rules of a watch."""

import pytest

from kdb.match_rules import match_rules, quote_rule_value
from kdb.model.names import unescape

HEAD = (
    "type='signal',sender='org.libelektra.KDB1',path='/org/libelektra/configuration',"
    "interface='org.libelektra'"
)
COMMIT = HEAD + ",member='Commit'"


def test_a_key_needs_a_rule_for_itself_and_one_for_what_is_below():
    assert match_rules(unescape("user:/sw/app")) == [
        COMMIT,
        HEAD + ",arg0path='user:/sw/app/'",
        HEAD + ",arg0='user:/sw/app'",
    ]


def test_a_root_needs_one_rule():
    assert match_rules(unescape("system:/")) == [COMMIT, HEAD + ",arg0path='system:/'"]


def test_a_cascading_name_stands_for_every_namespace_that_is_stored():
    assert match_rules(unescape("/a")) == [
        COMMIT,
        *(
            HEAD + rule
            for namespace in ("spec", "dir", "user", "system")
            for rule in (f",arg0path='{namespace}:/a/'", f",arg0='{namespace}:/a'")
        ),
    ]


def test_apostrophes_and_backslashes_are_quoted():
    assert match_rules(unescape(r"user:/it's\/me"))[1:] == [
        HEAD + r",arg0path='user:/it'\''s\/me/'",
        HEAD + r",arg0='user:/it'\''s\/me'",
    ]
    assert quote_rule_value("'") == r"''\'''"


@pytest.mark.parametrize("part", ["a", "ä", "'"])
def test_where_a_name_is_too_long_its_nearest_parent_that_fits_stands_in(part):
    parent = "user:/" + "/".join([part * 50] * 60)
    rules = match_rules(unescape(parent))
    assert len(rules) == 2
    assert all(len(rule.encode()) <= 1024 for rule in rules)
    assert rules[1].startswith(HEAD + f",arg0path='user:/{quote_rule_value(part)[1:-1]}")
    # One part more would not have fitted.
    assert len(rules[1].encode()) + len(quote_rule_value(part * 50)[1:-1].encode()) + 1 > 1024


def test_a_name_just_short_enough_keeps_its_own_rule():
    longest = "user:/" + "a" * (1024 - len(HEAD) - len(",arg0path='user://'"))
    assert len(match_rules(unescape(longest))) == 3
    assert len(match_rules(unescape(longest + "a"))) == 2
