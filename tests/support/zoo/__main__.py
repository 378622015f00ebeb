"""The sweep: ``make zoo``. Prints its tables and writes them to docs/zoo.md."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections import Counter
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from tqdm import tqdm

from . import builds, identity, networks
from .configs import PACKAGES, error_of, one_of_each, shipped, with_hosts

PAGE = Path(__file__).resolve().parents[3] / 'docs' / 'zoo.md'
#: What keeps a model type from running with random weights and without files, whatever its backbone.
CAUSES = {
    'CLRNet': 'as shipped it names a preprocessor that mmdet does not register',
    'GroundingDINO': 'needs the weights and the vocabulary of BERT',
    'StrongSORT': 'loads a checkpoint for linking tracks when it is built',
}


def main() -> None:
    warnings.simplefilter('ignore')
    logging.disable(logging.WARNING)
    start = time.perf_counter()
    configs = shipped()
    print(f'{len(configs)} configs are shipped')
    found = list(with_hosts(tqdm(configs, 'reading', file=sys.stdout)))

    counts, failed = Counter(), {}
    with TemporaryDirectory() as folder:
        for config, cfg, hosts in tqdm(found, 'building', file=sys.stdout):
            error = error_of(lambda c=config, g=cfg, h=hosts: builds.check(c, g, h, Path(folder)))
            counts[hosts[0].type, error is None] += 1
            if error:
                failed[config.name] = error

    ran, stopped = {}, {}
    for kind, (config, cfg) in tqdm(one_of_each(found).items(), 'running', file=sys.stdout):
        result: list[identity.Compared] = []
        error = error_of(lambda c=config, g=cfg, r=result: r.append(identity.check(c, g)))
        if error:
            stopped[kind] = (config, CAUSES.get(kind.partition('.')[2], error))
        else:
            ran[kind] = (config, result[0])

    seconds = time.perf_counter() - start
    of_networks, broken = networks.section()
    page = '\n'.join([*lines(len(configs), counts, failed, ran, stopped, seconds), '', *of_networks]) + '\n'
    PAGE.write_text(page)
    print(page)
    sys.exit(bool(failed or broken) or any(kind.partition('.')[2] not in CAUSES for kind in stopped))


def lines(total: int, counts: Counter, failed: dict, ran: dict, stopped: dict, seconds: float) -> list[str]:
    versions = ', '.join(f'{name} {import_module(name).__version__}' for name in ('mmengine', 'mmcv', *PACKAGES))
    page = [
        '# The zoo: the SE twin of every config that mmdet and mmpretrain ship',
        '',
        f'Written by `make zoo` in {seconds / 60:.0f} minutes, with torch {torch.__version__}, {versions}.',
        '',
        f'Of {total} files, {sum(counts.values())} are configs of a model with a backbone that SE can be put into.',
        "For each: the twin builds, the parameters that it adds are those of timm's `SEModule` in each unit, its",
        'maps have the shapes of the plain ones, the file that `tools/swap_backbone.py` writes reads back as the',
        'same config, and the original builds as before.',
        '',
        '| backbone | configs | twins as they should be |',
        '| --- | --- | --- |',
    ]
    for name in sorted({name for name, _ in counts}):
        good, bad = counts[name, True], counts[name, False]
        page.append(f'| {name} | {good + bad} | {good} |')
    page += ['', *(f'- {name}: {error}' for name, error in failed.items())]
    page += [
        '',
        'For the lightest config of each model type, with random weights on a CPU: given the same weights, the twin',
        "with `se_init='identity'` has the losses and predictions of the plain model; after one step with gates that",
        'start where a layer starts, every SE parameter that is not frozen has moved. The numbers count what was',
        'compared.',
        f'{len(ran)} of {len(ran) + len(stopped)} do.',
        '',
        '| model | config | losses | predictions | SE parameters that learn |',
        '| --- | --- | --- | --- | --- |',
    ]
    for kind, (config, result) in ran.items():
        page.append(f'| {kind} | {config.name} | {result.losses} | {result.predictions} | {result.learning} |')
    page += ['', 'These cannot be run like this:', '']
    return page + [f'- {kind} ({config.name}): {cause}' for kind, (config, cause) in stopped.items()]


if __name__ == '__main__':
    main()
