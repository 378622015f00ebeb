"""What the gates of a block do, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

#: A gate beyond these lets nearly everything, or nearly nothing, through.
OPEN, CLOSED = 0.9, 0.1
#: Channels that are looked at together, which bounds the memory for many pictures.
_CHANNELS = 256
#: Bars of a histogram.
BINS = 50


@dataclass(frozen=True)
class GateStatistics:
    """The gates s(i, c) of one block, of channel c for picture i."""

    mean: float
    #: Standard deviation over the pictures, averaged over the channels.
    spread: float
    #: Shares of s above 0.9 and below 0.1.
    open: float
    closed: float
    #: :func:`explained_share` of the classes, averaged over the channels that vary.
    class_share: float
    #: :func:`class_selectivity`, averaged over the channels.
    selectivity: float
    #: Mean of ``|s(i, c) - mean of channel c|``: what is lost where the gate is frozen at its mean.
    distance: float
    #: As ``class_share``, for the sizes of the boxes; ``None`` for a classifier.
    size_share: float | None
    #: (K, C): means and standard deviations over the pictures of each class.
    class_means: np.ndarray
    class_spreads: np.ndarray
    #: (C,), over all pictures.
    channel_means: np.ndarray
    #: (S, C); ``None`` for a classifier.
    size_means: np.ndarray | None
    #: Counts of s in bins of equal width, between 0 and 1 or wider, and their edges.
    histogram: np.ndarray
    edges: np.ndarray


def gate_statistics(values: np.ndarray, classes: np.ndarray, sizes: np.ndarray | None = None) -> GateStatistics:
    """The statistics of one block.

    Args:
        values: s, (N, C).
        classes: (N, K) bool: which classes a picture belongs to, or has boxes of.
        sizes: (N, S) bool: which sizes of boxes it has.

    Example:
        >>> values = np.array([[0.2, 0.5], [0.4, 0.5], [0.95, 0.5]])
        >>> found = gate_statistics(values, np.eye(3, dtype=bool)[[0, 0, 1]])
        >>> round(found.mean, 4), round(found.open, 4), round(found.class_share, 4)
        (0.5083, 0.1667, 0.9337)
    """
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1.0)
    edges = np.linspace(low, high, BINS + 1)
    histogram = np.zeros(BINS, np.int64)
    parts: list[dict[str, np.ndarray]] = []
    for start in range(0, values.shape[1], _CHANNELS):
        s = np.asarray(values[:, start : start + _CHANNELS], dtype=np.float64)
        histogram += np.histogram(s, edges)[0]
        class_means, class_spreads = group_moments(s, classes)
        part = dict(
            channel_means=s.mean(0),
            spread=s.std(0),
            open=(s > OPEN).mean(0),
            closed=(s < CLOSED).mean(0),
            class_share=explained_share(s, classes),
            selectivity=class_selectivity(class_means),
            distance=np.abs(s - s.mean(0)).mean(0),
            class_means=class_means,
            class_spreads=class_spreads,
        )
        if sizes is not None:
            part |= dict(size_share=explained_share(s, sizes), size_means=group_moments(s, sizes)[0])
        parts.append(part)
    whole = {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
    averaged = ('spread', 'open', 'closed', 'class_share', 'selectivity', 'distance', 'size_share')
    found = {name: _mean(array) if name in averaged else array for name, array in whole.items()}
    empty = dict(size_share=None, size_means=None)
    mean = float(whole['channel_means'].mean())
    return GateStatistics(mean=mean, histogram=histogram, edges=edges, **{**empty, **found})


def group_moments(values: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, (K, C) each, of values, (N, C), in each group, (N, K) bool; NaN in an empty one."""
    means = np.full((groups.shape[1], values.shape[1]), np.nan)
    spreads = means.copy()
    for group, members in enumerate(groups.T):
        if members.any():
            means[group], spreads[group] = values[members].mean(0), values[members].std(0)
    return means, spreads


def explained_share(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """R squared of a linear regression on the groups' indicators, for each channel; NaN where nothing varies.

    Where each picture is in one group it is the between-class share of the variance (eta squared).
    By chance alone it is about (groups - 1) / (pictures - 1).

    Args:
        values: (N, C).
        groups: (N, K) bool; a picture may be in several, as one with boxes of several classes.

    Returns:
        (C,).

    Example:
        >>> values = np.array([[0.0], [2.0], [4.0], [6.0]])
        >>> explained_share(values, np.array([[1, 0], [1, 0], [0, 1], [0, 1]], dtype=bool))
        array([0.8])
    """
    centred = values - values.mean(0)
    total = np.square(centred).sum(0)
    if (groups.sum(1) == 1).all():  # a thousand classes are no matter then
        counts = groups.sum(0)
        means, _ = group_moments(centred, groups[:, counts > 0])
        explained = (counts[counts > 0, None] * np.square(means)).sum(0)
    else:
        left, strengths, _ = np.linalg.svd(groups - groups.mean(0), full_matrices=False)
        basis = left[:, strengths > 1e-9 * max(strengths.max(initial=0.0), 1.0)]
        explained = np.square(basis.T @ centred).sum(0)
    varies = total > 1e-12 * len(values)
    return np.where(varies, explained / np.where(varies, total, 1), np.nan)


def class_selectivity(class_means: np.ndarray) -> np.ndarray:
    """(largest - rest) / (largest + rest) for each channel; rest: the mean over the other classes.

    The index of Morcos et al. (arXiv 1803.06959): 0 for a channel that treats all classes the same, 1 for
    one that only a single class opens. NaN for one class, and for gates that can be negative.

    Args:
        class_means: (K, C); rows of NaN (a class without pictures) are left out.

    Example:
        >>> class_selectivity(np.array([[0.6, 0.5], [0.2, 0.5], [0.2, 0.5]]))
        array([0.5, 0. ])
    """
    means = class_means[~np.isnan(class_means).all(1)]
    if len(means) < 2 or means.min() < 0:
        return np.full(class_means.shape[1], np.nan)
    largest = means.max(0)
    rest = (means.sum(0) - largest) / (len(means) - 1)
    total = largest + rest
    return np.where(total > 0, (largest - rest) / np.where(total > 0, total, 1), 0.0)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float('nan')
