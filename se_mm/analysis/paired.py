"""Differences of two networks that were trained with the same seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

#: Of every interval here.
CONFIDENCE = 0.95
#: With which :func:`seeds_needed` finds a difference.
POWER = 0.8
#: More seeds than that are not counted.
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Paired:
    """The figures of two networks, a pair for each seed, of which more is better.

    The interval is Student's t over the differences. It takes them as drawn from a normal distribution, and then its
    coverage is exact for two pairs and more, where that of a percentile bootstrap is far too small.

    Attributes:
        seeds: of the pairs.
        first: the figures of the first network, in the order of the seeds.
        second: those of the second.
        rounding: how far a difference is off at most, since the figures are rounded.

    Example:
        >>> pairs = Paired((0, 1, 2), (84.9, 83.3, 83.9), (85.8, 85.8, 87.1))
        >>> f'{pairs.mean:.2f}', '[{:.2f}, {:.2f}]'.format(*pairs.interval), pairs.sign
        ('2.20', '[-0.73, 5.13]', 0)
    """

    seeds: tuple[int, ...]
    first: tuple[float, ...]
    second: tuple[float, ...]
    rounding: float = 0.0

    @property
    def differences(self) -> tuple[float, ...]:
        """Second minus first of each seed."""
        return tuple(b - a for a, b in zip(self.first, self.second, strict=True))

    @property
    def mean(self) -> float:
        """Of the differences."""
        return float(np.mean(self.differences))

    @property
    def has_spread(self) -> bool:
        """Whether the pairs tell how far differences spread: one does not, nor do two that agree up to rounding."""
        return len(self.seeds) > 2 or float(np.ptp(self.differences)) > self.rounding + 1e-9

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the difference lies with a confidence of 95%, at least the rounding; ``None`` without a spread."""
        if not self.has_spread:
            return None
        low, high = t_interval(self.differences)
        return min(low, self.mean - self.rounding), max(high, self.mean + self.rounding)

    @property
    def sign(self) -> int:
        """1 or -1 where the interval says that the second is better or worse, else 0."""
        low, high = self.interval or (0.0, 0.0)
        return 1 if low > 0 else -1 if high < 0 else 0

    @property
    def noise(self) -> float | None:
        """The noise floor: the standard deviation of the difference of two trainings of one config with other seeds."""
        return math.sqrt(2) * pooled_deviation(self.first, self.second) if len(self.seeds) > 1 else None

    def seeds_needed(self, difference: float) -> int | None:
        """How many pairs would find a true difference of that size; ``None`` where that cannot be said."""
        return seeds_needed(float(np.std(self.differences, ddof=1)), difference) if self.has_spread else None


def t_interval(values: Sequence[float]) -> tuple[float, float]:
    """Where the mean of a normal distribution lies with a confidence of 95%, of a few values drawn from it.

    Args:
        values: two or more.

    Example:
        >>> '{:.3f} {:.3f}'.format(*t_interval([1.0, 2.0, 3.0]))  # 2 -+ 4.303 / sqrt(3)
        '-0.484 4.484'
    """
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def pooled_deviation(*groups: Sequence[float]) -> float:
    """The standard deviation within groups of one size, over all of them.

    Example:
        >>> pooled_deviation([1.0, 3.0], [5.0, 5.0])
        1.0
    """
    return float(np.sqrt(np.mean([np.var(group, ddof=1) for group in groups])))


def seeds_needed(deviation: float, difference: float) -> int | None:
    """Pairs with which the interval leaves out zero in 80% of comparisons whose true difference is this.

    Args:
        deviation: standard deviation of the differences of pairs.
        difference: above 0.

    Returns:
        2 or more; ``None`` where it is more than 1000.

    Example:
        >>> seeds_needed(1.0, 1.0), seeds_needed(0.2, 0.5)  # as the power of a paired t test is tabulated: 10, 4
        (10, 4)
    """
    if deviation == 0:
        return 2
    counts = np.arange(2, MOST_SEEDS + 1)
    critical = stats.t.ppf((1 + CONFIDENCE) / 2, counts - 1)
    shift = difference / deviation * np.sqrt(counts)
    power = stats.nct.sf(critical, counts - 1, shift) + stats.nct.cdf(-critical, counts - 1, shift)
    enough = np.flatnonzero(~(power < POWER))  # far from zero scipy gives NaN, where the power is 1
    return int(counts[enough[0]]) if len(enough) else None
