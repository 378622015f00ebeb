"""A comparison as plain data and as Markdown."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...config.differences import SHOWN_KEYS, in_words
from ...errors import listed
from ...evaluation.metrics import less_is_better
from ...utils.tables import markdown_table
from .pairs import Comparison, Gain


def as_json(comparison: Comparison) -> dict[str, Any]:
    """All figures of a comparison as plain data."""
    return {
        'metric': comparison.metric,
        'less_is_better': less_is_better(comparison.metric),
        'seeds': list(comparison.seeds),
        'networks': {n.name: list(n.figures(comparison.metric, comparison.seeds)) for n in comparison.networks},
        'gains': [
            {
                'network': gain.name,
                'of_each_seed': list(gain.pairs.differences),
                'mean': gain.pairs.mean,
                'interval': gain.pairs.interval,
                'sign': gain.pairs.sign,
                'noise_floor': gain.pairs.noise,
                'published': {pair.source: pair.gain for pair in gain.published},
                'configs_differ': {key: list(map(str, values)) for key, values in gain.changed.items()},
                'weights': gain.weights,
            }
            for gain in comparison.gains
        ],
        'notes': comparison.notes,
    }


def as_markdown(comparison: Comparison, title: str) -> str:
    """The table of a comparison, and what it says of each network."""
    seeds, metric = comparison.seeds, comparison.metric
    rows = []
    for network in comparison.networks:
        figures = network.figures(metric, seeds)
        deviation = f' ± {np.std(figures, ddof=1):.2f}' if len(seeds) > 1 else ''
        rows.append([network.name, *(f'{v:.2f}' for v in figures), f'{np.mean(figures):.2f}{deviation}'])
    lines = [f'# {title}', '', f'{metric}, in points, at the end of each training.', '']
    lines += markdown_table(['', *(f'seed {seed}' for seed in seeds), 'mean ± standard deviation'], rows)
    first = comparison.networks[0].name
    for gain in comparison.gains:
        lines += ['', f'## {gain.name} against {first}', '', _conclusion(gain, less_is_better(metric)), '']
        lines += [f'- {line}' for line in _details(gain)]
    lines += ['', *(f'Note: {note}.' for note in comparison.notes)] if comparison.notes else []
    if len(comparison.gains) > 1:
        lines += ['', 'Each interval holds by itself; of 20 such comparisons without a difference one finds one.']
    return '\n'.join(lines) + '\n'


def _conclusion(gain: Gain, errors: bool) -> str:
    pairs = gain.pairs
    each = ', '.join(f'{value:+.2f}' for value in pairs.differences)
    if not any(pairs.first + pairs.second) and not errors:
        return '**No result**: nothing was learnt in any of these trainings (0.00). Train longer, or look at the data.'
    if pairs.interval is None:
        if len(pairs.first) == 1:
            return f'**One pair tells nothing**: {each} may be the seed. Train two more at the least.'
        return f'**The spread is not known**: two pairs agree up to rounding ({each}). Train one more at the least.'
    better, worse, what = ('Fewer errors', 'More errors', 'gain') if errors else ('Better', 'Worse', 'difference')
    word = {1: better, -1: worse, 0: 'Undecided'}[pairs.sign]
    low, high = pairs.interval
    needed = pairs.seeds_needed
    more = f' A difference of this size and spread takes about {needed} seeds to be seen.' if needed else ''
    return f'**{word}**: {what} {pairs.mean:+.2f}, 95% interval [{low:+.2f}, {high:+.2f}] ({each}).{more}'


def _details(gain: Gain) -> list[str]:
    lines = [f'published: {pair.gain:+.2f} ({pair.plain} → {pair.attended}, {pair.source})' for pair in gain.published]
    if gain.pairs.noise is not None:
        lines.append(
            f'noise floor, the same config with another seed: differences of ±{gain.pairs.noise:.2f} (one deviation)'
        )
    changed = in_words(gain.changed)
    if gain.weights:
        changed.append(f'weights {gain.weights[0]} → {gain.weights[1]}')
    return [*lines, f'the configs differ in: {listed(changed, SHOWN_KEYS) or "nothing"}']
