"""How far the choice is from the fastest algorithm, over recorded timings: those it was made from, and others.

Nothing is timed here: `benchmarks/results/choices.jsonl` holds every algorithm's time for every row.
"""

import pytest

from benchmarks import regret
from benchmarks.choices import SETS
from benchmarks.report import geometric_mean
from convjax._algorithms import ALGORITHMS

TUNING, VALIDATION = ("rows", "layers", "losses"), ("validation",)


@pytest.mark.parametrize(
    ("parts", "at_least", "mean", "p95", "worst"), [(TUNING, 700, 1.05, 1.4, 2), (VALIDATION, 200, 1.15, 1.8, 3)]
)
def test_regret(parts, at_least, mean, p95, worst):
    found = regret.choices(parts)
    values, losses = [choice.regret for choice in found], [choice[:4] for choice in found[:20]]
    assert len(found) >= at_least
    assert geometric_mean(values) <= mean, losses
    assert values[len(values) // 20] <= p95, losses
    assert values[0] <= worst, losses


def test_every_row_is_recorded_once_with_its_machine():
    rows = regret.recorded()
    assert len({(row["row"], row["direction"]) for row in rows}) == len(rows)
    for row in rows:
        assert {"processor", "cores", "jax", "date"} <= set(row)
        assert len(set(row["seconds"]) & set(ALGORITHMS)) >= 2, row["row"]


def test_models_are_tuned_on_or_validated_on():
    tuning, validation = ({case.family for case in SETS[part]} for part in ("layers", "validation"))
    assert not tuning & validation
    assert len(SETS["layers"]) >= 2 * 60
    assert len(SETS["validation"]) >= 2 * 30


def test_losses_are_listed():
    text = regret.losses()
    assert all(choice.row in text for choice in regret.choices(SETS) if choice.regret > 1.25)
