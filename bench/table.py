"""The table, at most 100 columns wide. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from figures import KDBD, SUBJECTS, Bound, Row

__all__ = ["keys_text", "number", "ratio", "table"]

_WORK, _KEYS, _FIGURE, _REQUIRED, _RATIO, _BASELINE = 29, 5, 8, 11, 12, 11
_TITLES: Final = (
    ("", "", "dbus-", "dbus-", "", "", "", "x", "x"),
    ("", "keys", "next", "fast", "xfconfd", "dconf", "required", "required", "peer"),
)


def table(rows: Iterable[Row]) -> str:
    """Return the rows as lines. What misses what is required has an exclamation mark."""
    lines = [*_TITLES, *map(_cells, rows)]
    return "\n".join(_line(*cells) for cells in lines)


def _line(work: str, keys: str, *cells: str) -> str:
    *figures, required, ratios, baseline = cells
    return (
        f"{work:{_WORK}}{keys:>{_KEYS}}"
        + "".join(f"{figure:>{_FIGURE}}" for figure in figures)
        + f"{required:>{_REQUIRED}}{ratios:>{_RATIO}}{baseline:>{_BASELINE}}"
    ).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    figures = [
        number(row.figures[subject].median) if subject in row.figures else "-"
        for subject in SUBJECTS
    ]
    baseline = row.to_baseline()
    peer = "" if baseline is None else f"{ratio(baseline[0])} {baseline[1][:5]}"
    keys = "" if row.keys is None else keys_text(row.keys)
    return (row.work, keys, *figures, _required(row.bounds), _ratios(row), peer)


def _required(bounds: Mapping[str, Bound]) -> str:
    """Return what is required on each library; once, where it is the same."""
    signs = {"≥" if bound.at_least else "≤" for bound in bounds.values()}
    values = dict.fromkeys(number(bound.value) for bound in bounds.values())
    return "".join(signs) + "/".join(values)


def _ratios(row: Row) -> str:
    if not row.bounds.keys() & row.figures.keys():
        return ""
    return " ".join(
        ratio(row.bounds[subject].ratio(row.figures[subject]))
        + ("!" if subject in row.missed else "")
        if subject in row.bounds and subject in row.figures
        else "-"
        for subject in KDBD
    )


def number(value: float) -> str:
    """Return a figure in at most six characters: about three digits, k for thousands."""
    if abs(value) >= 10_000:
        text = f"{value / 1000:.1f}".removesuffix(".0")
        return f"{text if abs(value) < 100_000 else round(value / 1000)}k"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return _short(f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}", value)


def _short(text: str, value: float) -> str:
    text = text.rstrip("0").rstrip(".")
    return text if float(text) or not value else f"{value:.3f}"


def ratio(value: float) -> str:
    """Return a ratio in at most four characters, as far as it is below 10,000."""
    if 0 < value < 0.01:
        return "<.01"
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def keys_text(keys: int) -> str:
    """Return a number of keys, shortly."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if keys >= size and keys % size == 0:
            return f"{keys // size}{unit}"
    return str(keys)
