"""From what was measured to rows: in which order, by which words, held to what. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from figures import KDBD, Bound, Figure, Row
from plan import Plan

__all__ = ["rows_of", "to_json"]

_MAX_GROWTH: Final = 1.2
"""How much slower a set may be at 100,000 or a million keys than at 10."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of row: its words; what is required, by size or for all (None); a baseline."""

    what: str
    words: str
    required: Mapping[str | None, tuple[Bound, Bound]] = field(default_factory=dict)
    published: tuple[str, float] | None = None


def _at_most(value: float) -> tuple[Bound, Bound]:
    return Bound(value), Bound(value)


_KINDS: Final = (
    _Kind("set", "SetString, durable: ms", {"small": _at_most(1.1)}),
    _Kind("set-cpu", "  its CPU in the service: ms"),
    _Kind(
        "throughput",
        "durable sets/s, 32 callers",
        {None: (Bound(5_000, at_least=True), Bound(12_000, at_least=True))},
    ),
    _Kind("throughput-cpu", "  CPU in the service each: ms"),
    _Kind("get", "GetString: ms", {None: _at_most(0.45)}),
    _Kind("get-cpu", "  its CPU in the service: ms"),
    _Kind("handle-get", "handle get of all keys: s", {None: _at_most(0.6)}),
    _Kind("handle-get-again", "  again, unchanged: ms", {None: _at_most(0.6)}),
    # libelektra 0.11 in process, which rewrites the file; measured on a machine like this.
    _Kind(
        "handle-set",
        "handle set, one changed: ms",
        {None: _at_most(60)},
        ("libelek", 363.0),
    ),
    _Kind("handle-set-cpu", "  its CPU in the service: ms", {None: _at_most(2)}),
    _Kind("beside-get", "longest get while all are set: ms", {None: _at_most(50)}),
    _Kind("beside-set", "longest set meanwhile: ms", {None: _at_most(1_000)}),
    _Kind("rewriting", "set p99, file rewritten: ms", {None: _at_most(10)}),
    _Kind("signal", "reply to signal: ms", {None: _at_most(1)}),
    _Kind("signal-from-call", "  call to signal: ms"),
    _Kind("process-get", "kdb get, a process: ms", {None: _at_most(25)}),
    _Kind("process-set", "kdb set, a process: ms", {None: _at_most(25)}),
    _Kind("process-python", "  python's start alone: ms"),
    _Kind("gsettings-get", "  gsettings get: ms"),
    _Kind("gsettings-set", "  gsettings set: ms"),
    _Kind("memory", "memory (RSS): MB", {"empty": _at_most(35), "large": _at_most(90)}),
    _Kind("pss", "  PSS: MB"),
    _Kind("memory-after", "  RSS after that work: MB"),
    _Kind("start", "start to first answer: s", {None: _at_most(1.5)}),
    _Kind("idle", "wake-ups when idle", {None: _at_most(0)}),
)


def rows_of(
    results: Mapping[tuple[str, int | None], Mapping[str, Figure]], plan: Plan
) -> list[Row]:
    """Return the rows in the table's order."""
    names = {0: "empty", plan.small: "small", plan.middle: "middle", plan.large: "large"}
    if plan.huge is not None:
        names[plan.huge] = "huge"
    rows = []
    for kind in _KINDS:
        for keys in (None, *names):
            figures = results.get((kind.what, keys))
            if figures is None:
                continue
            required = kind.required.get(None) or kind.required.get(names.get(keys or 0, ""))
            bounds = dict(zip(KDBD, required, strict=True)) if required else {}
            if kind.what == "set" and keys in (plan.large, plan.huge):
                bounds = _growth(results.get(("set", plan.small), {}))
            rows.append(Row(kind.words, keys, figures, bounds, kind.published))
    return rows


def _growth(small: Mapping[str, Figure]) -> dict[str, Bound]:
    return {
        name: Bound(figure.median * _MAX_GROWTH) for name, figure in small.items() if name in KDBD
    }


def to_json(rows: list[Row], circumstances: Mapping[str, object]) -> str:
    """Return everything as JSON: the rows with all runs, and the circumstances."""
    return json.dumps({**circumstances, "rows": [_row(row) for row in rows]}, indent=1) + "\n"


def _row(row: Row) -> dict[str, Any]:
    baseline = row.to_baseline()
    return {
        "work": row.work.strip(),
        "keys": row.keys,
        "figures": {
            name: {"median": figure.median, "runs": figure.runs, **figure.more}
            for name, figure in row.figures.items()
        },
        "required": {
            name: {
                "at_least" if bound.at_least else "at_most": bound.value,
                "ratio": bound.ratio(row.figures[name]) if name in row.figures else None,
                "met": bound.is_met_by(row.figures[name]) if name in row.figures else None,
            }
            for name, bound in row.bounds.items()
        },
        "baseline": None if baseline is None else {"of": baseline[1], "ratio": baseline[0]},
    }
