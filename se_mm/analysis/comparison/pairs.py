"""Networks that were trained with the same seeds: the figures of each seed are a pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from ...config.differences import SHOWN_KEYS, data_roots, differences, in_words
from ...errors import SeMmError, listed
from ...evaluation.metrics import direction_is_known, less_is_better, rounding
from .published import PublishedPair, published_pairs
from .runs import Run

#: Of every interval here.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Paired:
    """The figures of two networks, a pair for each seed, of which more is better.

    The interval is Student's t over the differences. Where these are normally distributed its coverage is exact for
    two pairs and more; that of a percentile bootstrap is far too small.

    Example:
        >>> pairs = Paired((84.9, 83.3, 83.9), (85.8, 85.8, 87.1))
        >>> f'{pairs.mean:.2f}', '[{:.2f}, {:.2f}]'.format(*pairs.interval), pairs.sign
        ('2.20', '[-0.73, 5.13]', 0)
    """

    first: tuple[float, ...]
    second: tuple[float, ...]  # in the same order of seeds
    rounding: float = 0.0  # how far a difference is off at most, since the figures are rounded

    @property
    def differences(self) -> tuple[float, ...]:
        """Second minus first of each pair."""
        return tuple(b - a for a, b in zip(self.first, self.second, strict=True))

    @property
    def mean(self) -> float:
        """Of the differences."""
        return float(np.mean(self.differences))

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the difference lies with a confidence of 95%, at least the rounding to each side.

        ``None`` where the spread is not known: of one pair, and of two that agree up to rounding.
        """
        count = len(self.first)
        if count < 2 or (count == 2 and float(np.ptp(self.differences)) <= self.rounding + 1e-9):
            return None
        half = stats.t.ppf((1 + CONFIDENCE) / 2, count - 1) * np.std(self.differences, ddof=1) / math.sqrt(count)
        half = max(float(half), self.rounding)
        return self.mean - half, self.mean + half

    @property
    def sign(self) -> int:
        """1 or -1 where the interval says that the second is better or worse, else 0."""
        low, high = self.interval or (0.0, 0.0)
        return 1 if low > 0 else -1 if high < 0 else 0

    @property
    def seeds_needed(self) -> int | None:
        """With how many pairs a difference of this mean and spread would be seen; ``None`` where it is, or has none."""
        spread = float(np.std(self.differences, ddof=1)) if len(self.first) > 1 else 0.0
        if self.sign or not self.mean or not spread:
            return None
        counts = np.arange(2, 10_001)
        half = stats.t.ppf((1 + CONFIDENCE) / 2, counts - 1) * spread / np.sqrt(counts)
        return int(counts[np.argmax(half < abs(self.mean))]) if half[-1] < abs(self.mean) else None

    @property
    def noise(self) -> float | None:
        """The standard deviation of the difference of two trainings of one config with other seeds."""
        if len(self.first) < 2:
            return None
        return math.sqrt(np.var(self.first, ddof=1) + np.var(self.second, ddof=1))


@dataclass
class Network:
    """The trainings of one config."""

    name: str
    runs: dict[int, Run]  # the finished ones, by seed
    left_out: list[str]  # why the others are not among them

    def figures(self, metric: str, seeds: Sequence[int]) -> tuple[float, ...]:
        """The metric at the end, in points, of each seed."""
        return tuple(self.runs[seed].figure(metric) for seed in seeds)


@dataclass
class Gain:
    """One network against the first."""

    name: str
    pairs: Paired  # with the opposite sign where less is better
    changed: dict[str, tuple[Any, Any]]  # keys of the two configs that differ
    weights: tuple[str, str] | None  # what the two start from, where that differs
    published: list[PublishedPair]  # of the same two networks on the same data


@dataclass
class Comparison:
    """Networks held against the first of them."""

    metric: str  # its whole name
    networks: list[Network]
    seeds: tuple[int, ...]  # that all networks have
    gains: list[Gain]  # of each network but the first
    notes: list[str]  # what was left out

    def curves(self) -> tuple[str, dict[str, tuple[np.ndarray, np.ndarray]]]:
        """The unit of the steps; for each network the steps of its validations, and (seeds, validations) in points."""
        units = {run.unit for network in self.networks for run in network.runs.values()}
        found = {}
        for network in self.networks:
            each = [network.runs[seed].curve(self.metric) for seed in self.seeds]
            steps = sorted(set.intersection(*map(set, each)))
            length = network.runs[self.seeds[0]].length if len(units) > 1 else 1
            found[network.name] = np.array(steps) / length, np.array([[points[s] for s in steps] for points in each])
        return units.pop() if len(units) == 1 else 'share of the training', found


def compared(networks: Sequence[Network], metric: str | None = None) -> Comparison:
    """Holds networks against the first of them, seed by seed.

    Args:
        networks: two or more, with finished trainings.
        metric: with or without its prefix; ``None``: AP of boxes, or top-1 accuracy.

    Raises:
        SeMmError: if they have no seed in common, or lack the metric.
    """
    first = networks[0]
    seeds = tuple(sorted(set.intersection(*(set(network.runs) for network in networks))))
    if not seeds:
        having = '; '.join(f'{network.name} has {sorted(network.runs)}' for network in networks)
        raise SeMmError(f'these networks have no seed in common: {having}')
    full = first.runs[seeds[0]].metric_named(metric)
    notes = [note for network in networks for note in network.left_out]
    for network in networks:
        if more := sorted(set(network.runs) - set(seeds)):
            notes.append(f'left out, since not all have them: seeds {listed(list(map(str, more)))} of {network.name}')
        runs = [network.runs[seed] for seed in seeds]
        for run in runs:
            run.metric_named(full)
            if changed := differences(runs[0].cfg, run.cfg):
                keys = listed(in_words(changed), SHOWN_KEYS)
                notes.append(f'{runs[0].work_dir} and {run.work_dir} differ in more than the seed: {keys}')
    if not direction_is_known(full):
        notes.append(f'more of {full} is taken as better')
    gains = [_gain(first, network, full, seeds) for network in networks[1:]]
    return Comparison(full, list(networks), seeds, gains, notes)


def _gain(first: Network, network: Network, metric: str, seeds: Sequence[int]) -> Gain:
    turn = -1.0 if less_is_better(metric) else 1.0
    figures = [tuple(turn * value for value in each.figures(metric, seeds)) for each in (first, network)]
    pair = [each.runs[seeds[0]] for each in (first, network)]
    changed = differences(*(run.cfg for run in pair))
    roots = tuple(', '.join(data_roots(run.cfg)) for run in pair)
    if roots[0] != roots[1]:
        changed['data_root'] = roots
    weights = tuple(', '.join(run.weights.values()) or 'random weights' for run in pair)
    return Gain(
        network.name,
        Paired(*figures, rounding(metric)),
        changed,
        weights if weights[0] != weights[1] else None,
        published_pairs(*(run.cfg for run in pair), metric),
    )
