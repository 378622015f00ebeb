"""Networks that were trained with several seeds, held against the first of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..config.loaders import datasets_of
from ..errors import SeMmError, listed
from ..evaluation.metrics import direction_is_known, in_points, less_is_better, rounding
from ..utils.type_names import type_name
from .images import Metric, accuracy, average_precision, bootstrap
from .paired import Paired
from .runs import PREDICTIONS, SHOWN_KEYS, Run, data_roots, differences, in_words, of_other_configs

#: The number of seeds that would see a difference of so many points is said.
DIFFERENCE = 0.5


@dataclass
class Network:
    """The trainings of one config.

    Attributes:
        name: what it is called.
        runs: the finished ones, by seed.
        left_out: what is said of the others.
    """

    name: str
    runs: dict[int, Run]
    left_out: list[str] = field(default_factory=list)

    def figures(self, metric: str, seeds: Sequence[int]) -> tuple[float, ...]:
        """Its metric at the end, in points, of each seed."""
        return tuple(self.runs[seed].figure(metric) for seed in seeds)

    def curves(self, metric: str, seeds: Sequence[int]) -> tuple[list[int], np.ndarray]:
        """Epochs or iterations of the validations, and (seeds, validations) of the metric in points."""
        runs = [self.runs[seed] for seed in seeds]
        axis = 'epoch' if runs[0].by_epoch else 'iter'
        each = [{entry[axis]: entry[metric] for entry in run.validations if metric in entry} for run in runs]
        steps = sorted(set.intersection(*map(set, each)))
        return steps, np.array([[in_points(metric, run[step]) for step in steps] for run in each])


@dataclass
class Against:
    """One network against the first.

    Attributes:
        name: of the network.
        pairs: the figures, turned round where less is better.
        images: differences on drawn sets of images; ``None`` where there are no predictions.
        changed: keys of the two configs that differ.
        weights: what the two start from, where that differs.
    """

    name: str
    pairs: Paired
    images: np.ndarray | None
    changed: dict[str, tuple[Any, Any]]
    weights: tuple[str, str] | None


@dataclass
class Comparison:
    """All that is said of some networks.

    Attributes:
        metric: its whole name.
        networks: the first is what the others are held against.
        seeds: that all of them have.
        against: each of the others.
        notes: what was left out.
    """

    metric: str
    networks: list[Network]
    seeds: tuple[int, ...]
    against: list[Against]
    notes: list[str]


def compare(networks: Sequence[Network], metric: str | None = None) -> Comparison:
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
    notes = [note for network in networks for note in network.left_out]
    for network in networks:
        if more := sorted(set(network.runs) - set(seeds)):
            notes.append(f'left out, since not all have them: seeds {listed(list(map(str, more)))} of {network.name}')
    full = first.runs[seeds[0]].metric_named(metric)
    for network in networks:
        for seed in seeds:
            network.runs[seed].metric_named(full)
    for network in networks:  # each seed may start from weights of its own
        notes += of_other_configs([network.runs[seed] for seed in seeds], weights=False)
    if not direction_is_known(full):
        notes.append(f'more of {full} is taken as better')
    turn = -1.0 if less_is_better(full) else 1.0
    against = []
    for network in networks[1:]:
        figures = [tuple(turn * value for value in each.figures(full, seeds)) for each in (first, network)]
        images, why = _over_images(first, network, full, seeds)
        notes += [note for note in why if note not in notes]
        ours, theirs = first.runs[seeds[0]], network.runs[seeds[0]]
        weights = tuple(', '.join(run.weights.values()) or 'random weights' for run in (ours, theirs))
        against.append(
            Against(
                network.name,
                Paired(seeds, *figures, rounding(full)),
                None if images is None else turn * images,
                _changed(ours, theirs),
                weights if weights[0] != weights[1] else None,
            )
        )
    return Comparison(full, list(networks), seeds, against, notes)


def _over_images(
    first: Network, second: Network, metric: str, seeds: Sequence[int]
) -> tuple[np.ndarray | None, list[str]]:
    """The bootstrap over images, and why there is none."""
    lacking = [str(n.runs[s].work_dir) for n in (first, second) for s in seeds if not _predictions(n.runs[s]).is_file()]
    if lacking:
        return None, [f'no spread over images: no {PREDICTIONS} in {listed(lacking, 2)}']
    try:
        metrics = [[metric_over_images(network.runs[seed], metric) for network in (first, second)] for seed in seeds]
    except SeMmError as error:
        return None, [f'no spread over images: {error}']
    order = metrics[0][0][1]
    if any(images != order for pair in metrics for _, images in pair):
        return None, ['no spread over images: the predictions are of different images']
    notes = []
    for seed, pair in zip(seeds, metrics, strict=True):
        for network, (metric_of, images) in zip((first, second), pair, strict=True):
            found, logged = metric_of(np.ones(len(images))), network.runs[seed].figure(metric)
            if abs(found - logged) > 0.06:  # mmdet logs three digits of a fraction
                notes.append(
                    f'{network.runs[seed].work_dir}: the predictions give {found:.2f} and the last validation '
                    f'{logged:.2f}: the config tests on other images, or another checkpoint was tested'
                )
    return bootstrap([(pair[0][0], pair[1][0]) for pair in metrics], len(order)), notes


def _predictions(run: Run) -> Path:
    return run.work_dir / PREDICTIONS


def metric_over_images(run: Run, metric: str) -> tuple[Metric, list[Any]]:
    """The metric of a training's predictions, and the images in its order.

    Raises:
        SeMmError: if it cannot be computed from them.
    """
    predictions = json.loads(_predictions(run).read_text())
    if metric.startswith(('accuracy/', 'error/')):
        return accuracy(predictions, metric)
    evaluators = run.cfg.get('test_evaluator') or ()
    for evaluator in evaluators if isinstance(evaluators, (list, tuple)) else [evaluators]:
        if type_name(evaluator) == 'CocoMetric' and Path(evaluator.get('ann_file') or '').is_file():
            dataset = next(datasets_of(run.cfg.test_dataloader))
            classes = (dataset.get('metainfo') or {}).get('classes') or ()
            more = {'proposal_nums': evaluator.proposal_nums} if 'proposal_nums' in evaluator else {}
            part = metric.rpartition('/')[2]
            return average_precision(predictions, Path(evaluator.ann_file), part, classes, **more)
    raise SeMmError(f'the ground truth of {run.work_dir} is not there')


def _changed(first: Run, second: Run) -> dict[str, tuple[Any, Any]]:
    changed = differences(first.cfg, second.cfg)
    roots = [', '.join(data_roots(run.cfg)) for run in (first, second)]
    return changed | ({'data_root': tuple(roots)} if roots[0] != roots[1] else {})


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All figures of a comparison as plain data."""
    return {
        'metric': comparison.metric,
        'less_is_better': less_is_better(comparison.metric),
        'seeds': list(comparison.seeds),
        'networks': {n.name: list(n.figures(comparison.metric, comparison.seeds)) for n in comparison.networks},
        'gains': [
            {
                'network': entry.name,
                'of_each_seed': list(entry.pairs.differences),
                'mean': entry.pairs.mean,
                'interval': entry.pairs.interval,
                'sign': entry.pairs.sign,
                'noise_floor': entry.pairs.noise,
                'spread_over_images': None if entry.images is None else float(np.std(entry.images)),
                'seeds_needed': {str(DIFFERENCE): entry.pairs.seeds_needed(DIFFERENCE)},
                'configs_differ': {key: list(map(str, values)) for key, values in entry.changed.items()},
                'weights': entry.weights,
            }
            for entry in comparison.against
        ],
        'notes': comparison.notes,
    }


def as_markdown(comparison: Comparison, title: str) -> str:
    """The table and the verdicts of a comparison."""
    seeds, metric = comparison.seeds, comparison.metric
    lines = [f'# {title}', '', f'{metric}, in points, at the end of each training.', '']
    lines.append(_row(['', *(f'seed {seed}' for seed in seeds), 'mean ± standard deviation']))
    lines.append(_row(['---'] * (len(seeds) + 2)))
    for network in comparison.networks:
        figures = network.figures(metric, seeds)
        deviation = f' ± {np.std(figures, ddof=1):.2f}' if len(seeds) > 1 else ''
        lines.append(_row([network.name, *(f'{v:.2f}' for v in figures), f'{np.mean(figures):.2f}{deviation}']))
    first = comparison.networks[0].name
    for entry in comparison.against:
        lines += ['', f'## {entry.name} against {first}', '', *_verdict(entry, less_is_better(metric)), '']
        lines += [f'- {line}' for line in _details(entry)]
    lines += ['', *(f'Note: {note}.' for note in comparison.notes)] if comparison.notes else []
    if len(comparison.against) > 1:
        lines += ['', 'Each interval holds by itself; of 20 such comparisons without a difference one finds one.']
    return '\n'.join(lines) + '\n'


def _row(cells: Sequence[str]) -> str:
    return f'| {" | ".join(cells)} |'


def _verdict(entry: Against, errors: bool) -> list[str]:
    pairs = entry.pairs
    better = 'fewer errors' if errors else 'better'
    worse = 'more errors' if errors else 'worse'
    each = ', '.join(f'{value:+.2f}' for value in pairs.differences)
    if pairs.interval is None:
        if len(pairs.seeds) == 1:
            return [f'**One pair tells nothing**: {each} may be the seed. Train two more at the least.']
        return [f'**The spread is not known**: two pairs agree up to rounding ({each}). Train one more at the least.']
    said = {1: better, -1: worse, 0: 'no difference seen'}[pairs.sign]
    low, high = pairs.interval
    gain = 'gain' if errors else 'difference'
    return [
        f'**{said[0].upper()}{said[1:]}**: {gain} {pairs.mean:+.2f}, 95% interval [{low:+.2f}, {high:+.2f}] ({each}).'
    ]


def _details(entry: Against) -> list[str]:
    pairs, lines = entry.pairs, []
    if pairs.noise is not None:
        lines.append(
            f'noise floor, the same config with another seed: differences of ±{pairs.noise:.2f} (one deviation)'
        )
    if entry.images is not None:
        low, high = np.percentile(entry.images, [2.5, 97.5])
        lines.append(
            f'other images of the same kind would move the difference by ±{np.std(entry.images):.2f} '
            f'(bootstrap over images: 95% in [{low:+.2f}, {high:+.2f}])'
        )
    if pairs.interval is not None:
        needed = pairs.seeds_needed(DIFFERENCE)
        lines.append(
            f'with the spread of these pairs, a difference of {DIFFERENCE} takes '
            f'{f"{needed} seeds" if needed else "more than 1000 seeds"} to be seen in 80% of comparisons'
        )
    changed = in_words(entry.changed)
    if entry.weights:
        changed.append(f'weights {entry.weights[0]} → {entry.weights[1]}')
    lines.append(f'the configs differ in: {listed(changed, SHOWN_KEYS) or "nothing"}')
    return lines
