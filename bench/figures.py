"""What is measured, as values: figures with their runs, rows, and what they are held to. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil
from statistics import median
from typing import Final

__all__ = ["KDBD", "SUBJECTS", "Bound", "Figure", "Row", "percentile"]

KDBD: Final = ("dbus-next", "dbus-fast")
"""kdbd, on either D-Bus library."""

SUBJECTS: Final = (*KDBD, "xfconfd", "dconf")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity: each run's result, and what more is known of it."""

    runs: tuple[float, ...]
    more: Mapping[str, float] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """The median of the runs."""
        return median(self.runs)


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure must reach: at most `value`, or at least."""

    value: float
    at_least: bool = False

    def ratio(self, figure: Figure) -> float:
        """Return measured to required."""
        return figure.median / self.value if self.value else figure.median

    def is_met_by(self, figure: Figure) -> bool:
        """Tell whether the median reaches it."""
        return figure.median >= self.value if self.at_least else figure.median <= self.value


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: a kind of work at so many keys, a figure for each subject.

    `published` is a baseline that is not measured here: who, and how much.
    """

    work: str
    keys: int | None
    figures: Mapping[str, Figure]
    bounds: Mapping[str, Bound] = field(default_factory=dict)
    published: tuple[str, float] | None = None

    @property
    def missed(self) -> list[str]:
        """Those of kdbd's figures that are not reached."""
        return [
            subject
            for subject, bound in self.bounds.items()
            if subject in self.figures and not bound.is_met_by(self.figures[subject])
        ]

    def to_baseline(self) -> tuple[float, str] | None:
        """Return kdbd's ratio to a baseline, and whose that is.

        kdbd on dbus-next if that was measured; the baseline is dconf, which is durable too, else
        xfconfd, else what is published. None where one side lacks, or is not above zero.
        """
        ours = next((self.figures[name] for name in KDBD if name in self.figures), None)
        if ours is None or ours.median < 0:
            return None
        for peer in ("dconf", "xfconfd"):
            if peer in self.figures and self.figures[peer].median > 0:
                return ours.median / self.figures[peer].median, peer
        if self.published is not None:
            return ours.median / self.published[1], self.published[0]
        return None


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the nearest-rank percentile of a non-empty sequence."""
    return sorted(values)[max(ceil(len(values) * percent / 100), 1) - 1]
