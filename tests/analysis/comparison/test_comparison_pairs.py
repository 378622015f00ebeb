"""The interval against simulation and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from se_mm.analysis.comparison.pairs import Paired

DRAWS = 2000


def simulated(seeds: int, difference: float, generator: np.random.Generator) -> list[Paired]:
    """Trainings whose figures share a part with the other of their seed, and have a part of their own."""
    shared, own, other = generator.normal(0, 0.3, (3, DRAWS, seeds))
    first, second = 38 + shared + own, 38 + difference + shared + other
    return [Paired(tuple(a), tuple(b)) for a, b in zip(first, second, strict=True)]


@pytest.mark.parametrize('seeds', [3, 5, 10])
@pytest.mark.parametrize('difference', [0.0, 0.5])
def test_the_interval_holds_the_true_difference_in_95_of_100_comparisons(seeds, difference):
    pairs = simulated(seeds, difference, np.random.default_rng(seeds + int(10 * difference)))
    low, high = np.array([each.interval for each in pairs]).T
    assert np.mean((low <= difference) & (difference <= high)) == pytest.approx(0.95, abs=0.02)
    assert [each.sign != 0 for each in pairs] == list((low > 0) | (high < 0))


def test_the_interval_is_scipys():
    values = [0.3, 0.9, -0.2, 0.4]
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose(Paired((0.0,) * 4, tuple(values)).interval, theirs, rtol=1e-12)


def test_the_noise_floor_is_the_spread_of_a_difference_between_two_trainings_of_one_config():
    runs = np.random.default_rng(0).normal(40, 0.3, (2, 400))
    pairs = Paired(*map(tuple, runs))
    assert pairs.noise == pytest.approx(np.std(runs[0, ::2] - runs[0, 1::2]), rel=0.1)


def test_one_pair_has_neither_interval_nor_sign():
    pairs = Paired((38.0,), (40.0,))
    assert pairs.interval is pairs.noise is None
    assert pairs.sign == 0


def test_no_interval_is_narrower_than_the_rounding_of_the_figures():
    first, second = (37.0, 37.4, 37.1), (37.3, 37.7, 37.4)
    low, high = Paired(first, second, rounding=0.1).interval
    assert (low, high) == pytest.approx((0.2, 0.4))
    assert Paired(first[:2], second[:2], rounding=0.1).interval is None
    wide = (37.0, 39.0, 37.1)
    assert Paired(first, wide, rounding=0.1).interval == Paired(first, wide).interval


def test_the_seeds_that_a_difference_takes():
    """+25.0 and +18.8 have an interval of [-18, +62]: of differences like these the third pair tells."""
    pairs = Paired((0.0, 0.0), (25.0, 18.8))
    assert pairs.sign == 0
    assert pairs.seeds_needed == 3
    half = [stats.t.ppf(0.975, n - 1) * 4.384 / n**0.5 for n in (2, 3)]
    assert half[1] < pairs.mean < half[0]
    assert Paired((0.0, 0.0, 0.0), (25.0, 18.8, 22.0)).seeds_needed is None  # seen already
