"""A finished training of COCO or Places365, held against what is published."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import SeMmError, listed
from ..evaluation.metrics import rounding
from ..utils.type_names import type_name
from .paired import Paired
from .published import MMDET, PLACES, PROTOCOLS, REFERENCES, Protocol, Reference
from .runs import SHOWN_KEYS, Run, check_finished, differences, in_words, of_other_configs
from .setup import attention_of, backbone_of, data_of, epochs_of, images_a_step, setup_of

#: Where the pairs have no spread. So many points to each side are assumed to be the seed's.
TOLERANCE = 0.5


@dataclass(frozen=True)
class Verdict:
    """What is measured against what is published.

    Attributes:
        reference: the published pair.
        pairs: measured, in the order of the published ones: of errors the negative.
        low: the least gain that agrees with the measurement.
        high: the greatest.
    """

    reference: Reference
    pairs: Paired
    low: float
    high: float

    @property
    def word(self) -> str:
        """``'inside'``, or ``'above'`` where SE gains more here than there, or ``'below'``."""
        gain = self.reference.gain  # of two digits, as the bounds are for this
        return 'above' if round(self.low, 2) > gain else 'below' if round(self.high, 2) < gain else 'inside'


def protocol_of(run: Run) -> Protocol:
    """The protocol of a training.

    Raises:
        SeMmError: if nothing is published for it.
    """
    data, detector = data_of(run), type_name(run.cfg.model)
    same = [p for p in PROTOCOLS if p.data == data and p.detector == detector]
    epochs = epochs_of(run) if same else 0.0
    for protocol in same:
        if protocol.epochs is None or protocol.epochs[0] <= epochs <= protocol.epochs[1]:
            return protocol
    if same:
        known = ', '.join(f'{p.name} ({p.epochs[0]:g} to {p.epochs[1]:g})' for p in same)
        length = f'{epochs:.1f} epochs'
        if not run.by_epoch:
            length += f' ({run.length} iterations; images a step: {images_a_step(run)})'
        raise SeMmError(f'{run.work_dir} has {length}, for which nothing is published; known are {known}')
    raise SeMmError(
        f'{run.work_dir} is {detector} on {data}, for which nothing is published of SE; known are '
        f'{", ".join(p.name for p in PROTOCOLS)}. tools/compare.py compares any two configs'
    )


def judge(runs: Sequence[Run]) -> tuple[Protocol, list[Verdict], list[Run], list[Run]]:
    """Finished trainings against what is published for their protocol.

    Args:
        runs: plain and with attention, of one protocol; paired by their seeds, or one of each.

    Returns:
        The protocol, a verdict for each published pair that fits, and the runs of the pairs, plain and SE; without
        verdicts where all runs are plain, or none is.

    Raises:
        SeMmError: if they are not finished, of different protocols, or of one without published figures.
    """
    check_finished(runs)
    protocol = _shared_protocol(runs)
    plain, se = ([run for run in runs if (attention_of(run) is not None) is wanted] for wanted in (False, True))
    layers = sorted({str(attention_of(run)) for run in se})
    if len(layers) > 1:
        raise SeMmError(f'these trainings have different attention ({", ".join(layers)}): judge one after the other')
    network = backbone_of(runs[0])
    # Of Places365 the paper has one pair alone: what differs from it is said.
    fitting = [r for r in REFERENCES if r.protocol is protocol and (protocol is PLACES or r.network == network)]
    fitting = [r for r in fitting if not se or r.attention == layers[0]]
    if not fitting:
        known = sorted({f'{r.network} with {r.attention}' for r in REFERENCES if r.protocol is protocol})
        raise SeMmError(
            f'{protocol.name}: nothing is published for {network} with {layers[0] if se else "SE"}; '
            f'known are {listed(known)}'
        )
    if not (plain and se):
        return protocol, [Verdict(r, Paired((), (), ()), 0.0, 0.0) for r in fitting], plain, se
    pairs, plain, se = _pairs(plain, se, protocol)
    low, high = pairs.interval or (pairs.mean - TOLERANCE, pairs.mean + TOLERANCE)
    return protocol, [Verdict(r, pairs, low, high) for r in fitting], plain, se


def _shared_protocol(runs: Sequence[Run]) -> Protocol:
    first = runs[0]
    protocol = protocol_of(first)
    for run in runs[1:]:
        other = protocol_of(run)
        if other is not protocol:
            raise SeMmError(
                f'{first.work_dir} is of the protocol {protocol.name} and {run.work_dir} of {other.name}: '
                'only results of one protocol can be compared'
            )
        ours, theirs = setup_of(first), setup_of(run)
        for key in ('backbone', 'trained on', 'evaluated on', 'epochs'):
            if ours[key] != theirs[key]:
                raise SeMmError(
                    f'{first.work_dir} and {run.work_dir} differ in more than attention: {key} {ours[key]} and '
                    f'{theirs[key]}; only results of one protocol can be compared'
                )
    return protocol


def _pairs(plain: list[Run], se: list[Run], protocol: Protocol) -> tuple[Paired, list[Run], list[Run]]:
    """By seed; one of each is a pair whatever its seeds."""
    if len(plain) == len(se) == 1:
        matched = [(plain[0].seed or 0, plain[0], se[0])]
    else:
        ours, theirs = _by_seed(plain), _by_seed(se)
        matched = [(seed, run, theirs[seed]) for seed, run in ours.items() if seed in theirs]
        alone = ours.keys() ^ theirs.keys()
        left = [str(run.work_dir) for seed, run in (*ours.items(), *theirs.items()) if seed in alone]
        if matched and left:
            warnings.warn(f'left out, since the other side has no training with its seed: {listed(left)}', stacklevel=2)
    if not matched:
        raise SeMmError(
            f'no seed is common to the plain trainings ({listed([str(run.seed) for run in plain])}) and the others '
            f'({listed([str(run.seed) for run in se])})'
        )
    sign = -1.0 if protocol is PLACES else 1.0
    figures = [tuple(sign * figure_of(pair[i], protocol) for pair in matched) for i in (1, 2)]
    seeds, ours, theirs = zip(*matched, strict=True)
    return Paired(seeds, *figures, rounding(ours[0].metric_named(protocol.metric))), list(ours), list(theirs)


def _by_seed(runs: list[Run]) -> dict[int, Run]:
    seeds = [run.seed for run in runs]
    if None in seeds or len(set(seeds)) < len(seeds):
        raise SeMmError(
            f'the seeds of {listed([str(run.work_dir) for run in runs])} are {listed([str(seed) for seed in seeds])}; '
            'expected a seed for each and no two alike; a folder that is called seed_N gives one'
        )
    return dict(zip(seeds, runs, strict=True))


def figure_of(run: Run, protocol: Protocol) -> float:
    """AP in points, or the top-1 error."""
    if protocol is not PLACES:
        return run.figure(run.metric_named(protocol.metric))
    name = run.metric_named(protocol.metric)  # accuracy/top1, or error/top1
    return run.figure(name) if name.startswith('error') else 100 - run.figure(name)


def report(protocol: Protocol, verdicts: Sequence[Verdict], plain: Sequence[Run], se: Sequence[Run]) -> str:
    """The verdicts as Markdown: published, measured, and what differs in the set-up."""
    what = 'top-1 error' if protocol is PLACES else 'AP'
    lines = [f'{protocol.name}; {what} in points', '', '| | plain | SE | gain |', '| --- | --- | --- | --- |']
    for verdict in verdicts:
        r = verdict.reference
        layer = f', {r.attention}' * (r.attention != 'SELayer')
        lines.append(f'| {r.source}, {r.network}{layer} | {r.plain:.2f} | {r.se:.2f} | {r.gain:+.2f} |')
    r = verdicts[0].reference
    if (protocol, r.depth) in MMDET:
        lines.append(f"| mmdet's model zoo, {r.network} | {MMDET[protocol, r.depth]:.2f} | | |")
    count = max(len(plain), len(se))
    for i in range(count):
        figures = [f'{figure_of(runs[i], protocol):.2f}' if i < len(runs) else '' for runs in (plain, se)]
        pairs = verdicts[0].pairs
        gain = f'{pairs.differences[i]:+.2f}' if i < len(pairs.seeds) else ''
        lines.append(
            f'| measured{_seed_of((plain or se)[min(i, len(plain or se) - 1)])} | {" | ".join(figures)} | {gain} |'
        )
    if plain and se:
        lines += ['', *(_in_words(verdict, backbone_of(plain[0])) for verdict in verdicts), '']
    else:
        sources = listed(list(dict.fromkeys(verdict.reference.source for verdict in verdicts)))
        lines += ['', f'No verdict on {sources}: it needs a plain training and one with attention.', '']
    return '\n'.join([*lines, *_setups(verdicts, plain, se), *_config_differences(plain, se)]) + '\n'


def _seed_of(run: Run) -> str:
    return '' if run.seed is None else f', seed {run.seed}'


def _in_words(verdict: Verdict, network: str) -> str:
    r, pairs = verdict.reference, verdict.pairs
    measured = f'{pairs.mean:+.2f} [{verdict.low:+.2f}, {verdict.high:+.2f}]'
    said = {
        'inside': f'**Inside**: the measured gain {measured} agrees with the {r.gain:+.2f} of {r.source}',
        'above': f'**Above**: SE gains more here, {measured}, than the {r.gain:+.2f} of {r.source}',
        'below': f'**Below**: SE gains less here, {measured}, than the {r.gain:+.2f} of {r.source}',
    }[verdict.word]
    if verdict.low <= 0 <= verdict.high:
        said += '; no gain at all would agree too'
    if network != r.network:
        said += f'. That is of {r.network}, and this is {network}'
    if pairs.interval is None:
        few = 'One pair has' if len(pairs.seeds) == 1 else 'Two pairs that agree up to rounding have'
        said += f'. {few} no spread: ±{TOLERANCE} is assumed, and two more seeds would tell'
    else:
        said += '. The published gain is one pair itself, whose spread is not known'
    return f'{said}.'


def _config_differences(plain: Sequence[Run], se: Sequence[Run]) -> list[str]:
    """Of plain and SE, and of the seeds of one of them."""
    lines = []
    if plain and se:
        changed = differences(plain[0].cfg, se[0].cfg)
        changed.pop('model.backbone.type', None)
        if changed:
            lines.append(f'The configs of plain and SE differ in: {listed(in_words(changed), SHOWN_KEYS)}.')
    lines += [f'{line}.' for runs in (plain, se) for line in of_other_configs(runs, weights=True)]
    return [line for each in lines for line in ('', each)]


def _setups(verdicts: Sequence[Verdict], plain: Sequence[Run], se: Sequence[Run]) -> list[str]:
    """What differs between the measured trainings and the published ones, or between plain and SE."""
    ours = [setup_of(runs[0]) if runs else {} for runs in (plain, se)]
    published = verdicts[0].reference.setup
    rows = []
    for key in {**ours[0], **ours[1]}:
        values = [setup.get(key, '') for setup in ours]
        theirs = published.get(key, 'not stated')
        present = {value for value, setup in zip(values, ours, strict=True) if setup}
        if len(present) > 1 or (key in published and present != {theirs}) or key == 'weights':
            rows.append(f'| {key} | {values[0]} | {values[1]} | {theirs} |')
    if not rows:
        return ['The set-up is the published one.']
    return ['What differs in the set-up:', '', '| | plain | SE | published |', '| --- | --- | --- | --- |', *rows]
