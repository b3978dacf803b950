"""The benchmark's pure parts: statistics, rows, the table."""

import json

import pytest

from figures import Bound, Figure, Row, percentile
from plan import FULL
from report import rows_of, to_json
from table import keys_text, number, ratio, table


def figure(*runs: float) -> Figure:
    return Figure(runs)


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([5.0], 99, 5.0), ([3.0, 1.0, 2.0], 50, 2.0), ([*map(float, range(1, 101))], 99, 99.0)],
)
def test_a_percentile_is_the_nearest_rank(
    values: list[float], percent: float, expected: float
) -> None:
    assert percentile(values, percent) == expected


def test_a_figure_is_the_median_of_its_runs() -> None:
    assert figure(9.0, 1.0, 2.0).median == 2.0


def test_a_bound_is_met_at_its_value_and_on_its_side() -> None:
    at_most, at_least = Bound(2.0), Bound(100.0, at_least=True)
    assert [at_most.is_met_by(figure(each)) for each in (1.0, 2.0, 2.1)] == [True, True, False]
    assert [at_least.is_met_by(figure(each)) for each in (99.0, 100.0)] == [False, True]
    assert (at_most.ratio(figure(1.0)), at_least.ratio(figure(150.0))) == (0.5, 1.5)


def test_what_must_not_happen_is_told_by_its_number() -> None:
    assert (Bound(0.0).ratio(figure(3.0)), Bound(0.0).is_met_by(figure(0.0))) == (3.0, True)


def test_the_baseline_is_dconf_then_xfconfd_then_what_is_published() -> None:
    ours = {"dbus-next": figure(1.0)}
    peers = {"xfconfd": figure(2.0), "dconf": figure(4.0)}
    assert Row("w", 1, ours | peers).to_baseline() == (0.25, "dconf")
    assert Row("w", 1, ours | {"xfconfd": figure(2.0)}).to_baseline() == (0.5, "xfconfd")
    assert Row("w", 1, ours, published=("libelektra", 10.0)).to_baseline() == (0.1, "libelektra")
    assert Row("w", 1, ours).to_baseline() is None
    assert Row("w", 1, peers).to_baseline() is None
    assert Row("w", 1, {**peers, "dbus-next": figure(-0.1)}).to_baseline() is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (0.004, "0.004"),
        (0.45, "0.45"),
        (2.0, "2"),
        (35.04, "35"),
        (363.2, "363"),
        (7009.0, "7009"),
        (12_000.0, "12k"),
        (12_340.0, "12.3k"),
        (123_456.0, "123k"),
        (-0.25, "-0.25"),
        (-0.002, "-0.002"),
    ],
)
def test_a_number_takes_few_characters(value: float, expected: str) -> None:
    assert number(value) == expected
    assert len(expected) <= 6


def test_ratios_and_sizes_are_short() -> None:
    assert [ratio(each) for each in (0.0, 0.001, 0.5, 12.3)] == ["0.00", "<.01", "0.50", "12"]
    assert [keys_text(each) for each in (0, 10, 1_000, 1_500, 1_000_000)] == [
        "0",
        "10",
        "1k",
        "1500",
        "1M",
    ]


def test_the_table_shows_figures_bounds_ratios_and_marks_what_is_missed() -> None:
    rows = [
        Row(
            "durable sets/s, 32 callers",
            100_000,
            {
                "dbus-next": figure(6000.0),
                "dbus-fast": figure(9000.0),
                "xfconfd": figure(20_000.0),
                "dconf": figure(5.0),
            },
            {
                "dbus-next": Bound(5000.0, at_least=True),
                "dbus-fast": Bound(12_000.0, at_least=True),
            },
        ),
        Row("wake-ups when idle", None, {"dbus-next": figure(0.0)}, {"dbus-next": Bound(0.0)}),
    ]
    throughput, idle = table(rows).splitlines()[2:]
    assert throughput == (
        "durable sets/s, 32 callers    100k    6000    9000     20k       5"
        "  ≥5000/12k  1.20 0.75! 1200 dconf"
    )
    assert idle == (
        "wake-ups when idle                       0       -       -       -         ≤0      0.00 -"
    )
    assert all(len(line) <= 100 for line in table(rows).splitlines())


def test_a_set_at_many_keys_is_held_to_its_time_at_few() -> None:
    results = {
        ("set", FULL.small): {"dbus-next": figure(0.5), "dconf": figure(0.9)},
        ("set", FULL.large): {"dbus-next": figure(0.7), "dconf": figure(190.0)},
    }
    small, large = rows_of(results, FULL)
    assert (small.keys, small.bounds["dbus-next"], small.missed) == (10, Bound(1.1), [])
    assert (large.keys, large.bounds, large.missed) == (
        100_000,
        {"dbus-next": Bound(0.5 * 1.2)},
        ["dbus-next"],
    )


def test_the_json_has_every_run_and_what_was_required() -> None:
    results = {("get", FULL.small): {"dbus-fast": Figure((0.3, 0.2, 0.4), {"p99": 0.9})}}
    told = json.loads(to_json(rows_of(results, FULL), {"cores": 2}))
    assert told == {
        "cores": 2,
        "rows": [
            {
                "work": "GetString: ms",
                "keys": 10,
                "figures": {"dbus-fast": {"median": 0.3, "runs": [0.3, 0.2, 0.4], "p99": 0.9}},
                "required": {
                    "dbus-next": {"at_most": 0.45, "ratio": None, "met": None},
                    "dbus-fast": {"at_most": 0.45, "ratio": 0.3 / 0.45, "met": True},
                },
                "baseline": None,
            }
        ],
    }
