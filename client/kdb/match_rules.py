"""The match rules by which the bus sends a watch the signals that concern it, and few others."""

from __future__ import annotations

from kdb.model import names
from kdb.protocol import BUS_NAME, MAX_RULE_BYTES, SIGNAL_INTERFACE, SIGNAL_PATH

__all__ = ["match_rules", "quote_rule_value"]


def quote_rule_value(value: str) -> str:
    r"""Return *value* as it is written in a match rule.

    Within apostrophes everything stands for itself; an apostrophe leaves them: ``'\''``
    (D-Bus specification, "Match Rules").
    """
    return "'" + value.replace("'", r"'\''") + "'"


def match_rules(parent: bytes) -> list[str]:
    """Return the rules under which the bus sends the signals of *parent* and the keys below.

    For each namespace: the keys below (``arg0path``, which misses the parent itself), the parent
    (``arg0``), and once ``Commit``, whose mountpoint may be above the parent. Where a rule would
    be over 1,024 bytes, the nearest parent that fits stands in: what comes is to be filtered.
    The rules always name the sender, so that nobody else's signals come.
    """
    own = names.namespace(parent)
    namespaces = names.PERSISTABLE if own is names.Namespace.CASCADING else (own,)
    rules = [_rule("Commit")]
    for namespace in namespaces:
        rules += _parent_rules(names.in_namespace(parent, namespace))
    return rules


def _parent_rules(parent: bytes) -> list[str]:
    below = parent
    while True:
        name = names.escape(below)
        path = name if name.endswith(":/") else name + "/"
        rule = _rule(None, f",arg0path={quote_rule_value(path)}")
        if len(rule.encode(errors="surrogateescape")) <= MAX_RULE_BYTES:
            break
        below = names.parent(below)
    if below != parent or path == name:
        # A wider path, like a root's, covers the parent itself.
        return [rule]
    return [rule, _rule(None, f",arg0={quote_rule_value(name)}")]


def _rule(member: str | None, argument: str = "") -> str:
    return (
        f"type='signal',sender='{BUS_NAME}',path='{SIGNAL_PATH}',interface='{SIGNAL_INTERFACE}'"
        + (f",member='{member}'" if member else "")
        + argument
    )
